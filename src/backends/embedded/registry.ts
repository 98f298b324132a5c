import { hash } from 'node:crypto';
import type { Registered, Registry } from '../../backend.ts';
import { decode } from '../../codec.ts';
import { checkCount, checkKey, checkPrefix, encodeValue } from './check.ts';
import { damaged, explain } from './failure.ts';
import type { Store } from './journal.ts';

// A kill or a budget that was altered on disk must not be obeyed; no chain runs through the registry.
const digest = (key: string, revision: number, value: Uint8Array): Uint8Array =>
  hash('sha256', Buffer.concat([Buffer.from(`${key} ${revision} `), value]), 'buffer');

export function sqliteRegistry({ db, file, group, use }: Store): Registry {
  const select = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key = ?');
  const revision = db.prepare('SELECT revision FROM registry WHERE key = ?');
  const write = db.prepare('INSERT OR REPLACE INTO registry (key, revision, hash, value) VALUES (?, ?, ?, ?)');
  const remove = db.prepare('DELETE FROM registry WHERE key = ?');
  const first = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key >= ? ORDER BY key LIMIT 1');
  const next = db.prepare('SELECT key, revision, hash, value FROM registry WHERE key > ? ORDER BY key LIMIT 1');

  const put = (key: string, bytes: Uint8Array, expected: number | undefined): number | undefined => {
    const before = Number(revision.get(key)?.['revision'] ?? 0);
    if (expected !== undefined && expected !== before) return undefined;
    write.run(key, before + 1, digest(key, before + 1, bytes), bytes);
    return before + 1;
  };

  const attempt = <T>(doing: string, work: () => T): T => {
    use();
    try {
      return work();
    } catch (error) {
      throw explain(error, doing, file);
    }
  };

  return {
    async get(key) {
      use();
      checkKey(key);
      const row = attempt(`read '${key}'`, () => select.get(key));
      return row === undefined ? undefined : registered(row, file);
    },

    async put(key, value, expected) {
      use();
      checkKey(key);
      if (expected !== undefined) checkCount(expected, 'expected', 0);
      const bytes = new Uint8Array(encodeValue(key, value));
      try {
        return (await group.submit(() => put(key, bytes, expected))).value;
      } catch (error) {
        throw explain(error, `write '${key}'`, file);
      }
    },

    async delete(key) {
      use();
      checkKey(key);
      try {
        await group.submit(() => remove.run(key));
      } catch (error) {
        throw explain(error, `delete '${key}'`, file);
      }
    },

    async *list(prefix) {
      use();
      checkPrefix(prefix);
      let row = attempt(`list '${prefix}'`, () => first.get(prefix));
      while (row !== undefined) {
        const fact = registered(row, file);
        if (!fact.key.startsWith(prefix)) return;
        yield fact;
        row = attempt(`list '${prefix}'`, () => next.get(fact.key));
        if (row !== undefined && !(String(row['key']) > fact.key))
          throw damaged(`list '${prefix}'`, file, 'its keys are out of order');
      }
    },
  };
}

function registered(row: Record<string, unknown>, file: string): Registered {
  const { key, revision, value } = row;
  if (typeof key !== 'string' || typeof revision !== 'number' || !(value instanceof Uint8Array))
    throw damaged('read the registry', file, 'a value is not of the kind that was written');
  if (!(row['hash'] instanceof Uint8Array) || Buffer.compare(row['hash'], digest(key, revision, value)) !== 0)
    throw damaged(`read '${key}'`, file, 'its hash does not match');
  try {
    return { key, revision, value: decode(value) };
  } catch (error) {
    throw damaged(`read '${key}'`, file, error instanceof Error ? error.message : 'not decodable');
  }
}
