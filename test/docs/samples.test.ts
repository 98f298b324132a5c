import { execFile, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createTroupe, embedded } from 'troupe';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** What the documents show is true: samples run and print what is said, commands and linked files are there. */

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const guides = readdirSync(join(root, 'docs/guides')).map((file) => `docs/guides/${file}`);
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Block {
  language: string;
  text: string;
  line: number;
}
interface Sample {
  /** Where it stands: `README.md:28`. */
  place: string;
  code: string;
  /** The text block that follows it. */
  output: string | undefined;
  /** The block before it, if that is a plan: `plan.yaml`. */
  plan: string | undefined;
  dir: string;
}

function blocksOf(file: string): Block[] {
  const text = read(file);
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: code = '', index }) => ({
    language,
    text: code,
    line: text.slice(0, index).split('\n').length,
  }));
}

const lastLine = ({ line, text }: Block): number => line + text.split('\n').length;

function samplesOf(file: string): Sample[] {
  const blocks = blocksOf(file);
  return blocks.flatMap((block, index) => {
    if (block.language !== 'ts') return [];
    const next = blocks[index + 1];
    const follows = next?.language === 'text' && next.line === lastLine(block) + 2;
    const place = `${file}:${block.line}`;
    const before = blocks[index - 1];
    return [
      {
        place,
        code: block.text,
        output: follows ? next.text : undefined,
        plan: before?.language === 'yaml' ? before.text : undefined,
        dir: place.replaceAll(/\W/g, '-'),
      },
    ];
  });
}

const samples = ['README.md', ...guides].flatMap(samplesOf);
const folder = mkdtempSync(join(tmpdir(), 'troupe-samples-'));
const RUN = ['--conditions=troupe-source', 'sample.ts'];
/** A sample that is a test is run by its runner. */
const TEST = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', '..', '--dir', '.'];
const isTest = (code: string): boolean => code.includes("from 'vitest'");

beforeAll(() => {
  for (const name of ['xstate', 'zod', '@types', 'vitest', 'troupe']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(name === 'troupe' ? root : join(root, 'node_modules', name), link, 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'vitest.config.js'),
    `const conditions = ['troupe-source', 'module', 'node', 'development|production'];
    export default { resolve: { conditions }, ssr: { resolve: { conditions } }, test: { include: ['**/sample.ts'] } };`,
  );
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: join(root, 'tsconfig.json'), include: ['*/sample.ts'] }),
  );
  for (const { dir, code, plan } of samples) {
    mkdirSync(join(folder, dir));
    writeFileSync(join(folder, dir, 'sample.ts'), code);
    if (plan !== undefined) writeFileSync(join(folder, dir, 'plan.yaml'), plan);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('samples', { timeout: 60_000 }, () => {
  test('are there', () => expect(samples.length).toBeGreaterThan(2));

  test.concurrent.each(samples)('$place runs and prints what is shown', async ({ dir, code, output }) => {
    const command = isTest(code) ? TEST : RUN;
    const { stdout } = await run(process.execPath, command, { cwd: join(folder, dir) });
    if (output !== undefined) expect(stdout).toBe(output);
  });

  test.concurrent('are typed', async () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout } = await run(process.execPath, [tsc, '--noEmit', '--pretty', 'false', '-p', folder], {
      cwd: folder,
    }).catch((error: { stdout: string }) => error);
    // Of the samples only: what stands outside the folder has a check of its own.
    expect(stdout.split('\n').filter((line) => line.includes('error TS') && !line.startsWith('../'))).toEqual([]);
  });

  test.concurrent("README's order goes on after kill -9, and charges once", async () => {
    const [order] = samples;
    const cwd = join(folder, 'killed');
    mkdirSync(cwd);
    writeFileSync(join(cwd, 'sample.ts'), order?.code ?? '');
    const killed = spawn(process.execPath, RUN, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = new Promise((resolve) => killed.once('exit', resolve));
    await new Promise((resolve) => killed.stdout.once('data', resolve));
    const watching = await createTroupe({ backend: embedded({ dir: join(cwd, '.troupe') }), recover: false });
    for await (const { type } of (await watching.attach('order-42')).entries()) if (type === 'leaf.succeeded') break;
    await watching.close();
    killed.kill('SIGKILL');
    await gone;
    const { stdout } = await run(process.execPath, RUN, { cwd });
    expect(stdout).toBe('shipped A1\norder-42 completed\n');
  });
});

