import type { Registered, Registry } from '../../../backend.ts';
import { decode } from '../../../codec.ts';
import type { TroupeError } from '../../../protocol/errors.ts';
import { checkCount, checkKey, checkPrefix, encodeValue } from '../check.ts';
import { quietly } from '../watchers.ts';
import { digest, sameBytes } from './digest.ts';
import { damaged, explain } from './failure.ts';
import type { Store } from './open.ts';

/** Which key changed with which revision is kept of so many changes; who was asleep for more of them compares all. */
const KEPT = 1 << 13;
const PAGE = 256;

interface Watch {
  readonly prefix: string;
  readonly changed: (key: string, now: Registered | undefined) => void;
  readonly failed: ((error: TroupeError) => void) | undefined;
  /** What it knows: keys and their revisions. */
  readonly told: Map<string, number>;
  /** What changed is all that can be new to it. */
  compared: boolean;
  /** It was told that nothing can be read, and is told again only when that has been mended meanwhile. */
  failing: boolean;
}

/**
 * R1. The revision of a change is that of the one before it and one more: the newest of them is never forgotten.
 * R2. A watch is told of a key only what is in the registry at that moment, and no revision twice.
 */
export function sqliteRegistry({ db, file, clock, group, poll, ends, use, attempt }: Store): Registry {
  const select = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key = ?');
  const revision = db.prepare('SELECT revision FROM registry WHERE key = ?');
  const write = db.prepare('INSERT OR REPLACE INTO registry (key, revision, hash, value) VALUES (?, ?, ?, ?)');
  const remove = db.prepare('DELETE FROM registry WHERE key = ?');
  const first = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key >= ? ORDER BY key LIMIT 1');
  const next = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key > ? ORDER BY key LIMIT 1');
  const log = db.prepare('INSERT INTO changes (key) VALUES (?)');
  const forget = db.prepare('DELETE FROM changes WHERE revision <= ?');
  const newest = db.prepare('SELECT max(revision) AS revision FROM changes');
  const since = db.prepare(`SELECT revision, key FROM changes WHERE revision > ? ORDER BY revision LIMIT ${PAGE}`);

  const change = (key: string): number => {
    const made = Number(log.run(key).lastInsertRowid);
    if (made % (KEPT >> 3) === 0) forget.run(made - KEPT);
    return made;
  };

  const put = (key: string, bytes: Uint8Array, expected: number | undefined): number | undefined => {
    if (expected !== undefined && expected !== Number(revision.get(key)?.['revision'] ?? 0)) return undefined;
    const made = change(key);
    write.run(key, made, digest(`${key} ${made} `, bytes), bytes);
    return made;
  };

  const get = (key: string): Registered | undefined => {
    const row = attempt(`read '${key}'`, () => select.get(key));
    return row === undefined ? undefined : registered(row, file);
  };

  const watches = new Set<Watch>();
  /** The newest change that the watches know of. */
  let seen = 0;

  const fail = (watch: Watch, error: unknown): void => {
    if (watches.has(watch)) quietly(() => watch.failed?.(explain(error, 'watch the registry', file)));
  };
  const tell = (watch: Watch, key: string, read: () => Registered | undefined): void => {
    if (!watches.has(watch)) return;
    try {
      const fact = read();
      if (fact?.revision === watch.told.get(key)) return;
      if (fact === undefined) watch.told.delete(key);
      else watch.told.set(key, fact.revision);
      quietly(() => watch.changed(key, fact));
    } catch (error) {
      fail(watch, error);
    }
  };

  /** All that stands there, and of what it knows what does so no more. */
  function* compare(watch: Watch): Generator<void> {
    const gone = new Set(watch.told.keys());
    for (let [of, from] = [first, watch.prefix]; watches.has(watch); of = next) {
      const row = of.get(from);
      const key = String(row?.['key']);
      if (row === undefined || !key.startsWith(watch.prefix)) break;
      if (of === next && !(key > from)) throw damaged('watch the registry', file, 'its keys are out of order');
      gone.delete((from = key));
      tell(watch, key, () => registered(row, file));
      yield;
    }
    for (const key of gone) {
      tell(watch, key, () => get(key));
      yield;
    }
    watch.compared = true;
  }

  function* catchUp(): Generator<void> {
    for (let rows = since.all(seen); rows.length > 0; rows = since.all(seen)) {
      // Asleep for so long that some are forgotten: all is compared.
      const isWhole = Number(rows[0]?.['revision']) === seen + 1;
      if (!isWhole) for (const watch of watches) watch.compared = false;
      seen = Number((isWhole ? rows.at(-1) : newest.get())?.['revision']);
      const keys = new Set(isWhole ? rows.map(({ key }) => String(key)) : []);
      for (const watch of Array.from(watches))
        for (const key of keys) {
          if (key.startsWith(watch.prefix)) tell(watch, key, () => get(key));
          yield;
        }
    }
    for (const watch of Array.from(watches)) if (!watch.compared) yield* compare(watch);
  }

  /** Written here: somebody who watches that key is told at once. What nobody watches is passed over when something else is looked for. */
  const told = (key: string): void => {
    for (const { prefix } of watches) if (key.startsWith(prefix)) return poll.now(look);
  };

  function* look(moved: boolean): Generator<void> {
    if (!moved || watches.size === 0) return;
    try {
      yield* catchUp();
      for (const watch of watches) watch.failing = false;
    } catch (error) {
      for (const watch of Array.from(watches)) {
        if (!watch.failing) fail(watch, error);
        watch.failing = true;
      }
    }
  }

  return {
    async get(key) {
      use();
      checkKey(key);
      return get(key);
    },

    async put(key, value, expected, { barrier = false } = {}) {
      use();
      checkKey(key);
      if (expected !== undefined) checkCount(expected, 'expected', 0);
      const bytes = new Uint8Array(encodeValue(key, value));
      try {
        const { value: made } = await group.submit(() => put(key, bytes, expected), barrier ? 'barrier' : 'level');
        told(key);
        return made;
      } catch (error) {
        throw explain(error, `write '${key}'`, file);
      }
    },

    async delete(key) {
      use();
      checkKey(key);
      try {
        await group.submit(() => remove.run(key).changes > 0 && change(key));
        told(key);
      } catch (error) {
        throw explain(error, `delete '${key}'`, file);
      }
    },

    async *list(prefix) {
      use();
      checkPrefix(prefix);
      const step = (of: typeof first, from: string) => {
        use();
        return attempt(`list '${prefix}'`, () => of.get(from));
      };
      for (let row = step(first, prefix); row !== undefined;) {
        const fact = registered(row, file);
        if (!fact.key.startsWith(prefix)) return;
        yield fact;
        row = step(next, fact.key);
        if (row !== undefined && !(String(row['key']) > fact.key))
          throw damaged(`list '${prefix}'`, file, 'its keys are out of order');
      }
    },

    watch(prefix, changed, failed) {
      use();
      checkPrefix(prefix);
      const watch: Watch = { prefix, changed, failed, told: new Map(), compared: false, failing: false };
      if (watches.size === 0) seen = attempt('watch the registry', () => Number(newest.get()?.['revision'] ?? 0));
      watches.add(watch);
      clock.immediate(() => poll.now(look));
      return ends.add(poll.during(look), () => watches.delete(watch));
    },
  };
}

function registered(row: Record<string, unknown>, file: string): Registered {
  const { key, revision, hash, value } = row;
  if (typeof key !== 'string' || typeof revision !== 'number' || !(value instanceof Uint8Array))
    throw damaged('read the registry', file, 'a value is not of the kind that was written');
  // A kill or a budget that was altered on disk must not be obeyed; no chain runs through the registry.
  if (!sameBytes(hash, digest(`${key} ${revision} `, value)))
    throw damaged(`read '${key}'`, file, 'its hash does not match');
  try {
    return { key, revision, value: decode(value) };
  } catch (error) {
    throw damaged(`read '${key}'`, file, error instanceof Error ? error.message : 'not decodable');
  }
}
