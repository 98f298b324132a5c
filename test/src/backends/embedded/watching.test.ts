import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Backend, Listener } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { inSlices } from '../../../../src/backends/embedded/slices.ts';
import { Group } from '../../../../src/backends/embedded/sqlite/group.ts';
import { OverloadedError, StorageError, UnreachableError, type TroupeError } from '../../../../src/protocol/errors.ts';
import { ownerId, runId } from '../../../../src/protocol/ids.ts';
import type { Subject } from '../../../../src/protocol/subject.ts';
import { SimulatedClock } from '../../../support/simulatedClock.ts';
import { alter, append, newDir, open, RUN } from './directory.ts';
import { passing } from './passing.ts';

const SUBJECT = 'a.b' as Subject;
const bytes = (text: string): Uint8Array => Buffer.from(text);

const count = (dir: string, table: string): number => {
  const db = new DatabaseSync(join(dir, 'troupe.db'));
  const rows = Number(db.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.['rows']);
  db.close();
  return rows;
};

/** Two on one directory, each with its own time. */
class Pair {
  readonly dir = newDir();
  readonly clocks: [SimulatedClock, SimulatedClock] = [new SimulatedClock(), new SimulatedClock()];
  readonly pass = passing(this.clocks[0]);
  reader!: Backend;
  writer!: Backend;

  static async open(): Promise<Pair> {
    const pair = new Pair();
    pair.reader = await open(pair.dir, 'process', pair.clocks[0]);
    pair.writer = await open(pair.dir, 'process', pair.clocks[1]);
    return pair;
  }

  async close(): Promise<void> {
    await this.reader.close();
    await this.writer.close();
  }
}

class Ear implements Listener {
  readonly heard: string[] = [];
  misses = 0;
  message(payload: Uint8Array): void {
    this.heard.push(Buffer.from(payload).toString());
  }
  missed(): void {
    this.misses += 1;
  }
}

