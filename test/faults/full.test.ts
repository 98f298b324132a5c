import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const cycles = Number(process.env['FAULT_FULL_CYCLES'] ?? 3);
const GOES_ON_MS = 5_000;

const MOUNT = 'mount -t tmpfs -o size=6m none "$0"';

/** How a disk of 6 MB is had, of a process of its own and gone with it: as root, or as root of a user namespace; if at all. */
const unshared = [['-m'], ['-r', '-m']].find(
  (flags) => spawnSync('unshare', [...flags, 'sh', '-c', MOUNT, tmpdir()], { stdio: 'ignore' }).status === 0,
);

/** What a process prints that has this directory for itself, on a disk of 6 MB where there can be one. */
async function printed(file: URL, dir: string, ...args: string[]): Promise<string> {
  const node = ['--conditions=troupe-source', fileURLToPath(file), dir, ...args];
  const [command, ...given] =
    unshared === undefined
      ? [process.execPath, ...node]
      : ['unshare', ...unshared, 'sh', '-c', `${MOUNT} && exec "$@"`, dir, process.execPath, ...node];
  const child = spawn(command, given, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += String(text)));
  child.stderr.on('data', (text: Buffer) => (stderr += String(text)));
  try {
    expect(await once(child, 'close'), stderr).toEqual([0, null]);
    console.log(stdout.trim());
    return stdout;
  } finally {
    child.kill('SIGKILL');
  }
}

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'troupe-full-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Seen {
  calls: number;
  intents: number;
  refused: number;
  worstMs: number;
}

it(`goes on ${cycles} times after its disk was full`, { timeout: 60_000 + cycles * 20_000 }, async () => {
  const disk = unshared === undefined ? 'refusing' : 'small';
  const what = disk === 'small' ? 'a disk of 6 MB' : 'no disk can be mounted here: a store that refuses';
  console.log(`FAULT_FULL_CYCLES=${cycles}, ${what}`);
  const seen = JSON.parse(await printed(new URL('full.ts', import.meta.url), dir, disk, String(cycles))) as Seen;
  expect(seen).toMatchObject({ premature: [], lost: [], phantoms: [], others: [], equal: true });
  // One that was recorded may have been left before it began.
  expect(seen.calls).toBeLessThanOrEqual(seen.intents);
  expect(seen.refused).toBeGreaterThanOrEqual(cycles);
  expect(seen.worstMs).toBeLessThan(GOES_ON_MS);
});

// It takes a disk.
if (unshared !== undefined)
  it('folds a log that has filled the disk as soon as there is room for that', { timeout: 60_000 }, async () => {
    const { before, after } = JSON.parse(await printed(new URL('log.ts', import.meta.url), dir)) as {
      before: number;
      after: number;
    };
    expect(before).toBeGreaterThan(100);
    // What was freed alone has room for some ten.
    expect(after).toBeGreaterThan(before / 2);
  });
