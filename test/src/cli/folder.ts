import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';

// Every command is a process of its own.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

export const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
const TROUPE = new URL('../../../src/index.ts', import.meta.url).href;

/** `wait` ends when the file `go` is there and hears no signal; `die` ends its process, the first time; the last four are what tools should not do. */
const CONFIG = `
import { existsSync, watch, writeFileSync } from 'node:fs';
import { setup, fromPromise } from ${JSON.stringify(import.meta.resolve('xstate'))};
import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
import { childRun, durable, embedded, module, plan, tool } from ${JSON.stringify(TROUPE)};

const shared = { description: 'A tool of the tests', inputSchema: z.object({}) };
const list = tool({ ...shared, name: 'list', phrases: ['get all contacts'], effect: 'read',
  outputSchema: z.array(z.object({ to: z.string() })), execute: () => ['ana', 'bo', 'cy'].map((to) => ({ to })) });
const send = tool({ ...shared, name: 'send', phrases: ['send emails'], inputSchema: z.object({ to: z.string() }),
  outputSchema: z.object({ id: z.string() }), execute: ({ to }) => { console.log('printed by a tool'); return { id: to }; } });
const refuse = tool({ ...shared, name: 'refuse', effect: 'read', retry: { attempts: 1 },
  execute: () => { throw Object.assign(new Error('no \\u001b[31mmail\\u001b[0m today'), { code: 'AUTH' }); } });
const wait = tool({ ...shared, name: 'wait', effect: 'read', timeout: '1h', execute: () => new Promise((resolve) => {
  const look = () => { if (existsSync('go')) { watcher.close(); resolve({ went: true }); } };
  const watcher = watch('.', look);
  look();
}) });
const die = tool({ ...shared, name: 'die', effect: 'irreversible', outputSchema: z.object({ id: z.string() }), execute: () => {
  if (!existsSync('died')) { writeFileSync('died', ''); process.kill(process.pid, 'SIGKILL'); }
  return { id: 'by itself' };
} });
const rude = { ...shared, effect: 'read', timeout: '1h' };
const forever = () => new Promise(() => {});
const stray = tool({ ...rude, name: 'stray', execute: () => { setTimeout(() => { throw null; }); return forever(); } });
const float = tool({ ...rude, name: 'float', execute: () => { void Promise.reject(new Error('floating')); return forever(); } });
const quit = tool({ ...rude, name: 'quit', execute: () => process.exit(0) });
const dirty = tool({ ...rude, name: 'dirty', execute: () => {
  console.dir({ by: 'dir' }); console.table([{ by: 'table' }]); process.stdout.write('by write\\n');
  return {};
} });
const post = tool({ ...shared, name: 'post', inputSchema: z.object({}).default({}), effect: 'read', needsApproval: () => true,
  cost: () => ({ usd: 0.25 }), execute: (_, { charge }) => { charge({ usd: 0.25 }); return { posted: true }; } });
const secret = tool({ ...shared, name: 'secret', effect: 'read', execute: () => ({}) });

export const greet = plan({ name: 'greet', inputSchema: z.object({ to: z.string() }), output: ({ sent }) => sent })
  .step('sent', send, { input: ({ input }) => ({ to: input.to }) });
export const order = durable(setup({ actors: { charge: fromPromise(async () => 1n) } }).createMachine({
  initial: 'charging',
  states: { charging: { invoke: { src: 'charge', onDone: 'open' } }, open: { on: { CLOSE: 'closed' } }, closed: { type: 'final' } },
}), { name: 'order', version: '1', effects: { charge: 'irreversible' } });
export const parent = durable(setup({ actors: { below: childRun(order) } }).createMachine({
  initial: 'asking', states: { asking: { invoke: { src: 'below', onDone: 'done' } }, done: { type: 'final' } },
}), { name: 'parent', version: '1' });
export const mute = durable(setup({ actors: { charge: fromPromise(forever) } }).createMachine({
  initial: 'charging', states: { charging: { invoke: { src: 'charge' } } },
}), { name: 'mute', version: '1' });
export const nothing = { kind: 'nothing' };
const mail = module({ name: 'mail', tools: [list, send, refuse, wait, die, stray, float, quit, dirty, post] });
const definitions = existsSync('forgotten') ? [] : [greet, order, parent, mute];
export default { backend: embedded({ dir: '.troupe' }), definitions, tools: [mail, secret], module: mail };
`;

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A working folder with a config, in which commands are run as processes. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'troupe-cli-'));
  /** What commands find in their environment besides PATH. */
  readonly env: Record<string, string> = {};
  readonly #running = new Set<ChildProcess>();

  constructor() {
    this.write('troupe.config.ts', CONFIG);
    this.write('package.json', '{ "type": "module" }');
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  begin(...args: string[]): Command {
    return this.beginFile(MAIN, ...args);
  }

  /** Another program, in this folder. */
  beginFile(file: string, ...args: string[]): Command {
    const child = spawn(process.execPath, ['--conditions=troupe-source', file, ...args], {
      cwd: this.path,
      env: { PATH: process.env['PATH'], ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.on('close', () => this.#running.delete(child));
    return new Command(child);
  }

  troupe(...args: string[]): Promise<Ended> {
    return this.begin(...args).ended;
  }

  /** @throws unless stdout is one line of JSON */
  async json<T = Record<string, unknown>>(
    ...args: string[]
  ): Promise<{ code: number | null; data: T; stderr: string }> {
    const { code, stdout, stderr } = await this.troupe(...args, '--json');
    if (stdout.trimEnd().includes('\n')) throw new Error(`More than one line: ${stdout}`);
    return { code, data: JSON.parse(stdout) as T, stderr };
  }

  /** Once that file is there. */
  until(name: string): Promise<void> {
    return new Promise((resolve) => {
      const watcher = watch(this.path, () => look());
      const look = (): void => {
        if (!existsSync(join(this.path, name))) return;
        watcher.close();
        resolve();
      };
      look();
    });
  }

  remove(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class Command {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #printed = '';
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (data: Buffer) => (this.#stdout += this.#print(data)));
    child.stderr?.on('data', (data: Buffer) => (this.#stderr += this.#print(data)));
    this.ended = new Promise((resolve) =>
      child.on('close', (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr })),
    );
  }

  /** What it has printed there by now. */
  get stdout(): string {
    return this.#stdout;
  }

  #print(data: Buffer): string {
    this.#printed += String(data);
    return String(data);
  }

  /** Once it has printed this. */
  printed(text: string): Promise<void> {
    const { stdout, stderr } = this.#child;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this.#printed.includes(text)) end(resolve);
      };
      const closed = (): void => end(() => reject(new Error(`It ended without '${text}': ${this.#printed}`)));
      const end = (settle: () => void): void => {
        for (const stream of [stdout, stderr]) stream?.off('data', look);
        this.#child.off('close', closed);
        settle();
      };
      for (const stream of [stdout, stderr]) stream?.on('data', look);
      this.#child.on('close', closed);
      look();
    });
  }

  /** Reads no more of it, as `head` does. */
  close(stream: 'stdout' | 'stderr'): void {
    this.#child[stream]?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