describe('commands', { timeout: 60_000 }, () => {
  const lines = ['README.md', ...guides]
    .flatMap(blocksOf)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'));
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

  test('of npm are scripts', () => {
    const named = lines.flatMap((line) =>
      [...line.matchAll(/npm (?:run )?(?:--\w+ )?([\w:]+)/g)].map(([, name = '']) => name),
    );
    expect(named.filter((name) => name !== 'ci' && scripts[name] === undefined)).toEqual([]);
  });

  test("README's run as printed, in order, in a fresh clone", async () => {
    const block = blocksOf('README.md').find(({ text }) => text.includes('npm run troupe'))?.text ?? '';
    const [port, clone] = [await freePort(), mkdtempSync(join(tmpdir(), 'troupe-commands-'))];
    for (const name of ['package.json', 'node_modules', 'src', 'actors', 'machines', 'examples'])
      symlinkSync(join(root, name), join(clone, name));
    // Each must succeed; the port alone is another.
    writeFileSync(join(clone, 'commands.sh'), `set -e\n${block.replace('--port 2525', `--port ${port}`)}`);
    const env = { ...process.env, SMTP_PORT: String(port) };
    const shell = spawn('bash', ['commands.sh'], {
      cwd: clone,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let printed = '';
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (data: Buffer) => (printed += String(data)));
    try {
      const code = await new Promise((resolve) => shell.once('close', resolve));
      expect([code, printed]).toEqual([0, expect.stringContaining('"equal":true')]);
      expect(printed).toContain('completed in ');
      expect(printed).toMatch(/^monday +plan +completed/m);
      const mails = readFileSync(join(clone, 'mails.log'), 'utf8').trim().split('\n');
      expect(mails).toHaveLength(12);
    } finally {
      // The server, if a command failed before it was ended.
      if (shell.pid !== undefined) endGroup(shell.pid);
      rmSync(clone, { recursive: true, force: true });
    }
  });

  test("control.md's run as printed, in order, and end as said", { timeout: 120_000 }, async () => {
    const blocks = blocksOf('docs/guides/control.md');
    const config = blocks.findLast(({ language }) => language === 'ts')?.text ?? '';
    const shown =
      blocks
        .findLast(({ language }) => language === 'sh')
        ?.text.trim()
        .split('\n') ?? [];
    expect(shown.length).toBeGreaterThan(10);
    const cwd = join(folder, 'control');
    mkdirSync(cwd);
    writeFileSync(join(cwd, 'troupe.config.ts'), config);
    const troupe = `troupe() { '${process.execPath}' --conditions=troupe-source '${join(root, 'src/cli/main.ts')}' "$@"; }`;
    for (const line of shown) {
      const [, command = '', code = ''] = /^(.*?) +# (\d)/.exec(line) ?? [];
      const ended = await run('bash', ['-c', `${troupe}; ${command}`], { cwd }).then(
        () => 0,
        (error: { code: number; stderr: string }) => error.code,
      );
      expect([command, ended]).toEqual([command, Number(code)]);
    }
  });

  const shapes = ['run', 'ps', 'show', 'kill', 'recover', 'resolve', 'replay', 'logs', 'draw', 'doctor'];
  test.concurrent.each(shapes)('troupe %s is shown, and there', async (command) => {
    expect(read('README.md')).toMatch(new RegExp(`(troupe -- |\`)${command}\\b`));
    const { stdout } = await run(process.execPath, [RUN[0] ?? '', 'src/cli/main.ts', command, '--help'], { cwd: root });
    expect(stdout).toContain(`Usage: troupe ${command}`);
  });
});

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGTERM');
  } catch {
    // all of it has ended
  }
}

test('linked files are there', () => {
  const documents = ['README.md', 'CONTRIBUTING.md', 'docs/ARCHITECTURE.md', 'docs/dependencies.md', ...guides];
  const missing = documents.flatMap((file) =>
    [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
      .map(([, target = '']) => join(root, dirname(file), target))
      .filter((target) => !existsSync(target)),
  );
  expect(missing).toEqual([]);
});

test('docs/dependencies.md has a line for each dependency, and no other', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const { dependencies, peerDependencies, devDependencies } = manifest;
  const listed = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
  const named = new Set([dependencies, peerDependencies, devDependencies].flatMap((list) => Object.keys(list ?? {})));
  expect(new Set(listed)).toEqual(named);
});
