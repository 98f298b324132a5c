import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createTroupe, embedded, type Backend, type Entry, type Troupe } from 'troupe';
import { unseal } from '../../src/chain.ts';
import { systemClock } from '../../src/clock.ts';
import { ownerId, runId } from '../../src/protocol/ids.ts';
import { definitions } from './workload.ts';

const SERVICE = fileURLToPath(new URL('service.ts', import.meta.url));

/** From its spawn, of that in `createTroupe`, and of that on a processor: on a machine that is busy the last says more. */
export interface Recovered {
  ms: number;
  recoveryMs: number;
  cpuMs: number;
  runs: number;
}

/** One life of the service. `ready`: it has recovered; undefined when it did not live so long. */
export interface Life {
  child: ChildProcess;
  ready: Promise<Recovered | undefined>;
  started: Promise<void>;
  /** What it said last: true only when every run has ended. */
  exited: Promise<{ ended: boolean; parked: number }>;
}

/** A directory with a service on it, and this process beside it: two troupes that own nothing. */
export class Servant {
  readonly #folder = mkdtempSync(join(tmpdir(), 'troupe-service-'));
  readonly #dir = join(this.#folder, 'store');
  readonly #marks = join(this.#folder, 'marks');
  readonly #said = join(this.#folder, 'said');
  #db: DatabaseSync | undefined;
  #lives: Life[] = [];
  complaints = '';
  /** Knows the definitions: it reads and decides. */
  reader!: Troupe;
  /** Knows none, so that it can take no run over: what it sends goes to an inbox, whoever is alive. */
  sender!: Troupe;
  #backend!: Backend;

  static async open(): Promise<Servant> {
    const servant = new Servant();
    writeFileSync(servant.#marks, '');
    writeFileSync(servant.#said, '');
    const options = {
      recover: false,
      report: (error: unknown) => void (servant.complaints += `here: ${String(error)}\n`),
    };
    const backend = embedded({ dir: servant.#dir });
    servant.reader = await createTroupe({ ...options, backend, definitions });
    servant.sender = await createTroupe({ ...options, backend });
    servant.#backend = await backend.open({ owner: ownerId('looks-on'), clock: systemClock() });
    servant.#db = new DatabaseSync(join(servant.#dir, 'troupe.db'), { readOnly: true, timeout: 1_000 });
    return servant;
  }

  begin(): Life {
    const since = performance.now();
    const child = spawn(process.execPath, ['--conditions=troupe-source', SERVICE], {
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: join(this.#folder, 'compiled'),
        SERVICE_DIR: this.#dir,
        SERVICE_MARKS: this.#marks,
        SERVICE_SAID: this.#said,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.on('data', (text: Buffer) => (this.complaints += String(text)));
    let said = '';
    const facts = (): Record<string, unknown>[] =>
      said
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const exited = new Promise<{ ended: boolean; parked: number }>((resolve) =>
      child.on('close', () => {
        const last = facts().at(-1);
        resolve({ ended: last?.['ended'] === true, parked: Number(last?.['parked'] ?? 0) });
      }),
    );
    const told = (name: string): Promise<Record<string, unknown> | undefined> =>
      new Promise((resolve) => {
        const look = (): void => {
          const fact = facts().find((one) => name in one);
          if (fact !== undefined) resolve({ ...fact, at: performance.now() });
        };
        child.stdout.on('data', look);
        void exited.then(() => resolve(undefined));
      });
    child.stdout.on('data', (text: Buffer) => (said += String(text)));
    const ready = told('recovered').then(
      (fact) =>
        fact && {
          ms: Number(fact['at']) - since,
          recoveryMs: Number(fact['ms']),
          cpuMs: Number(fact['cpuMs']),
          runs: Number(fact['recovered']),
        },
    );
    const life = { child, ready, started: told('started').then(() => {}), exited };
    this.#lives.push(life);
    return life;
  }

  /** Of all runs and inboxes. */
  entries(): number {
    return Number(this.#db?.prepare('SELECT count(*) AS held FROM entries').get()?.['held']);
  }

  /** `what run key` for each call that did what it is for. */
  marks(): { what: string; run: string; key: string }[] {
    return lines(this.#marks).map(([what = '', run = '', key = '']) => ({ what, run, key }));
  }

  /** Numbers of the messages the service has sent to a run itself. */
  said(how: 'try' | 'ack', run: string): number[] {
    return lines(this.#said).flatMap(([word, id, n]) => (word === how && id === run ? [Number(n)] : []));
  }

  /** As it stands; its chain is checked. */
  async journal(id: string): Promise<Entry[]> {
    const run = runId(id);
    const entries: Entry[] = [];
    for await (const { entry } of unseal(run, this.#backend.journal.read(run))) entries.push(entry);
    return entries;
  }

  async registered(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#backend.registry.list('open.')) keys.push(key);
    return keys;
  }

  async close(): Promise<void> {
    for (const { child } of this.#lives) child.kill('SIGKILL');
    await Promise.all(this.#lives.map(({ exited }) => exited));
    this.#db?.close();
    await Promise.all([this.reader.close(), this.sender.close(), this.#backend.close()]);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Words of each line that is whole. */
const lines = (file: string): string[][] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '));

/** Until it is there, or the time is over. */
export async function eventually<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await pass(10)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`Waited in vain: ${what}.`);
}
