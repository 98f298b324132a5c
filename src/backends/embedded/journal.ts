import type { Journal, Stored } from '../../backend.ts';
import type { DatabaseSync } from 'node:sqlite';
import { checkId, isId, type RunId } from '../../protocol/ids.ts';
import { checkAppend, checkCount } from './check.ts';
import { damaged, explain } from './failure.ts';
import type { Group } from './group.ts';

/** What the tables stand on. `use` throws once the backend is closed. */
export interface Store {
  readonly db: DatabaseSync;
  readonly file: string;
  readonly group: Group;
  readonly use: () => void;
}

/** A reader holds no lock between pages, so that a slow one never keeps the log from being folded into the file. */
const PAGE_ROWS = 256;
const PAGE_BYTES = 1 << 20;

type Row = Record<string, unknown>;

export function sqliteJournal({ db, file, group, use }: Store): Journal {
  const insert = db.prepare('INSERT INTO entries (run, seq, epoch, hash, bytes) VALUES (?, ?, ?, ?, ?)');
  const last = db.prepare('SELECT seq, epoch FROM entries WHERE run = ? ORDER BY seq DESC LIMIT 1');
  const tail = db.prepare('SELECT seq, epoch, hash, bytes FROM entries WHERE run = ? ORDER BY seq DESC LIMIT 1');
  const page = db.prepare(
    'SELECT seq, epoch, hash, bytes FROM entries WHERE run = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?',
  );
  const next = db.prepare('SELECT run FROM entries WHERE run > ? ORDER BY run, seq LIMIT 1');

  // Asked inside the transaction that writes, never remembered: no other process can raise the epoch in between (F1).
  const append = (run: RunId, entries: readonly Stored[], epoch: number, after: number): boolean => {
    const before = last.get(run);
    if ((before?.['seq'] ?? 0) !== after || Number(before?.['epoch'] ?? 0) > epoch) return false;
    for (const entry of entries) insert.run(run, entry.seq, entry.epoch, entry.hash, entry.bytes);
    return true;
  };

  const pageOf = (run: RunId, from: number, to: number): Stored[] => {
    const rows: Stored[] = [];
    let bytes = 0;
    for (const row of page.iterate(run, from, to, PAGE_ROWS)) {
      const entry = storedOf(row, file, run, from);
      rows.push(entry);
      bytes += entry.bytes.byteLength;
      if (bytes > PAGE_BYTES) break;
    }
    return rows;
  };

  return {
    async append(run, entries, { epoch, after, barrier }) {
      use();
      checkAppend(run, entries, { epoch, after });
      try {
        const { value, level } = await group.submit(() => append(run, entries, epoch, after), barrier);
        return value ? { status: 'appended', level } : { status: 'refused' };
      } catch (error) {
        throw explain(error, `append entry ${after + 1} of run ${run}`, file, { run, seq: after + 1 });
      }
    },

    async *read(run, from = 1) {
      use();
      checkId(run, 'run id');
      checkCount(from, 'from', 1);
      const attempt = <T>(work: () => T): T => {
        use();
        try {
          return work();
        } catch (error) {
          throw explain(error, `read run ${run} from entry ${from}`, file, { run, seq: from });
        }
      };
      // As it is now: what is appended while somebody reads is not for this reader.
      const end = Number(attempt(() => last.get(run))?.['seq'] ?? 0);
      while (from <= end) {
        const entries = attempt(() => pageOf(run, from, end));
        const reached = entries.at(-1)?.seq ?? 0;
        // Only a broken index loses or repeats what it has just told.
        if (reached < from) throw damaged(`read run ${run}`, file, 'its index is out of order', { run, seq: from });
        yield* entries;
        from = reached + 1;
      }
    },

    async tail(run) {
      use();
      checkId(run, 'run id');
      try {
        const row = tail.get(run);
        return row === undefined ? undefined : storedOf(row, file, run, 1);
      } catch (error) {
        throw explain(error, `read the last entry of run ${run}`, file, { run, seq: 1 });
      }
    },

    async *list() {
      let run = '';
      let broken = false;
      for (;;) {
        use();
        let found: unknown;
        try {
          found = next.get(run)?.['run'];
        } catch (error) {
          throw explain(error, 'list the runs', file);
        }
        if (found === undefined) break;
        if (typeof found !== 'string' || found <= run)
          throw damaged('list the runs', file, 'its index is out of order');
        run = found;
        // The others are given first: one damaged name must not hide them.
        if (isId(found)) yield found as RunId;
        else broken = true;
      }
      if (broken) throw damaged('list the runs', file, 'a run has a name that troupe never wrote');
    },
  };
}

function storedOf(row: Row, file: string, run: RunId, seq: number): Stored {
  const { seq: number, epoch, hash, bytes } = row;
  if (
    typeof number === 'number' &&
    typeof epoch === 'number' &&
    hash instanceof Uint8Array &&
    bytes instanceof Uint8Array
  )
    return { seq: number, epoch, bytes, hash };
  throw damaged(`read run ${run}`, file, 'an entry is not of the kind that was written', { run, seq });
}
