import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Stored } from '../../src/backend.ts';
import { GENESIS, seal, unseal } from '../../src/chain.ts';
import type { Entry } from '../../src/protocol/entry.ts';
import { CorruptJournalError, UnsupportedFormatError } from '../../src/protocol/errors.ts';
import { runId } from '../../src/protocol/ids.ts';

const RUN = runId('order-42');
const LENGTH = 6;

const entry = (seq: number, changed: object = {}): Entry =>
  ({
    v: 1,
    run: RUN,
    seq,
    epoch: 1,
    at: 1_000 + seq,
    type: 'message.received',
    target: 'body',
    event: { event: { type: `SAY_${seq}` } },
    cause: null,
    ...changed,
  }) as Entry;

function chain(entries: readonly Entry[]): Stored[] {
  let before = GENESIS;
  return entries.map((next) => {
    const sealed = seal(next, before);
    before = sealed.hash;
    return sealed;
  });
}
const stored = (length = LENGTH): Stored[] => chain(Array.from({ length }, (_, index) => entry(index + 1)));

/** What could be read, and what stopped it. */
async function read(items: readonly Stored[]): Promise<{ seqs: number[]; error: unknown }> {
  const seqs: number[] = [];
  const each = async function* (): AsyncGenerator<Stored> {
    yield* items;
  };
  try {
    for await (const { entry: next } of unseal(RUN, each())) seqs.push(next.seq);
    return { seqs, error: undefined };
  } catch (error) {
    return { seqs, error };
  }
}

/** The reader stops right before the first entry that is wrong, and says which it is. */
async function mustReport(items: readonly Stored[], seq: number, what?: RegExp): Promise<void> {
  const { seqs, error } = await read(items);
  assert(error instanceof CorruptJournalError, `read ${seqs.join()}: ${String(error)}`);
  expect([error.context['run'], error.context['seq']]).toEqual([RUN, seq]);
  expect(error.message).toContain(`Run ${RUN}: entry ${seq}`);
  if (what !== undefined) expect(error.message).toMatch(what);
  expect(seqs).toEqual(Array.from({ length: seq - 1 }, (_, index) => index + 1));
}

const place = fc.integer({ min: 0, max: LENGTH - 1 });

test('what was sealed comes back, in order, with its hash', async () => {
  const items = stored();
  const seen: unknown[] = [];
  const each = async function* (): AsyncGenerator<Stored> {
    yield* items;
  };
  for await (const read of unseal(RUN, each())) seen.push(read);
  expect(seen).toEqual(items.map(({ hash }, index) => ({ entry: entry(index + 1), hash })));
  expect(await read([])).toEqual({ seqs: [], error: undefined });
});

describe('reported by run and seq', () => {
  test('an entry of which any bit has changed', async () => {
    await fc.assert(
      fc.asyncProperty(place, fc.nat(), fc.integer({ min: 0, max: 7 }), async (at, byte, bit) => {
        const items = stored();
        const { bytes } = items[at] as Stored;
        const changed = Buffer.from(bytes);
        changed[byte % bytes.length] = (changed[byte % bytes.length] ?? 0) ^ (1 << bit);
        items[at] = { ...(items[at] as Stored), bytes: changed };
        await mustReport(items, at + 1, /altered/);
      }),
    );
  });

  test('a hash of which any bit has changed, and a hash of another length', async () => {
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 0, max: 255 }), async (at, bit) => {
        const items = stored();
        const hash = Buffer.from((items[at] as Stored).hash);
        hash[bit >> 3] = (hash[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        items[at] = { ...(items[at] as Stored), hash };
        await mustReport(items, at + 1, /altered/);
      }),
    );
    const items = stored();
    items[2] = { ...(items[2] as Stored), hash: (items[2] as Stored).hash.subarray(0, 31) };
    await mustReport(items, 3);
  });

  test('an entry cut short at any byte', async () => {
    const [first, second] = stored(2) as [Stored, Stored];
    for (let length = 0; length < second.bytes.length; length += 1)
      await mustReport([first, { ...second, bytes: second.bytes.subarray(0, length) }], 2, /altered/);
  });

  test('a missing entry, the first too', async () => {
    for (let at = 0; at < LENGTH - 1; at += 1) await mustReport(stored().toSpliced(at, 1), at + 1, /missing/);
  });

  test('a missing entry whose followers were renumbered', async () => {
    const items = stored().toSpliced(2, 1);
    await mustReport(
      items.map((item, index) => ({ ...item, seq: index + 1 })),
      3,
      /altered/,
    );
  });

  test('a repeated entry', async () => {
    const items = stored();
    for (let at = 0; at < LENGTH; at += 1)
      await mustReport(items.toSpliced(at, 0, items[at] as Stored), at + 2, /repeated/);
  });

  test('two entries in each other’s place, renumbered or not', async () => {
    const items = stored();
    const [c, d] = [items[2] as Stored, items[3] as Stored];
    await mustReport(items.toSpliced(2, 2, d, c), 3);
    await mustReport(items.toSpliced(2, 2, { ...d, seq: 3 }, { ...c, seq: 4 }), 3, /altered/);
  });

  test('an entry of another run, well sealed', async () => {
    await mustReport(chain([entry(1), entry(2, { run: 'order-43' })]), 2, /order-43/);
  });

  test('an entry that says another seq, well sealed', async () => {
    const [first] = stored(1) as [Stored];
    await mustReport([first, { ...seal(entry(7), first.hash), seq: 2 }], 2, /entry 7/);
  });

  test('bytes that are no entry, though their hash is right', async () => {
    const [first] = stored(1) as [Stored];
    const odd = seal({} as Entry, first.hash);
    expect((await read([first, { ...odd, seq: 2, epoch: 1 }])).error).toBeInstanceOf(UnsupportedFormatError);
  });

  test('an epoch beside the bytes that is not theirs', async () => {
    const items = stored();
    items[3] = { ...(items[3] as Stored), epoch: 9 };
    await mustReport(items, 4);
  });
});

describe('R3: what this troupe does not know', () => {
  test.each<[string, object]>([
    ['version 2', { v: 2 }],
    ['version undefined', { v: undefined }],
    ["type 'run.levitated'", { type: 'run.levitated' }],
    ["type 'toString'", { type: 'toString' }],
    ["type 'undefined'", { type: undefined }],
  ])('is refused by name: %s', async (what, changed) => {
    const { seqs, error } = await read(chain([entry(1), entry(2, changed), entry(3)]));
    assert(error instanceof UnsupportedFormatError);
    expect([seqs, error.context]).toMatchObject([[1], { run: RUN, seq: 2 }]);
    expect(error.message).toContain(`entry 2 has`);
    expect(error.message).toContain(what);
  });
});
