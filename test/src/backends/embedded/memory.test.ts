import { expect, it } from 'vitest';
import type { Backend, Stored } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { MemoryStore, openMemory } from '../../../../src/backends/embedded/memory/open.ts';
import { ValidationError } from '../../../../src/protocol/errors.ts';
import { ownerId } from '../../../../src/protocol/ids.ts';
import { backendContract } from '../../../contracts/backend.ts';
import type { Damage } from '../../../contracts/harness.ts';
import { SimulatedClock } from '../../../support/simulatedClock.ts';
import { passing } from './passing.ts';

/** `at` is where the entry stands, `next` where the one after it would. */
const harm: Record<Damage, (entries: Stored[], at: number, entry: Stored) => void> = {
  altered: (entries, at, entry) =>
    void (entries[at] = { ...entry, bytes: entry.bytes.map((byte, index) => (index === 3 ? byte ^ 1 : byte)) }),
  missing: (entries, at) => void entries.splice(at, 1),
  repeated: (entries, at, entry) => void entries.splice(at, 0, entry),
  swapped: (entries, at, entry) => {
    const other = at + 1 < entries.length ? at + 1 : at - 1;
    entries[at] = entries[other] as Stored;
    entries[other] = entry;
  },
  truncated: (entries, at, entry) =>
    void (entries[at] = { ...entry, bytes: entry.bytes.subarray(0, entry.bytes.length >> 1) }),
};

backendContract('memory', async () => {
  const clock = new SimulatedClock();
  const store = new MemoryStore(clock);
  const opened: Backend[] = [];
  const open = async (): Promise<Backend> => {
    const backend = openMemory({ owner: ownerId(`owner-${opened.length}`), clock }, store);
    opened.push(backend);
    return backend;
  };
  return {
    open,
    openAnother: open,
    pass: passing(clock),
    tamper: async (journal, seq, kind) => {
      const entries = store.journals.get(journal) ?? [];
      harm[kind](entries, seq - 1, entries[seq - 1] as Stored);
    },
    close: async () => void (await Promise.all(opened.map((backend) => backend.close()))),
  };
});

it('embedded() without a dir is a memory of its own each time', async () => {
  const clock = new SimulatedClock();
  const [one, other] = [
    await embedded().open({ owner: ownerId('one'), clock }),
    await embedded().open({ owner: ownerId('other'), clock }),
  ];
  await one.registry.put('a', 1);
  expect(await other.registry.get('a')).toBeUndefined();
  expect(await other.alive(one.owner)).toBe(false);
});

it.each([
  ['an unknown option', { path: '.troupe' }],
  ['an empty dir', { dir: '' }],
  ['a dir with a NUL', { dir: 'a\0b' }],
  ['a dir that is no path', { dir: 1 }],
  ['an unknown level', { dir: '.troupe', level: 'memory' }],
  ['a level without a dir', { level: 'disk' }],
  ['no object', 'dir'],
])('embedded() refuses %s', (_, options) => {
  expect(() => embedded(options as Parameters<typeof embedded>[0])).toThrow(ValidationError);
});
