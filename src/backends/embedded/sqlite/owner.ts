import { existsSync, linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../../../protocol/errors.ts';
import type { OwnerId } from '../../../protocol/ids.ts';
import { isBusy } from './failure.ts';

/**
 * An owner lives as long as somebody holds the exclusive lock on its file: the operating system lets go of it when the process
 * ends, however it ends. No lease, no pid, no clock.
 */
const fileOf = (dir: string, owner: OwnerId): string => join(resolve(dir), 'owners', `${owner}.db`);

// Nothing is ever written to it, but an exclusive transaction would make a rollback file beside it.
const take = (file: string): DatabaseSync | undefined => {
  const db = new DatabaseSync(file);
  try {
    db.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
};

/**
 * Takes the lock of `owner` until it is called. The file is locked before it stands in its place: whoever finds one there that is
 * free may remove it. @throws StorageError if somebody has it
 */
export function hold(dir: string, owner: OwnerId): () => void {
  const file = fileOf(dir, owner);
  mkdirSync(dirname(file), { recursive: true });
  const aside = `${file}.new`;
  const db = existsSync(file) && isAlive(dir, owner) ? undefined : take(aside);
  try {
    if (db !== undefined) linkSync(aside, file);
  } catch (error) {
    db?.close();
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    throw aliveAlready(owner, file);
  } finally {
    if (db !== undefined) rmSync(aside, { force: true });
  }
  if (db === undefined) throw aliveAlready(owner, file);
  return () => {
    try {
      // While it is still locked.
      rmSync(file, { force: true });
    } finally {
      db.close();
    }
  };
}

const aliveAlready = (owner: OwnerId, file: string): StorageError =>
  new StorageError(`The owner ${owner} is alive in ${file}: open this directory with an owner id of its own.`, {
    file,
    owner,
  });

/** Whoever else is there, dead or alive. */
const others = (dir: string, owner: OwnerId): OwnerId[] =>
  readdirSync(join(resolve(dir), 'owners'))
    .filter((name) => name.endsWith('.db') && name !== `${owner}.db`)
    .map((name) => name.slice(0, -'.db'.length) as OwnerId);

/** True only if nobody else has opened this directory: an owner has its file before its opening is done. */
export function isAlone(dir: string, owner: OwnerId): boolean {
  try {
    return others(dir, owner).length === 0;
  } catch {
    return false;
  }
}

/** Removes what the dead have left. */
export function sweep(dir: string, owner: OwnerId): void {
  for (const other of others(dir, owner))
    try {
      isAlive(dir, other);
    } catch {
      // One that cannot be asked stays.
    }
}

/** Asks for a shared lock, so that those who ask do not take each other for the owner. What a dead one has left is removed. */
export function isAlive(dir: string, owner: OwnerId): boolean {
  const file = fileOf(dir, owner);
  if (!existsSync(file)) return false;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true });
    db.exec('PRAGMA busy_timeout = 0; BEGIN; SELECT 1 FROM sqlite_schema');
    rmSync(file, { force: true });
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    // Somebody else has removed it meanwhile.
    if (!existsSync(file)) return false;
    throw error;
  } finally {
    db?.close();
  }
}
