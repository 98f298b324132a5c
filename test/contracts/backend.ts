import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Backend, Stored } from '../../src/backend.ts';
import { unseal } from '../../src/chain.ts';
import { ClosedError, CorruptJournalError, ValidationError } from '../../src/protocol/errors.ts';
import { ownerId, runId, type OwnerId, type RunId } from '../../src/protocol/ids.ts';
import { sealed } from './sealed.ts';

export type Damage = 'altered' | 'missing' | 'repeated' | 'swapped';

export interface Subject {
  backend: Backend;
  /** Closes what `second` opened too. */
  cleanup(): Promise<void>;
  /** Harms the stored entry `seq` of `run` behind the backend's back; 'swapped' is with the one after it. */
  tamper?(run: RunId, seq: number, kind: Damage): Promise<void>;
  /** Another backend, with another owner, on the same store. */
  second?(): Promise<Backend>;
}

const RUN = runId('run-1');
const HOSTILE = [
  '',
  '.',
  '..',
  'a.b',
  'a/b',
  '../a',
  'a b',
  '*',
  '>',
  'a\0',
  'a\n',
  '$JS',
  'ä',
  "'; --",
  'a'.repeat(129),
];

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const plain = (entries: readonly Stored[]) =>
  entries.map(({ seq, epoch, bytes, hash }) => ({ seq, epoch, bytes: [...bytes], hash: [...hash] }));