describe('signals', () => {
  it('are written only while somebody else has the directory open', async () => {
    const dir = newDir();
    const one = await open(dir);
    await one.bus.publish(SUBJECT, bytes('1'));
    expect(count(dir, 'signals')).toBe(0);
    const other = await open(dir);
    await one.bus.publish(SUBJECT, bytes('2'));
    expect(count(dir, 'signals')).toBe(1);
    await other.close();
    await one.bus.publish(SUBJECT, bytes('3'));
    expect(count(dir, 'signals')).toBe(1);
    await one.close();
  });

  it('are forgotten after a minute: who stood still for longer is told that it missed some, and hears the rest', async () => {
    const pair = await Pair.open();
    const ear = new Ear();
    pair.reader.bus.subscribe(SUBJECT, ear);
    const publish = async (from: number, to: number): Promise<void> => {
      for (let n = from; n < to; n += 1) await pair.writer.bus.publish(SUBJECT, bytes(`${n}`));
    };
    await publish(0, 10);
    await pair.pass(100);
    expect([ear.heard.length, ear.misses]).toEqual([10, 0]);
    await publish(10, 100);
    pair.clocks[1].increment(61_000);
    await publish(100, 200);
    expect(count(pair.dir, 'signals')).toBeLessThanOrEqual(200 - 90);
    await pair.pass(100);
    expect(ear.misses).toBe(1);
    expect(ear.heard.slice(10)).toEqual(Array.from({ length: 100 }, (_, index) => `${100 + index}`));
    await publish(200, 201);
    await pair.pass(100);
    expect([ear.heard.at(-1), ear.misses]).toEqual(['200', 1]);
    const newcomer = await open(pair.dir, 'process', pair.clocks[0]);
    const late = new Ear();
    newcomer.bus.subscribe(SUBJECT, late);
    await pair.pass(100);
    expect([late.heard, late.misses]).toEqual([[], 0]);
    await newcomer.close();
    await pair.close();
  });

  it('that nobody here has read yet are not for who subscribes only now', async () => {
    const pair = await Pair.open();
    const [early, late] = [new Ear(), new Ear()];
    pair.reader.bus.subscribe(SUBJECT, early);
    await pair.writer.bus.publish(SUBJECT, bytes('before'));
    pair.reader.bus.subscribe(SUBJECT, late);
    await pair.writer.bus.publish(SUBJECT, bytes('after'));
    await pair.pass(100);
    expect([early.heard, late.heard]).toEqual([['before', 'after'], ['after']]);
    await pair.close();
  });

  it('that were damaged are not told but missed', async () => {
    const pair = await Pair.open();
    const ear = new Ear();
    pair.reader.bus.subscribe(SUBJECT, ear);
    for (const text of ['first', 'second', 'third']) await pair.writer.bus.publish(SUBJECT, bytes(text));
    alter(pair.dir, `UPDATE signals SET payload = x'00' WHERE id = 2`);
    await pair.pass(100);
    expect([ear.heard, ear.misses]).toEqual([['first', 'third'], 1]);
    await pair.close();
  });

  it.each(['memory', 'sqlite'])('that nobody can hear are not waited for (%s)', async (kind) => {
    const clock = new SimulatedClock();
    const backend = await embedded(kind === 'memory' ? {} : { dir: newDir() }).open({ owner: ownerId('me'), clock });
    const ask = (): Promise<Uint8Array> => backend.bus.request(SUBJECT, bytes(''), { timeoutMs: 1_000 });
    await expect(ask()).rejects.toThrow(UnreachableError);
    for (const pattern of [SUBJECT, 'a.*' as Subject]) backend.bus.subscribe(pattern, new Ear())();
    await expect(ask()).rejects.toThrow(UnreachableError);
    const end = backend.bus.subscribe(SUBJECT, { message: (payload, _, reply) => reply?.(payload) });
    expect(await ask()).toHaveLength(0);
    end();
    expect(clock.nextDue).toBeUndefined();
    await backend.close();
  });

  it.each([
    ['memory', new Uint8Array(1), 2 ** 16],
    ['memory', new Uint8Array(2 ** 20), 64],
    ['sqlite', new Uint8Array(2 ** 20), 64],
  ])('M1: are refused when too many wait in %s', async (kind, payload, most) => {
    const ports = { owner: ownerId('me'), clock: new SimulatedClock() };
    const backend = await embedded(kind === 'memory' ? {} : { dir: newDir() }).open(ports);
    let heard = 0;
    backend.bus.subscribe(SUBJECT, { message: () => (heard += 1) });
    for (const round of [1, 2]) {
      const refusals: unknown[] = [];
      const publishing = Array.from({ length: most + 10 }, () =>
        backend.bus.publish(SUBJECT, payload).catch((error: unknown) => refusals.push(error)),
      );
      await Promise.all(publishing);
      expect(refusals).toHaveLength(10);
      for (const refusal of refusals) expect(refusal).toBeInstanceOf(OverloadedError);
      while (heard < most * round) await turn();
    }
    await backend.close();
  });

  it('M1: are refused when too many wait to be written', async () => {
    const pair = await Pair.open();
    const payload = new Uint8Array(2 ** 20);
    const publishing = Array.from({ length: 70 }, () => pair.writer.bus.publish(SUBJECT, payload));
    const ends = await Promise.allSettled(publishing);
    expect(ends.map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(6);
    expect(count(pair.dir, 'signals')).toBe(64);
    await pair.writer.bus.publish(SUBJECT, payload);
    await pair.close();
  });
});

describe('watching', () => {
  it('polls only while somebody watches, and once for all', async () => {
    const dir = newDir();
    const clock = new SimulatedClock();
    const backend = await open(dir, 'process', clock);
    expect(clock.nextDue).toBeUndefined();
    const ends = [
      backend.journal.watch(RUN, () => {}),
      backend.registry.watch('', () => {}),
      backend.queue.watch('q', () => {}),
      backend.bus.subscribe(SUBJECT, new Ear()),
    ];
    expect(clock.nextDue).toBe(clock.now() + 50);
    await passing(clock)(200);
    for (const end of ends) end();
    expect(clock.nextDue).toBeUndefined();
    await backend.close();
  });

  it('that ends and begins again in the turn of a poll does not poll twice', async () => {
    class Counting extends SimulatedClock {
      timeouts = 0;
      override setTimeout(run: () => void, ms: number): number {
        this.timeouts += 1;
        return super.setTimeout(run, ms);
      }
    }
    const clock = new Counting();
    const backend = await open(newDir(), 'process', clock);
    const end = backend.journal.watch(RUN, () => {});
    clock.increment(50);
    end();
    backend.journal.watch(RUN, () => {});
    await passing(clock)(100);
    clock.timeouts = 0;
    await passing(clock)(500);
    expect(clock.timeouts).toBeLessThanOrEqual(10);
    await backend.close();
  });

  it('a thousand journals lets the loop turn in between', async () => {
    /** A millisecond passes whenever somebody looks. */
    class Ticking extends SimulatedClock {
      turns = 0;
      override now(): number {
        this.increment(1);
        return super.now();
      }
      override immediate(run: () => void): void {
        this.turns += 1;
        super.immediate(run);
      }
    }
    const dir = newDir();
    const clock = new Ticking();
    const [reader, writer] = [await open(dir, 'process', clock), await open(dir)];
    const grown = runId('r-999');
    let told = 0;
    for (let index = 0; index < 1_000; index += 1) reader.journal.watch(runId(`r-${index}`), () => (told += 1));
    await passing(clock)(500);
    expect(told).toBe(1_000);
    clock.turns = 0;
    await passing(clock)(500);
    expect(clock.turns).toBeLessThan(50);
    clock.turns = 0;
    await append(writer, 1, 0, grown);
    for (clock.increment(50); told === 1_000;) await turn();
    expect(told).toBe(1_001);
    expect(clock.turns).toBeGreaterThan(1_000 / 5);
    await reader.close();
    await writer.close();
  });

  it('a slice ends when its time is over', async () => {
    const clock = new SimulatedClock();
    const steps: number[] = [];
    const work = function* (): Generator<void> {
      for (let step = 0; step < 12; step += 1) {
        steps.push(step);
        clock.increment(1);
        yield;
      }
    };
    let done = 0;
    inSlices(clock, work(), () => (done += 1));
    expect(steps).toHaveLength(5);
    while (done === 0) await turn();
    expect([steps.length, done, clock.pendingTurns]).toEqual([12, 1, 0]);
  });

  it('a registry that has changed more often than it remembers comes to what is there, deletions too', async () => {
    const pair = await Pair.open();
    for (let index = 0; index < 20; index += 1) await pair.writer.registry.put(`k.${index}`, index);
    const known = new Map<string, unknown>();
    pair.reader.registry.watch('k.', (key, now) => {
      if (now === undefined) known.delete(key);
      else known.set(key, now.value);
    });
    await pair.pass(100);
    expect(known.size).toBe(20);
    await pair.writer.registry.delete('k.3');
    await Promise.all(Array.from({ length: 12_000 }, (_, index) => pair.writer.registry.put('other', index)));
    await pair.writer.registry.put('k.4', 'changed');
    await pair.writer.registry.put('k.new', 'new');
    expect(count(pair.dir, 'changes')).toBeLessThan(10_000);
    await pair.pass(100);
    expect([known.has('k.3'), known.get('k.4'), known.get('k.new'), known.size]).toEqual([false, 'changed', 'new', 20]);
    await pair.close();
  });

  it('a registry tells at once of its own change behind many that nobody watches', async () => {
    const pair = await Pair.open();
    const { reader, writer, pass } = pair;
    const told: unknown[] = [];
    reader.registry.watch('k.', (key, now) => told.push([key, now?.value]));
    await pass(60);
    await Promise.all(Array.from({ length: 12_000 }, (_, index) => reader.registry.put(`other.${index % 9}`, index)));
    await reader.registry.put('k.1', 'own');
    // Sooner than anybody polls.
    await pass(1);
    expect(told).toEqual([['k.1', 'own']]);
    await reader.registry.delete('other.1');
    await writer.registry.put('k.2', 'theirs');
    await reader.registry.delete('k.1');
    await pass(200);
    expect(told.slice(1)).toHaveLength(2);
    expect(told.slice(1)).toEqual(
      expect.arrayContaining([
        ['k.2', 'theirs'],
        ['k.1', undefined],
      ]),
    );
    await pair.close();
  });

  it('a registry with a damaged value tells of it, and of the others', async () => {
    const pair = await Pair.open();
    for (const key of ['a', 'b', 'c']) await pair.writer.registry.put(key, key);
    alter(pair.dir, `UPDATE registry SET value = x'00' WHERE key = 'b'`);
    const known: string[] = [];
    const errors: TroupeError[] = [];
    pair.reader.registry.watch(
      '',
      (key) => known.push(key),
      (error) => errors.push(error),
    );
    await pair.pass(100);
    expect([known, errors.length]).toEqual([['a', 'c'], 1]);
    expect(errors[0]).toBeInstanceOf(StorageError);
    await pair.writer.registry.put('b', 'mended');
    await pair.pass(100);
    expect([known, errors.length]).toEqual([['a', 'c', 'b'], 1]);
    await pair.close();
  });

  it('a registry that cannot be read tells of it once, and goes on when it can', async () => {
    const pair = await Pair.open();
    const known: string[] = [];
    const errors: TroupeError[] = [];
    const watch = (): void =>
      void pair.reader.registry.watch(
        'k.',
        (key) => known.push(key),
        (error) => errors.push(error),
      );
    watch();
    await pair.pass(100);
    alter(pair.dir, 'ALTER TABLE registry RENAME TO hidden');
    watch();
    for (let round = 0; round < 3; round += 1) {
      alter(pair.dir, `INSERT INTO changes (key) VALUES ('k.${round}')`);
      await pair.pass(100);
    }
    // The second one could not even begin; of the first one each key is told that it cannot be read.
    expect(errors.filter(({ message }) => message.includes('watch the registry'))).toHaveLength(2);
    alter(pair.dir, 'ALTER TABLE hidden RENAME TO registry');
    await pair.writer.registry.put('k.a', 1);
    await pair.pass(100);
    expect(known).toEqual(['k.a', 'k.a']);
    await pair.close();
  });

  it('what cannot be read any more is told once: whoever looks gets the error', async () => {
    const pair = await Pair.open();
    await append(pair.writer, 2);
    let told = 0;
    pair.reader.journal.watch(RUN, () => (told += 1));
    const tells = async (what: string): Promise<number> => {
      const before = told;
      await pair.writer.registry.put('a', what);
      await pair.pass(100);
      return told - before;
    };
    expect(await tells('beginning')).toBe(1);
    alter(pair.dir, 'ALTER TABLE entries RENAME TO hidden');
    expect(await tells('gone')).toBe(1);
    await expect(pair.reader.journal.tail(RUN)).rejects.toThrow(StorageError);
    expect([await tells('still'), await tells('still')]).toEqual([0, 0]);
    alter(pair.dir, 'ALTER TABLE hidden RENAME TO entries');
    expect(await tells('back')).toBe(1);
    await append(pair.writer, 1, 2);
    expect(await tells('grown')).toBe(1);
    await pair.close();
  });
});

describe('the queue', () => {
  it('reports an item that was altered, and gives the next one', async () => {
    const dir = newDir();
    const backend = await open(dir);
    const { queue } = backend;
    for (const id of ['one', 'two']) await queue.enqueue('q', id, bytes(id));
    alter(dir, `UPDATE queue SET payload = x'00' WHERE id = 'one'`);
    await expect(queue.claim('q', { leaseMs: 60_000 })).rejects.toThrow(StorageError);
    expect((await queue.claim('q', { leaseMs: 60_000 }))?.id).toBe('two');
    await backend.close();
  });
});

describe('a commit', () => {
  it('is flushed when anything in it has to be', async () => {
    const db = new DatabaseSync(':memory:');
    const clock = new SimulatedClock();
    const flushed = (): unknown => db.prepare('PRAGMA synchronous').get()?.['synchronous'];
    const [NORMAL, FULL] = [1, 2];
    for (const [level, hint, plain] of [
      ['process', NORMAL, NORMAL],
      ['disk', NORMAL, FULL],
    ] as const) {
      const group = new Group(db, level, clock, () => {});
      await group.submit(() => 1, 'hint');
      expect(flushed()).toBe(hint);
      expect((await group.submit(() => 1)).level).toBe(plain === FULL ? 'disk' : 'process');
      expect(flushed()).toBe(plain);
      const together = [group.submit(() => 1, 'hint'), group.submit(() => 1), group.submit(() => 1, 'barrier')];
      expect((await Promise.all(together)).map((done) => done.level)).toEqual(['disk', 'disk', 'disk']);
      expect(flushed()).toBe(FULL);
    }
    db.close();
  });
});
