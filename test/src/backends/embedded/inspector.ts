import { mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { unseal } from '../../../../src/chain.ts';
import { systemClock } from '../../../../src/clock.ts';
import { TroupeError } from '../../../../src/protocol/errors.ts';
import { inboxOf, ownerId, runId, type RunId } from '../../../../src/protocol/ids.ts';
import { all } from '../../../contracts/harness.ts';
import { sealed } from '../../../contracts/sealed.ts';

/**
 * A process that harms copies of a store, reads what is left of each, and prints a line for each: its kind, its number and what
 * became of it. Should one end the process, the line before says which. With a `step` it also cuts file and log at every so many of
 * their last 4,096 bytes.
 */
const [root = '', count = '', step = ''] = process.argv.slice(2);
const [LENGTH, PAGE] = [12, 4096];
const runs = Array.from({ length: 8 }, (_, index) => runId(`run-${index}`));

const open = (dir: string, owner: string): Promise<Backend> =>
  embedded({ dir }).open({ owner: ownerId(owner), clock: systemClock() });

interface Image {
  db: Buffer;
  wal: Buffer | undefined;
  shm: Buffer | undefined;
}

/** A store as it is left by its last owner, and as a kill leaves it: then most of it is in the log. */
async function images(): Promise<{ closed: Image; killed: Image }> {
  const dir = join(root, 'whole');
  const read = (end: string): Buffer => readFileSync(join(dir, `troupe.db${end}`));
  const fill = async (backend: Backend, round: number): Promise<void> => {
    const after = (round * LENGTH) / 2;
    for (const run of runs) {
      const before = (await backend.journal.tail(run))?.hash;
      const entries = sealed(run, LENGTH / 2, { after, ...(before && { before }) });
      await backend.journal.append(inboxOf(run), sealed(run, 1, { after: round }), { epoch: 1, after: round });
      await backend.registry.put(run, run);
      await backend.queue.enqueue('q', `${run}-${round}`, Buffer.from(`${run}-${round}`));
      // Last, so that it shows when the last commit is lost.
      await backend.journal.append(run, entries, { epoch: 1, after });
    }
  };
  const first = await open(dir, 'first');
  await fill(first, 0);
  await first.close();
  const second = await open(dir, 'second');
  await fill(second, 1);
  const killed = { db: read(''), wal: read('-wal'), shm: read('-shm') };
  await second.close();
  return { closed: { db: read(''), wal: undefined, shm: undefined }, killed };
}

/** xorshift: the same numbers every time. */
let state = 1;
const below = (limit: number): number => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
};
const flipped = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  for (let flips = 1 + below(3); flips > 0; flips -= 1) {
    const bit = below(copy.length * 8);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
  return copy;
};
const garbage = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)));
const pageOf = (bytes: Buffer, page: number): Buffer => Buffer.from(bytes.subarray(page * PAGE, (page + 1) * PAGE));
const twoPages = (bytes: Buffer): [number, number] => {
  const pages = bytes.length / PAGE;
  const one = below(pages);
  return [one, (one + 1 + below(pages - 1)) % pages];
};
const withPages = (bytes: Buffer, pages: [number, Buffer][]): Buffer => {
  const copy = Buffer.from(bytes);
  for (const [page, content] of pages) content.copy(copy, page * PAGE);
  return copy;
};

