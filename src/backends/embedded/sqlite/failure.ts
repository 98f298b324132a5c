import { CorruptJournalError, StorageError, StorageFullError, TroupeError } from '../../../protocol/errors.ts';

// https://sqlite.org/rescode.html: the low byte is the kind.
const BUSY = 5;
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;
/** No room for the shared memory file of the log. */
const SHM_SIZE = 4874;

const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined;

const kindOf = (error: unknown): number | undefined => {
  const code = codeOf(error);
  return code === undefined ? undefined : code & 0xff;
};

const has = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;

/** Another process holds the lock: the same may work later. */
export const isBusy = (error: unknown): boolean => kindOf(error) === BUSY;

export const isFull = (error: unknown): boolean =>
  kindOf(error) === FULL || codeOf(error) === SHM_SIZE || has(error, 'ENOSPC') || has(error, 'EDQUOT');

// A number no writer of ours would write comes out of node:sqlite as a range error.
const isDamage = (error: unknown): boolean =>
  kindOf(error) === CORRUPT || kindOf(error) === NOT_A_DATABASE || has(error, 'ERR_OUT_OF_RANGE');

/** What SQLite or the file system threw, as the error a caller can act on. `doing` completes "Cannot …". */
export function explain(
  error: unknown,
  doing: string,
  file: string,
  entry?: { run: string; seq: number },
): TroupeError {
  if (error instanceof TroupeError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (isFull(error))
    return new StorageFullError(
      `Cannot ${doing}: no space is left for ${file}. Nothing was written; make room and repeat.`,
      { file, ...entry },
      error,
    );
  if (isDamage(error)) return damaged(doing, file, reason, entry, error);
  const what = isBusy(error)
    ? 'another process has held its lock for too long; see which one does, then repeat'
    : reason;
  return new StorageError(`Cannot ${doing}: ${file}: ${what}.`, { file, ...entry, reason }, error);
}

export function damaged(
  doing: string,
  file: string,
  reason: string,
  entry?: { run: string; seq: number },
  cause?: unknown,
): TroupeError {
  const message = `Cannot ${doing}: ${file} is damaged (${reason}). Keep a copy of it, then restore the directory from a backup.`;
  if (entry === undefined) return new StorageError(message, { file, reason }, cause);
  return new CorruptJournalError(message, { ...entry, file, reason });
}
