import type { Journal, Stored } from '../../../backend.ts';
import { isId, journalId, type JournalId, type RunId } from '../../../protocol/ids.ts';
import { checkAppend, checkCount, MAX_SEQ, SEQ_BITS } from '../check.ts';
import { Watchers } from '../watchers.ts';
import { damaged, explain } from './failure.ts';
import type { Store } from './open.ts';

/** A reader holds no lock between pages, so that a slow one never keeps the log from being folded into the file. */
const PAGE_ROWS = 256;
const PAGE_BYTES = 1 << 20;

type Row = Record<string, unknown>;

/** An entry's id is `no * SPAN + seq`: a journal's entries stand together, and an append writes one page. */
const SPAN = 2 ** SEQ_BITS;
const MAX_NO = 2 ** (53 - SEQ_BITS) - 1;
/** A name and its number take some 100 bytes. */
const KNOWN = 1 << 14;

export function sqliteJournal({ db, file, clock, group, poll, ends, use, attempt }: Store): Journal {
  const number = db.prepare('SELECT no FROM runs WHERE run = ?');
  const add = db.prepare('INSERT INTO runs (run) VALUES (?) RETURNING no');
  const insert = db.prepare('INSERT INTO entries (id, epoch, hash, bytes) VALUES (?, ?, ?, ?)');
  const last = db.prepare('SELECT id, epoch FROM entries WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1');
  const tail = db.prepare(
    'SELECT id, epoch, hash, bytes FROM entries WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1',
  );
  const page = db.prepare('SELECT id, epoch, hash, bytes FROM entries WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?');
  // From the entries: a run that has none is not listed, and entries that have no run do not pass unseen.
  const next = db.prepare(
    `SELECT entries.id >> ${SEQ_BITS} AS no, run FROM entries LEFT JOIN runs ON no = entries.id >> ${SEQ_BITS}
     WHERE entries.id >= ? ORDER BY entries.id LIMIT 1`,
  );

  const baseOf = (no: unknown, run: JournalId): number => {
    if (typeof no === 'number' && no >= 1 && no <= MAX_NO) return no * SPAN;
    throw damaged(`find run ${run}`, file, 'it has a number that troupe never wrote', { run, seq: 1 });
  };

  // Where the ids of a run begin: never changes once it is committed, and only then it is kept here.
  const known = new Map<JournalId, number>();
  const remember = (run: JournalId, base: number): void => {
    if (known.size >= KNOWN) known.clear();
    known.set(run, base);
  };
  const find = (run: JournalId): number | undefined => {
    const row = number.get(run);
    return row === undefined ? undefined : baseOf(row['no'], run);
  };
  /** Outside a transaction only. */
  const findCommitted = (run: JournalId): number | undefined => {
    const base = known.get(run) ?? find(run);
    if (base !== undefined) remember(run, base);
    return base;
  };
  const lastOf = (base: number): Row | undefined => last.get(base + 1, base + MAX_SEQ);

  const begin = (run: JournalId): number => {
    const base = baseOf(add.get(run)?.['no'], run);
    if (lastOf(base) === undefined) return base;
    throw damaged(`begin run ${run}`, file, 'the entries of another run stand where its own would', { run, seq: 1 });
  };

  // Asked inside the transaction that writes, never remembered: no other process can raise the epoch in between (F1).
  const append = (run: JournalId, entries: readonly Stored[], epoch: number, after: number): number | undefined => {
    let base = known.get(run) ?? find(run);
    const before = base === undefined ? undefined : lastOf(base);
    const reached = base === undefined || before === undefined ? 0 : Number(before['id']) - base;
    if (reached !== after || Number(before?.['epoch'] ?? 0) > epoch) return undefined;
    base ??= begin(run);
    for (const entry of entries) insert.run(base + entry.seq, entry.epoch, entry.hash, entry.bytes);
    return base;
  };

  const pageOf = (run: JournalId, base: number, from: number, to: number): Stored[] => {
    const rows: Stored[] = [];
    let bytes = 0;
    for (const row of page.iterate(base + from, base + to, PAGE_ROWS)) {
      const entry = storedOf(row, file, run, base, from);
      rows.push(entry);
      bytes += entry.bytes.byteLength;
      if (bytes > PAGE_BYTES) break;
    }
    return rows;
  };

  /** What cannot be read is told once: whoever reads on then gets the error. */
  const reached = (run: JournalId): number => {
    try {
      const base = findCommitted(run);
      return base === undefined ? 0 : Number(lastOf(base)?.['id'] ?? base) - base;
    } catch {
      return -1;
    }
  };
  const watchers = new Watchers(clock, reached);
  const look = (moved: boolean): Iterator<unknown> => (moved ? watchers.look() : [].values());

  return {
    async append(run, entries, { epoch, after, barrier }) {
      use();
      checkAppend(run, entries, { epoch, after });
      try {
        const flush = barrier === true ? 'barrier' : 'level';
        const { value, level } = await group.submit(() => append(run, entries, epoch, after), flush);
        if (value === undefined) return { status: 'refused' };
        remember(run, value);
        watchers.mark(run, after + entries.length);
        return { status: 'appended', level };
      } catch (error) {
        throw explain(error, `append entry ${after + 1} of run ${run}`, file, { run, seq: after + 1 });
      }
    },

    async *read(run, from = 1) {
      use();
      journalId(run);
      checkCount(from, 'from', 1);
      const step = <T>(work: () => T): T => {
        use();
        try {
          return work();
        } catch (error) {
          throw explain(error, `read run ${run} from entry ${from}`, file, { run, seq: from });
        }
      };
      // As it is now: what is appended while somebody reads is not for this reader.
      const base = step(() => findCommitted(run));
      if (base === undefined) return;
      const end = Number(step(() => lastOf(base))?.['id'] ?? base) - base;
      while (from <= end) {
        const entries = step(() => pageOf(run, base, from, end));
        const reached = entries.at(-1)?.seq ?? 0;
        // Only a broken index loses or repeats what it has just told.
        if (reached < from) throw damaged(`read run ${run}`, file, 'its index is out of order', { run, seq: from });
        yield* entries;
        from = reached + 1;
      }
    },

    async tail(run) {
      use();
      journalId(run);
      try {
        const base = findCommitted(run);
        const row = base === undefined ? undefined : tail.get(base + 1, base + MAX_SEQ);
        return base === undefined || row === undefined ? undefined : storedOf(row, file, run, base, 1);
      } catch (error) {
        throw explain(error, `read the last entry of run ${run}`, file, { run, seq: 1 });
      }
    },

    async *list() {
      let no = 0;
      let broken = false;
      for (;;) {
        use();
        const from = (no + 1) * SPAN;
        const found = attempt('list the runs', () => next.get(from));
        if (found === undefined) break;
        const reached = Number(found['no']);
        if (reached <= no) throw damaged('list the runs', file, 'its index is out of order');
        no = reached;
        // The others are given first: one damaged name must not hide them.
        if (isId(found['run'])) yield found['run'] as RunId;
        else if (!isInbox(found['run'])) broken = true;
      }
      if (broken) throw damaged('list the runs', file, 'a run has no name, or one that troupe never wrote');
    },

    watch(run, changed) {
      use();
      journalId(run);
      return ends.add(watchers.watch(run, changed), poll.during(look));
    },
  };
}

const isInbox = (name: unknown): boolean =>
  typeof name === 'string' && name.endsWith('/inbox') && isId(name.slice(0, -'/inbox'.length));

function storedOf(row: Row, file: string, run: JournalId, base: number, seq: number): Stored {
  const { id, epoch, hash, bytes } = row;
  if (typeof id === 'number' && typeof epoch === 'number' && hash instanceof Uint8Array && bytes instanceof Uint8Array)
    return { seq: id - base, epoch, bytes, hash };
  throw damaged(`read run ${run}`, file, 'an entry is not of the kind that was written', { run, seq });
}
