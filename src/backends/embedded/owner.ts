import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../../protocol/errors.ts';
import type { OwnerId } from '../../protocol/ids.ts';
import { isBusy } from './failure.ts';

/**
 * An owner lives as long as somebody holds the exclusive lock on its file: the operating system lets go of it when the process
 * ends, however it ends. No lease, no pid, no clock.
 */
const fileOf = (dir: string, owner: OwnerId): string => join(resolve(dir), 'owners', `${owner}.db`);

// Nothing is ever written to it, but an exclusive transaction would make a rollback file beside it.
const take = (file: string, patienceMs: number): DatabaseSync | undefined => {
  const db = new DatabaseSync(file);
  try {
    db.exec(`PRAGMA busy_timeout = ${patienceMs}; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE`);
    return db;
  } catch (error) {
    db.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
};

/** Takes the lock of `owner` until it is called. @throws StorageError if somebody has it */
export function hold(dir: string, owner: OwnerId): () => void {
  const file = fileOf(dir, owner);
  mkdirSync(join(resolve(dir), 'owners'), { recursive: true });
  // Somebody who asks whether this owner is alive has the lock for a moment.
  const db = take(file, 250);
  if (db === undefined)
    throw new StorageError(`The owner ${owner} is alive in ${file}: open this directory with an owner id of its own.`, {
      file,
      owner,
    });
  return () => letGo(file, db);
}

export function isAlive(dir: string, owner: OwnerId): boolean {
  const file = fileOf(dir, owner);
  if (!existsSync(file)) return false;
  const db = take(file, 0);
  if (db === undefined) return true;
  letGo(file, db);
  return false;
}

/** Removed while still locked: who comes after finds no file, or a free one that nobody will take again. */
function letGo(file: string, db: DatabaseSync): void {
  try {
    rmSync(file, { force: true });
  } finally {
    db.close();
  }
}
