import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('processes that cannot be looked at for want of a file descriptor are not taken for gone', async () => {
  const host = fileURLToPath(new URL('../../support/isolated/blind.ts', import.meta.url));
  const script = 'ulimit -n 40; exec "$0" --conditions=troupe-source "$1"';
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script, process.execPath, host]);
  expect(JSON.parse(stdout)).toEqual({ blind: false, later: true });
});
