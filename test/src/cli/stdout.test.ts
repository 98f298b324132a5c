import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder, MAIN } from './folder.ts';

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.write('list.txt', 'a. Get all contacts\n');
  await folder.troupe('run', 'list.txt', '--id', 'one');
});
afterEach(() => folder.remove());

describe('a stdout that cannot be written', () => {
  it.each([['audit', '--json'], ['logs', 'one'], ['ps', '--json'], ['ps'], ['draw', 'greet']])(
    'is told, and ends %s %s with 1',
    (...args) => {
      // For reading alone: each write to it fails.
      const stdout = openSync(join(folder.path, 'list.txt'), 'r');
      try {
        const { status, stderr } = spawnSync(process.execPath, ['--conditions=troupe-source', MAIN, ...args], {
          cwd: folder.path,
          stdio: ['ignore', stdout, 'pipe'],
          encoding: 'utf8',
        });
        expect([status, stderr]).toEqual([1, expect.stringContaining('troupe: EBADF: stdout is not whole: ')]);
      } finally {
        closeSync(stdout);
      }
    },
  );

  it('is told where only the first part of one write fits', () => {
    const limited = `ulimit -f 4; trap '' XFSZ; exec "$0" "$@" > cut`;
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', limited, process.execPath, '--conditions=troupe-source', MAIN, 'completion', 'bash'],
      { cwd: folder.path, encoding: 'utf8' },
    );
    expect(readFileSync(join(folder.path, 'cut')).length).toBeGreaterThan(0);
    expect([status, stderr]).toEqual([1, expect.stringContaining('troupe: EFBIG: stdout is not whole: ')]);
  });
});
