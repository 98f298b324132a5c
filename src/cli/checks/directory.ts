import { accessSync, constants, existsSync, readdirSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Backend } from '../../backend.ts';
import { isId, ownerId } from '../../protocol/ids.ts';
import { count } from '../render.ts';
import { fail, ok, warn, type Check } from './check.ts';

/** Where a backend keeps its files, if it says so. */
export function directoryOf(backend: object): string | undefined {
  const { dir } = backend as { dir?: unknown };
  return typeof dir === 'string' ? resolve(dir) : undefined;
}

/** Opening it would make it. */
export const isNew = (dir: string): boolean =>
  !existsSync(join(dir, 'troupe.db')) && !existsSync(join(dir, 'troupe.db-wal'));

const MB = 1024 * 1024;
const LITTLE = 100 * MB;
const TOO_LITTLE = 10 * MB;

// Linux: statfs(2). SQLite's locks and log cannot be relied on over a network.
const REMOTE: Readonly<Record<number, string>> = {
  0x6969: 'NFS',
  0x517b: 'SMB',
  0xff534d42: 'CIFS',
  0xfe534d42: 'SMB',
  0x01021997: '9P',
  0x5346414f: 'AFS',
  0x00c36400: 'Ceph',
};
const FUSE = 0x65735546;
const TMPFS = 0x01021994;

export function* directoryChecks(dir: string): Generator<Check> {
  const there = existing(dir);
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
    const { bavail, bsize, type } = statfsSync(there);
    yield isNew(dir) ? noStore(dir) : ok('directory', `${dir} can be written`);
    yield spaceCheck(bavail * bsize);
    yield fileSystemCheck(process.platform === 'linux' ? type : 0);
  } catch (error) {
    const todo = 'give this user the right to it, or use another directory';
    yield fail('directory', `${there} cannot be used: ${(error as Error).message}`, todo);
  }
}

const noStore = (dir: string): Check =>
  warn(
    'directory',
    `${dir} holds no store yet; the first run makes it`,
    'nothing, if this is a new project; otherwise see whether it is the right directory',
  );

export function spaceCheck(free: number): Check {
  const says = `${Math.floor(free / MB)} MB free`;
  if (free < TOO_LITTLE) return fail('space', `${says}: appends will soon be refused`, 'make room');
  return free < LITTLE ? warn('space', `${says}: that may soon be too little`, 'make room') : ok('space', says);
}

/** @param type as statfs(2) of Linux has it; 0 where nobody knows */
export function fileSystemCheck(type: number): Check {
  const remote = REMOTE[type];
  if (remote !== undefined)
    return fail(
      'file system',
      `${remote}: locks over a network cannot be relied on, two processes may own one run`,
      'use a local directory',
    );
  if (type === FUSE)
    return warn('file system', 'FUSE, which may stand for a network', 'make sure that it is a local disk');
  if (type === TMPFS) return warn('file system', 'in memory: nothing survives a reboot', 'use a directory on disk');
  return ok('file system', type === 0 ? 'not looked at: only Linux tells' : 'local');
}

/** The directory itself, or the nearest above it that there is. */
const existing = (dir: string): string => (existsSync(dir) || dirname(dir) === dir ? dir : existing(dirname(dir)));

/** Other processes that have the store open now. */
export async function ownersCheck(dir: string, backend: Backend): Promise<Check> {
  const folder = join(dir, 'owners');
  const ids = (existsSync(folder) ? readdirSync(folder) : []).map((file) => file.replace(/\.db.*$/, ''));
  const others = [...new Set(ids)].filter((id) => isId(id) && id !== backend.owner).map(ownerId);
  const alive = (await Promise.all(others.map((other) => backend.alive(other)))).filter(Boolean).length;
  return ok('owners', alive === 0 ? 'nobody else has the store open' : `${count(alive, 'other owner')} alive`);
}
