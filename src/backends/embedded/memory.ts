import type { Backend, BackendFactory, Journal, Registered, Registry, Stored } from '../../backend.ts';
import { decode } from '../../codec.ts';
import { ClosedError } from '../../protocol/errors.ts';
import { checkId, type RunId } from '../../protocol/ids.ts';
import { checkAppend, checkCount, checkKey, checkPrefix, encodeValue } from './check.ts';

type Ports = Parameters<BackendFactory['open']>[0];

/** Everything in two maps, for tests and for what may be lost. A barrier has nothing to reach. */
export function openMemory({ owner }: Ports): Backend {
  let closed = false;
  const use = (): void => {
    if (closed) throw new ClosedError('This backend is closed: open another.', { owner });
  };
  return {
    name: 'embedded',
    level: 'memory',
    owner,
    journal: memoryJournal(use),
    registry: memoryRegistry(use),
    // Nobody else can reach this memory, so every other owner is gone.
    alive: async (other) => {
      use();
      return checkId(other, 'owner id') === owner;
    },
    close: async () => {
      closed = true;
    },
  };
}

function memoryJournal(use: () => void): Journal {
  const runs = new Map<RunId, Stored[]>();
  return {
    async append(run, entries, at) {
      use();
      checkAppend(run, entries, at);
      const known = runs.get(run);
      const last = known?.at(-1);
      if ((last?.seq ?? 0) !== at.after || (last?.epoch ?? 0) > at.epoch) return { status: 'refused' };
      if (known === undefined) runs.set(run, Array.from(entries));
      else known.push(...entries);
      return { status: 'appended', level: 'memory' };
    },
    async *read(run, from = 1) {
      use();
      checkId(run, 'run id');
      checkCount(from, 'from', 1);
      const known = runs.get(run) ?? [];
      const end = known.length;
      for (let at = from - 1; at < end; at += 1) {
        use();
        const entry = known[at];
        if (entry !== undefined) yield entry;
      }
    },
    async tail(run) {
      use();
      checkId(run, 'run id');
      return runs.get(run)?.at(-1);
    },
    async *list() {
      use();
      for (const run of Array.from(runs.keys())) {
        use();
        yield run;
      }
    },
  };
}

function memoryRegistry(use: () => void): Registry {
  const facts = new Map<string, { bytes: Uint8Array; revision: number }>();
  const registered = (key: string): Registered | undefined => {
    const fact = facts.get(key);
    return fact === undefined ? undefined : { key, value: decode(fact.bytes), revision: fact.revision };
  };
  return {
    async get(key) {
      use();
      checkKey(key);
      return registered(key);
    },
    async put(key, value, expected) {
      use();
      checkKey(key);
      if (expected !== undefined) checkCount(expected, 'expected', 0);
      const bytes = new Uint8Array(encodeValue(key, value));
      const before = facts.get(key)?.revision ?? 0;
      if (expected !== undefined && expected !== before) return undefined;
      facts.set(key, { bytes, revision: before + 1 });
      return before + 1;
    },
    async delete(key) {
      use();
      checkKey(key);
      facts.delete(key);
    },
    async *list(prefix) {
      use();
      checkPrefix(prefix);
      for (const key of [...facts.keys()].filter((one) => one.startsWith(prefix)).sort()) {
        use();
        const fact = registered(key);
        if (fact !== undefined) yield fact;
      }
    },
  };
}
