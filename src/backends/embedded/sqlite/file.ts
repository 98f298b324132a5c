import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError, UnsupportedFormatError } from '../../../protocol/errors.ts';
import { MAX_SEQ, SEQ_BITS } from '../check.ts';
import { damaged } from './failure.ts';

/** 'TROU'; tells our file from any other SQLite file. */
const APPLICATION = 0x54524f55;
/** Raise it with every change of the schema: an older troupe then leaves the file alone. */
const VERSION = 1;

// An entry's id is the number of its journal and its seq in one (see journal.ts). With the name of the journal as key every append
// would write into an index too.
const SCHEMA = `
  PRAGMA application_id = ${APPLICATION};
  PRAGMA user_version = ${VERSION};
  CREATE TABLE runs (no INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE entries (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB NOT NULL, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE registry (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, hash BLOB NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE changes (revision INTEGER PRIMARY KEY, key TEXT NOT NULL) STRICT;
  CREATE TABLE signals (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, owner TEXT NOT NULL, subject TEXT, reply TEXT, hash BLOB NOT NULL, payload BLOB NOT NULL) STRICT;
  CREATE TABLE queue (no INTEGER PRIMARY KEY, queue TEXT NOT NULL, id TEXT NOT NULL, ready INTEGER NOT NULL, deliveries INTEGER NOT NULL, claim TEXT, hash BLOB NOT NULL, payload BLOB NOT NULL, UNIQUE (queue, id)) STRICT;
  CREATE INDEX ready ON queue (queue, ready);
`;

/** Of the first entries of all runs (one seek each) one that has no run, or a seq of 0. */
const STRAY = `
  WITH RECURSIVE firsts(id) AS (
    SELECT min(id) FROM entries
    UNION ALL SELECT (SELECT min(id) FROM entries WHERE id >= ((firsts.id >> ${SEQ_BITS}) + 1) << ${SEQ_BITS}) FROM firsts WHERE firsts.id IS NOT NULL
  )
  SELECT id FROM firsts
  WHERE id IS NOT NULL AND (id & ${MAX_SEQ} = 0 OR NOT EXISTS (SELECT 1 FROM runs WHERE no = firsts.id >> ${SEQ_BITS})) LIMIT 1
`;

/**
 * Opens `<dir>/troupe.db`, making it if there is none.
 *
 * Never opens it with node:fs: closing a file drops every POSIX lock that this process has on it, SQLite's own included.
 */
export function openFile(dir: string, unique: string, level: 'process' | 'disk'): { db: DatabaseSync; file: string } {
  const file = join(resolve(dir), 'troupe.db');
  makeDirectory(dirname(file));
  // First the log, then the file: a log that stands without its file is not one that somebody else is just making.
  const log = existsSync(`${file}-wal`);
  if (existsSync(file)) probe(file);
  else if (log)
    throw new StorageError(
      `${file} is gone but its log ${file}-wal is there. Restore the directory from a backup, or remove the log to begin anew.`,
      { file },
    );
  else make(file, unique);
  const db = new DatabaseSync(file);
  try {
    db.exec('PRAGMA busy_timeout = 5000');
    const mode = db.prepare('PRAGMA journal_mode = WAL').get();
    if (mode?.['journal_mode'] !== 'wal')
      throw new StorageError(`${file}: its file system cannot keep a SQLite log (WAL). Use a local directory.`, {
        file,
      });
    // fullfsync: on macOS a plain fsync does not reach the disk. autocheckpoint, in pages: folding the log in flushes twice, so 16 MB of
    // log instead of 4 save a tenth of a step; but a flush of a log that still grows takes twice as long as one of a log that is used again.
    db.exec(`
      PRAGMA fullfsync = ON; PRAGMA wal_autocheckpoint = ${level === 'disk' ? 1000 : 4000}; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 250`);
    // The hash chain sees what is altered or missing between two entries, but not that a run's last entry is lost to the index.
    // 1.5 ms per MB; folding the same runs costs far more.
    const state = db.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check'];
    if (state !== 'ok') throw damaged('open the store', file, String(state));
    // Nor that its id was altered into one of no run: no index tells an id anew.
    if (db.prepare(STRAY).get() !== undefined) throw damaged('open the store', file, 'an entry belongs to no run');
  } catch (error) {
    db.close();
    throw error;
  }
  return { db, file };
}

/** Whose file it is, asked without changing a byte of it. */
function probe(file: string): void {
  if (statSync(file).size === 0) throw damaged('open the store', file, 'it is empty');
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    db.exec('PRAGMA busy_timeout = 5000');
    const application = db.prepare('PRAGMA application_id').get()?.['application_id'];
    const version = db.prepare('PRAGMA user_version').get()?.['user_version'];
    if (application === APPLICATION && version === VERSION) return;
    const whose = application === APPLICATION ? `of format ${String(version)}` : 'of another program';
    throw new UnsupportedFormatError(
      `${file} is ${whose}; this troupe knows format ${VERSION} only. It was left as it is: use a newer troupe or another directory.`,
      { file, application, version, supported: VERSION },
    );
  } finally {
    db.close();
  }
}

/** Made aside and linked into place: nobody ever sees half of it, and of two that make it one wins. */
function make(file: string, unique: string): void {
  const aside = `${file}.${unique}.new`;
  try {
    const db = new DatabaseSync(aside);
    try {
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN; ${SCHEMA} COMMIT`);
    } finally {
      db.close();
    }
    linkSync(aside, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    for (const end of ['', '-wal', '-shm']) rmSync(`${aside}${end}`, { force: true });
  }
  syncDirectory(dirname(file));
}

// Not mkdir's own `recursive`: below /proc, where nothing can be made, it never returns (Node 24.21).
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return;
  makeDirectory(dirname(dir));
  try {
    mkdirSync(dir);
  } catch (error) {
    // Another process that begins at the same time may have been faster.
    if (!existsSync(dir)) throw error;
  }
  // A directory is on disk when the one above it is.
  syncDirectory(dirname(dir));
}

function syncDirectory(dir: string): void {
  // Windows neither allows nor needs it.
  if (process.platform === 'win32') return;
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Throws once the file that was opened is no longer the one that stands there. A stat opens nothing, so it drops no lock. */
export function watch(file: string): () => void {
  const opened = statSync(file);
  return () => {
    const now = statSync(file, { throwIfNoEntry: false });
    if (now?.ino === opened.ino && now.dev === opened.dev) return;
    throw new StorageError(
      `${file} was deleted or replaced while it was open: what is written now would be lost. Restore it and start again.`,
      { file },
      undefined,
      false,
    );
  };
}
