import type { Registered, Registry } from '../../../backend.ts';
import { decode } from '../../../codec.ts';
import { checkCount, checkKey, checkPrefix, encodeValue } from '../check.ts';
import { inSlices } from '../slices.ts';
import { quietly } from '../watchers.ts';
import type { Opened } from './open.ts';

export interface Facts {
  readonly values: Map<string, { bytes: Uint8Array; revision: number }>;
  /** Of the last change. */
  revision: number;
  readonly watches: Set<{ prefix: string; changed: (key: string, now: Registered | undefined) => void }>;
}

export function memoryRegistry({ store: { facts }, clock, ends, use }: Opened): Registry {
  const { values, watches } = facts;
  const registered = (key: string): Registered | undefined => {
    const value = values.get(key);
    return value === undefined ? undefined : { key, value: decode(value.bytes), revision: value.revision };
  };
  const keysUnder = (prefix: string): string[] => [...values.keys()].filter((key) => key.startsWith(prefix)).sort();
  const tell = (key: string): void => {
    for (const watch of Array.from(watches))
      if (key.startsWith(watch.prefix) && watches.has(watch)) quietly(() => watch.changed(key, registered(key)));
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
      if (expected !== undefined && expected !== (values.get(key)?.revision ?? 0)) return undefined;
      const revision = (facts.revision += 1);
      values.set(key, { bytes, revision });
      tell(key);
      return revision;
    },
    async delete(key) {
      use();
      checkKey(key);
      if (!values.delete(key)) return;
      facts.revision += 1;
      tell(key);
    },
    async *list(prefix) {
      use();
      checkPrefix(prefix);
      for (const key of keysUnder(prefix)) {
        use();
        const fact = registered(key);
        if (fact !== undefined) yield fact;
      }
    },
    watch(prefix, changed) {
      use();
      checkPrefix(prefix);
      const watch = { prefix, changed };
      watches.add(watch);
      const begun = facts.revision;
      const present = function* (): Generator<void> {
        for (const key of keysUnder(prefix)) {
          const fact = registered(key);
          if (!watches.has(watch)) return;
          // What has changed since was told already.
          if (fact !== undefined && fact.revision <= begun) quietly(() => changed(key, fact));
          yield;
        }
      };
      clock.immediate(() => inSlices(clock, present()));
      return ends.add(() => watches.delete(watch));
    },
  };
}