const CUTS = 70;
const LAST = 4096;
const { closed, killed } = await images();
const log = killed.wal ?? Buffer.alloc(0);
const kinds: Record<string, { many: number; harm: (index: number) => Image }> = {
  cut: {
    many: CUTS,
    // The last page more closely.
    harm: (index) => {
      const near = Math.max(0, closed.db.length - PAGE) + index * 61;
      const size = index % 2 === 0 && near < closed.db.length ? near : Math.floor((closed.db.length * index) / CUTS);
      return { ...closed, db: closed.db.subarray(0, size) };
    },
  },
  flipped: { many: Number(count), harm: () => ({ ...closed, db: flipped(closed.db) }) },
  zeroed: {
    many: closed.db.length / PAGE,
    harm: (index) => ({ ...closed, db: withPages(closed.db, [[index, Buffer.alloc(PAGE)]]) }),
  },
  duplicated: {
    many: 40,
    harm: () => {
      const [one, other] = twoPages(closed.db);
      return { ...closed, db: withPages(closed.db, [[one, pageOf(closed.db, other)]]) };
    },
  },
  swapped: {
    many: 40,
    harm: () => {
      const [one, other] = twoPages(closed.db);
      const pages: [number, Buffer][] = [
        [one, pageOf(closed.db, other)],
        [other, pageOf(closed.db, one)],
      ];
      return { ...closed, db: withPages(closed.db, pages) };
    },
  },
  'log cut': {
    many: 40,
    harm: (index) => ({ ...killed, shm: undefined, wal: log.subarray(0, Math.floor((log.length * index) / 40)) }),
  },
  'log flipped': { many: Number(count) / 4, harm: () => ({ ...killed, shm: undefined, wal: flipped(log) }) },
  'file flipped under its log': { many: 40, harm: () => ({ ...killed, shm: undefined, db: flipped(killed.db) }) },
  'log of garbage': { many: 5, harm: () => ({ ...killed, shm: undefined, wal: garbage(log.length) }) },
  'memory of garbage': { many: 10, harm: (index) => ({ ...killed, shm: garbage(index * 5_000) }) },
  'memory flipped': { many: 20, harm: () => ({ ...killed, shm: flipped(killed.shm ?? Buffer.alloc(1)) }) },
};
if (step !== '') {
  const many = Math.floor(LAST / Number(step));
  const without = (bytes: Buffer, index: number): Buffer => bytes.subarray(0, bytes.length - 1 - index * Number(step));
  kinds['end cut'] = { many, harm: (index) => ({ ...closed, db: without(closed.db, index) }) };
  kinds['log end cut'] = { many, harm: (index) => ({ ...killed, shm: undefined, wal: without(log, index) }) };
}

const fail = (what: string): never => {
  throw new Error(what);
};

/**
 * Everything is as it was written or a typed error says that it is not. Of a damaged log the end may be gone: SQLite takes what stands
 * behind damage for what a crash has left. Then the last commits are missing, and no other.
 */
async function inspect(dir: string, mayEndEarly: boolean): Promise<'reported' | 'shortened' | 'harmless'> {
  let reported = false;
  let shortest = LENGTH;
  const tried = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      reported = true;
      return undefined;
    }
  };
  const backend = await tried(() => open(dir, 'inspector'));
  if (backend === undefined) return 'reported';
  const { journal, registry, queue } = backend;
  const listed = await tried(() => all(journal.list()));
  if (listed !== undefined && !mayEndEarly && listed.toSorted().join() !== runs.join()) fail(`listed ${listed.join()}`);
  for (const run of runs) {
    const read = async (from: RunId) => (await all(unseal(from, journal.read(from)))).length;
    const length = await tried(() => read(run));
    if (length !== undefined && length !== LENGTH && !mayEndEarly) fail(`${run} has ${length} entries`);
    // In this order they were written.
    if (length !== undefined && length > shortest) fail(`${run} has ${length} entries, one before it ${shortest}`);
    shortest = Math.min(shortest, length ?? LENGTH);
    const inbox = await tried(() => all(journal.read(inboxOf(run))));
    if (inbox !== undefined && inbox.length !== 2 && !mayEndEarly)
      fail(`the inbox of ${run} has ${inbox.length} entries`);
    const fact = await tried(() => registry.get(run));
    if (fact !== undefined && fact.value !== run) fail(`the fact of ${run} is ${String(fact.value)}`);
    await tried(() => journal.append(run, sealed(run, 1, { after: LENGTH }), { epoch: 1, after: LENGTH }));
  }
  const facts = await tried(() => all(registry.list('')));
  if (facts?.some(({ key, value }) => key !== value) === true) fail('a fact is another');
  for (let claims = 0; claims < 2 * runs.length; claims += 1) {
    const claim = await tried(() => queue.claim('q', { leaseMs: 1_000 }));
    if (claim !== undefined && Buffer.from(claim.payload).toString() !== claim.id) fail(`item ${claim.id} is another`);
  }
  await tried(() => backend.close());
  return reported ? 'reported' : shortest < LENGTH ? 'shortened' : 'harmless';
}

for (const [kind, { many, harm }] of Object.entries(kinds))
  for (let index = 0; index < many; index += 1) {
    const dir = join(root, 'harmed');
    mkdirSync(dir);
    const image = harm(index);
    writeFileSync(join(dir, 'troupe.db'), image.db);
    if (image.wal) writeFileSync(join(dir, 'troupe.db-wal'), image.wal);
    if (image.shm) writeFileSync(join(dir, 'troupe.db-shm'), image.shm);
    // Synchronous: it is there also when the next one ends the process.
    writeSync(1, `${kind} ${index}: `);
    const found = await inspect(dir, kind.startsWith('log')).catch((error: unknown) => `wrong: ${String(error)}`);
    writeSync(1, `${found}\n`);
    rmSync(dir, { recursive: true });
  }