/** What every backend does, asked through the contract only. */
export function backendContract(name: string, open: () => Promise<Subject>): void {
  describe(`${name} backend`, () => {
    let subject: Subject;
    let backend: Backend;
    beforeEach(async () => {
      subject = await open();
      backend = subject.backend;
    });
    afterEach(() => subject.cleanup());

    const append = (
      run: RunId,
      entries: readonly Stored[],
      at: { epoch?: number; after?: number; barrier?: boolean } = {},
      on = backend,
    ) => on.journal.append(run, entries, { epoch: 1, after: 0, ...at });
    const stored = async (run = RUN, on = backend) => plain(await all(on.journal.read(run)));

    describe('journal', () => {
      it('keeps entries verbatim and in order, and says the level it reached', async () => {
        const odd: Stored[] = [0, 1, 255, 70_000].map((size, index) => ({
          seq: index + 1,
          epoch: 1,
          bytes: Uint8Array.from({ length: size }, (_, at) => (at * 7) % 256),
          hash: Uint8Array.from({ length: 32 }, (_, at) => at * index),
        }));
        const given = plain(odd);
        expect(await append(RUN, odd)).toEqual({ status: 'appended', level: backend.level });
        expect(await stored()).toEqual(given);
        expect(await backend.journal.tail(RUN)).toBeDefined();
      });

      it('gives nothing for a run that has no entry', async () => {
        expect(await stored()).toEqual([]);
        expect(await backend.journal.tail(RUN)).toBeUndefined();
        expect(await all(backend.journal.list())).toEqual([]);
      });

      it('reads from any seq, past its end too', async () => {
        const entries = sealed(RUN, 700);
        await append(RUN, entries);
        expect(await stored()).toEqual(plain(entries));
        for (const from of [1, 2, 256, 257, 700])
          expect(plain(await all(backend.journal.read(RUN, from)))).toEqual(plain(entries.slice(from - 1)));
        expect(await all(backend.journal.read(RUN, 701))).toEqual([]);
        expect(plain([await backend.journal.tail(RUN)].filter((tail) => tail !== undefined))).toEqual(
          plain(entries.slice(-1)),
        );
      });

      it('reads a run as it was when the reading began', async () => {
        await append(RUN, sealed(RUN, 3));
        const seqs: number[] = [];
        for await (const { seq } of backend.journal.read(RUN)) {
          seqs.push(seq);
          const after = (await backend.journal.tail(RUN))?.seq ?? 0;
          await append(RUN, sealed(RUN, 1, { after }), { after });
        }
        expect(seqs).toEqual([1, 2, 3]);
        expect(await stored()).toHaveLength(6);
      });

      it('lists every run once', async () => {
        const runs = Array.from({ length: 30 }, (_, index) => runId(`r-${index}`));
        for (const run of [...runs, runId('constructor')]) await append(run, sealed(run, 2));
        expect((await all(backend.journal.list())).toSorted()).toEqual([...runs, 'constructor'].toSorted());
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
        expect((await append(RUN, sealed(RUN, 1, { after: 2, epoch: 2 }), { after: 2, epoch: 2 })).status).toBe(
          'appended',
        );
        expect((await stored()).map(({ epoch }) => epoch)).toEqual([1, 2, 2]);
      });

      it('lets exactly one of many that race win, whole', async () => {
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            append(RUN, sealed(RUN, 3, { epoch: index + 1 }), { epoch: index + 1 }),
          ),
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
        expect(results.map(({ status }) => status)).toEqual([
          'appended',
          'appended',
          'refused',
          'appended',
          'appended',
        ]);
        expect((await stored()).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
        expect(await stored(other)).toHaveLength(1);
      });

      it('takes a barrier to the disk, if it has one', async () => {
        const level = backend.level === 'memory' ? 'memory' : 'disk';
        expect(await append(RUN, sealed(RUN, 1), { barrier: true })).toEqual({ status: 'appended', level });
        expect(await append(RUN, sealed(RUN, 1, { after: 1 }), { after: 1 })).toEqual({
          status: 'appended',
          level: backend.level,
        });
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
        expect(await all(backend.journal.list())).toEqual([]);
      });

      it('N2: takes no id that is none', async () => {
        for (const id of HOSTILE as RunId[]) {
          await expect(append(id, sealed(RUN, 1))).rejects.toThrow(ValidationError);
          await expect(all(backend.journal.read(id))).rejects.toThrow(ValidationError);
          await expect(backend.journal.tail(id)).rejects.toThrow(ValidationError);
          await expect(backend.alive(id as string as OwnerId)).rejects.toThrow(ValidationError);
        }
        expect(await all(backend.journal.list())).toEqual([]);
      });

      it.each<Damage>(['altered', 'missing', 'repeated', 'swapped'])(
        'J4: keeps no entry that is %s from the chain',
        async (kind) => {
          const other = runId('run-2');
          await append(RUN, sealed(RUN, 9));
          await append(other, sealed(other, 9));
          if (subject.tamper === undefined) return;
          await subject.tamper(RUN, 4, kind);
          await expect(all(unseal(RUN, backend.journal.read(RUN)))).rejects.toThrow(CorruptJournalError);
          expect(await all(unseal(other, backend.journal.read(other)))).toHaveLength(9);
        },
      );
    });

    describe('registry', () => {
      it('keeps a value and counts its revisions', async () => {
        const { registry } = backend;
        expect(await registry.get('a')).toBeUndefined();
        const first = await registry.put('a', { n: [1, null, 'x', new Uint8Array([1])], at: new Date(5) });
        expect(await registry.get('a')).toEqual({
          key: 'a',
          value: { n: [1, null, 'x', new Uint8Array([1])], at: new Date(5) },
          revision: first,
        });
        const second = await registry.put('a', 'new');
        expect(second).not.toBe(first);
        expect(await registry.get('a')).toEqual({ key: 'a', value: 'new', revision: second });
      });

      it('puts with an expected revision only over that one', async () => {
        const { registry } = backend;
        expect(await registry.put('a', 1, 7)).toBeUndefined();
        expect(await registry.get('a')).toBeUndefined();
        const first = await registry.put('a', 1, 0);
        expect(first).toBeDefined();
        expect(await registry.put('a', 2, 0)).toBeUndefined();
        expect(await registry.put('a', 3, first)).toBeDefined();
        expect(await registry.put('a', 4, first)).toBeUndefined();
        expect((await registry.get('a'))?.value).toBe(3);
        const race = await Promise.all(Array.from({ length: 9 }, (_, index) => registry.put('b', index, 0)));
        expect(race.filter((revision) => revision !== undefined)).toHaveLength(1);
      });

      it('lists by prefix', async () => {
        for (const key of ['kill/a', 'kill/b', 'kill', 'kilo', 'kill.a', '__proto__', 'z'])
          await backend.registry.put(key, key);
        const keys = async (prefix: string) =>
          (await all(backend.registry.list(prefix))).map(({ key }) => key).toSorted();
        expect(await keys('kill/')).toEqual(['kill/a', 'kill/b']);
        expect(await keys('kill')).toEqual(['kill', 'kill.a', 'kill/a', 'kill/b']);
        expect(await keys('none')).toEqual([]);
        expect(await keys('')).toHaveLength(7);
      });

      it('takes a value under 64 KiB and no other', async () => {
        const { registry } = backend;
        await registry.put('fits', 'x'.repeat(65_000));
        expect((await registry.get('fits'))?.value).toHaveLength(65_000);
        await expect(registry.put('fits', 'x'.repeat(65_536))).rejects.toThrow(ValidationError);
        await expect(registry.put('fits', () => 1)).rejects.toThrow(ValidationError);
        expect((await registry.get('fits'))?.value).toHaveLength(65_000);
      });

      it('N2: takes no key that is none', async () => {
        for (const key of HOSTILE.filter((id) => id !== 'a.b' && id !== 'a/b')) {
          await expect(backend.registry.put(key, 1)).rejects.toThrow(ValidationError);
          await expect(backend.registry.get(key)).rejects.toThrow(ValidationError);
        }
        for (const prefix of ['*', '>', 'a b', '%', "'", '\0'])
          await expect(all(backend.registry.list(prefix))).rejects.toThrow(ValidationError);
        expect(await all(backend.registry.list(''))).toEqual([]);
      });
    });

    it('knows its own owner alive and one that never was gone', async () => {
      expect(await backend.alive(backend.owner)).toBe(true);
      expect(await backend.alive(ownerId('nobody'))).toBe(false);
      expect(await backend.alive(ownerId('nobody'))).toBe(false);
    });

    it('keeps what was asked of it before it was closed, and refuses what comes after', async () => {
      const waiting = append(RUN, sealed(RUN, 1));
      const reading = backend.journal.read(RUN);
      await Promise.all([backend.close(), backend.close()]);
      await backend.close();
      expect((await waiting).status).toBe('appended');
      for (const late of [
        () => append(RUN, sealed(RUN, 1, { after: 1 }), { after: 1 }),
        () => all(reading),
        () => all(backend.journal.list()),
        () => backend.journal.tail(RUN),
        () => backend.registry.get('a'),
        () => backend.registry.put('a', 1),
        () => all(backend.registry.list('')),
        () => backend.alive(backend.owner),
      ])
        await expect(late()).rejects.toThrow(ClosedError);
    });

    describe('beside another on the same store', () => {
      let other: Backend;
      beforeEach(async ({ skip }) => {
        if (subject.second === undefined) return skip('nobody else can reach this store');
        other = await subject.second();
      });

      it('sees its entries and facts', async () => {
        await append(RUN, sealed(RUN, 2));
        expect(await stored(RUN, other)).toEqual(await stored());
        expect(await all(other.journal.list())).toEqual([RUN]);
        const revision = await backend.registry.put('a', 1);
        expect(await other.registry.get('a')).toEqual({ key: 'a', value: 1, revision });
        expect(await other.registry.put('a', 2, revision)).toBeDefined();
        expect(await backend.registry.put('a', 3, revision)).toBeUndefined();
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
        await Promise.all([race(backend, 0), race(other, 1)]);
        const seqs = (await stored()).map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.map((_, index) => index + 1));
        expect(won.reduce((sum, one) => sum + one)).toBe(seqs.length);
      });

      it('knows it alive until it is closed', async () => {
        expect(await backend.alive(other.owner)).toBe(true);
        expect(await other.alive(backend.owner)).toBe(true);
        await other.close();
        expect(await backend.alive(other.owner)).toBe(false);
        expect(await backend.alive(backend.owner)).toBe(true);
      });
    });
  });
}
