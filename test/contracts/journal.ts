import { beforeEach, describe, expect, it } from 'vitest';
import type { Backend, Stored } from '../../src/backend.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import { inboxOf, runId, type JournalId } from '../../src/protocol/ids.ts';
import { all, HOSTILE, SEEN_MS, within, type Given } from './harness.ts';
import { sealed } from './sealed.ts';

const RUN = runId('run-1');

const plain = (entries: readonly Stored[]) =>
  entries.map(({ seq, epoch, bytes, hash }) => ({ seq, epoch, bytes: [...bytes], hash: [...hash] }));

export function journalContract(given: Given): void {
  const append = (
    journal: JournalId,
    entries: readonly Stored[],
    at: { epoch?: number; after?: number; barrier?: boolean } = {},
    on = given.backend,
  ) => on.journal.append(journal, entries, { epoch: 1, after: 0, ...at });
  const stored = async (journal: JournalId = RUN, on = given.backend) => plain(await all(on.journal.read(journal)));

  it('keeps entries verbatim and in order, and says the level it reached', async () => {
    const { journal, level } = given.backend;
    const odd: Stored[] = [0, 1, 255, 70_000].map((size, index) => ({
      seq: index + 1,
      epoch: 1,
      bytes: Uint8Array.from({ length: size }, (_, at) => (at * 7) % 256),
      hash: Uint8Array.from({ length: 32 }, (_, at) => at * index),
    }));
    const expected = plain(odd);
    expect(await append(RUN, odd)).toEqual({ status: 'appended', level });
    expect(await stored()).toEqual(expected);
    expect(await journal.tail(RUN)).toBeDefined();
  });

  it('gives nothing for a run that has no entry', async () => {
    const { journal } = given.backend;
    expect(await stored()).toEqual([]);
    expect(await journal.tail(RUN)).toBeUndefined();
    expect(await all(journal.list())).toEqual([]);
  });

  it('reads from any seq, past its end too', async () => {
    const { journal } = given.backend;
    const entries = sealed(RUN, 700);
    await append(RUN, entries);
    expect(await stored()).toEqual(plain(entries));
    for (const from of [1, 2, 256, 257, 700])
      expect(plain(await all(journal.read(RUN, from)))).toEqual(plain(entries.slice(from - 1)));
    expect(await all(journal.read(RUN, 701))).toEqual([]);
    expect(plain([await journal.tail(RUN)].filter((tail) => tail !== undefined))).toEqual(plain(entries.slice(-1)));
  });

  it('reads a run as it was when the reading began', async () => {
    const { journal } = given.backend;
    await append(RUN, sealed(RUN, 3));
    const seqs: number[] = [];
    for await (const { seq } of journal.read(RUN)) {
      seqs.push(seq);
      const after = (await journal.tail(RUN))?.seq ?? 0;
      await append(RUN, sealed(RUN, 1, { after }), { after });
    }
    expect(seqs).toEqual([1, 2, 3]);
    expect(await stored()).toHaveLength(6);
  });

  it('lists every run once, and no inbox', async () => {
    const runs = Array.from({ length: 30 }, (_, index) => runId(`r-${index}`));
    for (const run of [...runs, runId('constructor'), runId('inbox')]) await append(run, sealed(run, 2));
    for (const run of [...runs.slice(0, 9), runId('other')]) await append(inboxOf(run), sealed(run, 1));
    const listed = await all(given.backend.journal.list());
    expect(listed.toSorted()).toEqual([...runs, 'constructor', 'inbox'].toSorted());
  });

  it('keeps the inbox of a run apart from its journal', async () => {
    const { journal } = given.backend;
    const inbox = inboxOf(RUN);
    await append(RUN, sealed(RUN, 2));
    expect((await append(inbox, sealed(RUN, 3, { epoch: 0 }), { epoch: 0 })).status).toBe('appended');
    expect((await append(inbox, sealed(RUN, 1, { epoch: 0 }), { epoch: 0 })).status).toBe('refused');
    expect([(await stored()).length, (await stored(inbox)).length]).toEqual([2, 3]);
    expect([(await journal.tail(RUN))?.seq, (await journal.tail(inbox))?.seq]).toEqual([2, 3]);
  });

  it.each([
    ['the last seq is lower', { after: 5 }],
    ['the last seq is higher', { after: 2 }],
    ['it exists already', { after: 0 }],
    ['a higher epoch was there', { after: 3, epoch: 3 }],
  ])('J1, F1: refuses when %s, and writes nothing', async (_, at) => {
    await append(RUN, sealed(RUN, 3, { epoch: 4 }), { epoch: 4 });
    const before = await stored();
    const epoch = 'epoch' in at ? at.epoch : 4;
    expect(await append(RUN, sealed(RUN, 2, { after: at.after, epoch }), { after: at.after, epoch })).toEqual({
      status: 'refused',
    });
    expect(await stored()).toEqual(before);
  });

  it('F1: fences an owner out once a higher epoch was appended', async () => {
    await append(RUN, sealed(RUN, 1));
    await append(RUN, sealed(RUN, 1, { after: 1, epoch: 2 }), { after: 1, epoch: 2 });
    expect((await append(RUN, sealed(RUN, 1, { after: 2 }), { after: 2 })).status).toBe('refused');
    expect((await append(RUN, sealed(RUN, 1, { after: 2, epoch: 2 }), { after: 2, epoch: 2 })).status).toBe('appended');
    expect((await stored()).map(({ epoch }) => epoch)).toEqual([1, 2, 2]);
  });

  it('lets exactly one of many that race win, whole', async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) => append(RUN, sealed(RUN, 3, { epoch: index + 1 }), { epoch: index + 1 })),
    );
    expect(results.filter(({ status }) => status === 'appended')).toHaveLength(1);
    const epochs = (await stored()).map(({ epoch }) => epoch);
    expect(epochs).toEqual([epochs[0], epochs[0], epochs[0]]);
  });

  it('keeps the order of calls within a turn, and one refusal does not touch the others', async () => {
    const other = runId('run-2');
    const results = await Promise.all([
      append(RUN, sealed(RUN, 1)),
      append(RUN, sealed(RUN, 2, { after: 1 }), { after: 1 }),
      append(RUN, sealed(RUN, 1), { after: 0 }),
      append(other, sealed(other, 1)),
      append(RUN, sealed(RUN, 1, { after: 3 }), { after: 3 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['appended', 'appended', 'refused', 'appended', 'appended']);
    expect((await stored()).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(await stored(other)).toHaveLength(1);
  });

  it('says of a barrier that it went no less far than its level', async () => {
    const { level } = given.backend;
    const { status, ...reached } = await append(RUN, sealed(RUN, 1), { barrier: true });
    expect(status).toBe('appended');
    expect([{ level }, { level: 'disk' }]).toContainEqual(reached);
    expect(await append(RUN, sealed(RUN, 1, { after: 1 }), { after: 1 })).toEqual({ status: 'appended', level });
  });

  it.each([
    ['no entries', [], {}],
    ['a gap before', sealed(RUN, 1, { after: 1 }), {}],
    ['a gap within', [...sealed(RUN, 1), ...sealed(RUN, 1, { after: 2 })], {}],
    ['a repeated seq', [...sealed(RUN, 1), ...sealed(RUN, 1)], {}],
    ['an entry under a lower epoch', sealed(RUN, 1), { epoch: 2 }],
    ['a negative after', sealed(RUN, 1, { after: -1 }), { after: -1 }],
    ['an epoch that is no number', sealed(RUN, 1), { epoch: Number.NaN }],
    ['bytes that are none', sealed(RUN, 1).map((entry) => ({ ...entry, bytes: 'x' as unknown as Uint8Array })), {}],
  ])('refuses an append with %s', async (_, entries, at) => {
    await expect(append(RUN, entries, at)).rejects.toThrow(ValidationError);
    expect(await all(given.backend.journal.list())).toEqual([]);
  });

  it('N2: takes no name that is none', async () => {
    const { journal } = given.backend;
    const hostile = [
      ...HOSTILE,
      ...HOSTILE.map((id) => `${id}/inbox`),
      'a/inbox/inbox',
      'a/inbox/',
      'a/outbox',
      undefined,
    ];
    for (const name of hostile as JournalId[]) {
      await expect(append(name, sealed(RUN, 1))).rejects.toThrow(ValidationError);
      await expect(all(journal.read(name))).rejects.toThrow(ValidationError);
      await expect(journal.tail(name)).rejects.toThrow(ValidationError);
      expect(() => journal.watch(name, () => {})).toThrow(ValidationError);
    }
    expect(await all(journal.list())).toEqual([]);
  });

  describe('watched', () => {
    it.each<[string, JournalId]>([
      ['a run', RUN],
      ['an inbox', inboxOf(RUN)],
    ])(
      'tells of %s at the beginning and when it has grown, not of others, and nothing once it is ended',
      async (_, name) => {
        const { harness, backend } = given;
        let told = 0;
        const unwatch = backend.journal.watch(name, () => (told += 1));
        expect(told).toBe(0);
        await within(harness, SEEN_MS, () => told > 0, 'it was told at the beginning');
        await harness.pass(SEEN_MS);
        for (let after = 0; after < 3; after += 1) {
          const before = told;
          await append(name, sealed(RUN, 1, { after }), { after });
          await within(harness, SEEN_MS, () => told > before, `it was told of entry ${after + 1}`);
        }
        await harness.pass(SEEN_MS);
        const before = told;
        const other = runId('run-2');
        await append(other, sealed(other, 1));
        await harness.pass(SEEN_MS);
        expect(told).toBe(before);
        unwatch();
        unwatch();
        await append(name, sealed(RUN, 1, { after: 3 }), { after: 3 });
        await harness.pass(SEEN_MS);
        expect(told).toBe(before);
      },
    );

    it('what one watcher throws disturbs nobody', async () => {
      const { harness, backend } = given;
      let told = 0;
      backend.journal.watch(RUN, () => {
        throw new Error('mine');
      });
      backend.journal.watch(RUN, () => Promise.reject(new Error('mine')));
      const count = (): void => void (told += 1);
      const unwatch = backend.journal.watch(RUN, count);
      backend.journal.watch(RUN, count);
      await within(harness, SEEN_MS, () => told === 2, 'both were told at the beginning');
      unwatch();
      await append(RUN, sealed(RUN, 1));
      await within(harness, SEEN_MS, () => told === 3, 'the other one was told');
    });
  });

  describe('beside another on the same store', () => {
    let other: Backend;
    beforeEach(async ({ skip }) => {
      if (given.harness.openAnother === undefined) return skip('nobody else can reach this store');
      other = await given.harness.openAnother();
    });

    it('sees its entries', async () => {
      await append(RUN, sealed(RUN, 2));
      expect(await stored(RUN, other)).toEqual(await stored());
      expect(await all(other.journal.list())).toEqual([RUN]);
    });

    it('F1: is fenced by it', async () => {
      await append(RUN, sealed(RUN, 1));
      expect((await append(RUN, sealed(RUN, 1, { after: 1, epoch: 2 }), { after: 1, epoch: 2 }, other)).status).toBe(
        'appended',
      );
      expect((await append(RUN, sealed(RUN, 1, { after: 1 }), { after: 1 })).status).toBe('refused');
      expect((await append(RUN, sealed(RUN, 1, { after: 2 }), { after: 2 })).status).toBe('refused');
      expect((await stored()).map(({ epoch }) => epoch)).toEqual([1, 2]);
    });

    it('J1: shares a run with it without a gap', async () => {
      const won = [0, 0];
      const race = async (on: Backend, index: number) => {
        for (let after = 0; after < 60;) {
          if ((await append(RUN, sealed(RUN, 1, { after }), { after }, on)).status === 'appended')
            won[index] = (won[index] ?? 0) + 1;
          after = (await on.journal.tail(RUN))?.seq ?? 0;
        }
      };
      await Promise.all([race(given.backend, 0), race(other, 1)]);
      const seqs = (await stored()).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
      expect(won.reduce((sum, one) => sum + one)).toBe(seqs.length);
    });

    it('is told when it has written', async () => {
      const { harness, backend } = given;
      const runs = Array.from({ length: 40 }, (_, index) => runId(`r-${index}`));
      const told = new Map<string, number>();
      for (const run of runs) backend.journal.watch(run, () => told.set(run, (told.get(run) ?? 0) + 1));
      await harness.pass(2 * SEEN_MS);
      for (let after = 0; after < 2; after += 1) {
        told.clear();
        for (const run of runs.slice(0, 20)) await append(run, sealed(run, 1, { after }), { after }, other);
        await within(harness, SEEN_MS, () => told.size >= 20, 'all that have grown were told');
        await harness.pass(SEEN_MS);
        expect([...told.keys()].toSorted()).toEqual(runs.slice(0, 20).toSorted());
      }
    });
  });
}
