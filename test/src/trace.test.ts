import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry, EntryEvents, EntryType } from '../../src/protocol/entry.ts';
import { NotFoundError } from '../../src/protocol/errors.ts';
import { summarise } from '../../src/summary.ts';
import { traced, Tracer, why } from '../../src/trace.ts';

interface Happened {
  type: EntryType;
  target?: string;
  at: number;
  cause?: number | string | null;
  event?: unknown;
}
const journal = (...happened: readonly Happened[]): Entry[] =>
  happened.map(
    ({ type, at, target = 'run', cause = null, event = {} }, index) =>
      ({ v: 1, run: 'order-42', seq: index + 1, epoch: 1, at, type, target, event, cause }) as Entry,
  );
const begun: EntryEvents['leaf.started'] = { effect: 'read', attempt: 1, input: null };

const durations = (...happened: readonly Happened[]): (number | undefined)[] =>
  Array.from(traced(journal(...happened)), ({ durationMs }) => durationMs);

test('an event has what the entry has', () => {
  const [, event] = traced(
    journal(
      { type: 'run.created', at: 5 },
      { type: 'message.received', at: 7, target: 'body', cause: 'inbox/3', event: { event: { type: 'GO' } } },
    ),
  );
  expect(event).toEqual({
    seq: 2,
    at: 7,
    type: 'message.received',
    target: 'body',
    data: { event: { type: 'GO' } },
    cause: 'inbox/3',
    durationMs: undefined,
  });
});

describe('a duration', () => {
  test('of calls side by side is that of each', () => {
    expect(
      durations(
        { type: 'leaf.started', target: 'a', at: 100, event: begun },
        { type: 'leaf.started', target: 'b', at: 110, event: begun },
        { type: 'leaf.started', target: 'c', at: 120, event: begun },
        { type: 'leaf.emitted', target: 'a', at: 125 },
        { type: 'leaf.failed', target: 'b', at: 130 },
        { type: 'leaf.succeeded', target: 'a', at: 150 },
        { type: 'leaf.abandoned', target: 'c', at: 170 },
      ),
    ).toEqual([undefined, undefined, undefined, undefined, 20, 50, 50]);
  });

  test('of a call that was begun again is that of its last begin', () => {
    expect(
      durations(
        { type: 'leaf.started', target: 'a', at: 100, event: begun },
        { type: 'run.recovered', at: 5_000 },
        { type: 'leaf.started', target: 'a', at: 5_001, event: { ...begun, attempt: 2 } },
        { type: 'leaf.succeeded', target: 'a', at: 5_004 },
      ).at(-1),
    ).toBe(3);
  });

  test('of a call that ended before its begin was written is the time since what led to it', () => {
    expect(
      durations(
        { type: 'run.created', at: 0 },
        { type: 'leaf.succeeded', target: 'a', at: 30, cause: 1, event: { output: 1, begun } },
        { type: 'leaf.succeeded', target: 'a', at: 70, cause: 2, event: { output: 1, begun } },
      ),
    ).toEqual([undefined, 30, 40]);
  });

  test('of a call that the gate refused is none: it never began', () => {
    expect(durations({ type: 'leaf.failed', target: 'a', at: 100, cause: 1 })).toEqual([undefined]);
  });

  test('of a timer is the time since the entry that set it; none where that is not known', () => {
    expect(
      durations(
        { type: 'run.created', at: 0 },
        { type: 'run.started', at: 10, cause: 1 },
        { type: 'timer.fired', at: 3_010, cause: 2 },
        { type: 'timer.fired', at: 3_020, cause: 'x' },
        { type: 'timer.fired', at: 3_030, cause: 99 },
        { type: 'timer.fired', at: 3_040 },
      ).slice(2),
    ).toEqual([3_000, undefined, undefined, undefined]);
  });

  test('of a run is that since it was started, also when it was continued; none when it never was', () => {
    const [created, started]: [Happened, Happened] = [
      { type: 'run.created', at: 0 },
      { type: 'run.started', at: 10 },
    ];
    const ends = ['run.completed', 'run.failed', 'run.killed'] as const;
    for (const type of ends) expect(durations(created, started, { type, at: 60 }).at(-1)).toBe(50);
    expect(durations(created, started, { type: 'run.continued', at: 20 }, { type: 'run.killed', at: 60 })[3]).toBe(50);
    expect(durations(created, { type: 'run.killed', at: 60 })[1]).toBeUndefined();
  });

  test('knows nothing from before a new beginning, and all since', () => {
    expect(
      durations(
        { type: 'run.created', at: 0 },
        { type: 'leaf.started', target: 'a', at: 10, event: begun },
        { type: 'run.continued', at: 20 },
        { type: 'leaf.succeeded', target: 'a', at: 30 },
        { type: 'timer.fired', at: 40, cause: 1 },
        { type: 'timer.fired', at: 50, cause: 3 },
        { type: 'timer.fired', at: 60, cause: 4 },
      ).slice(3),
    ).toEqual([undefined, undefined, 30, 30]);
  });

  test('can be told from the middle of a journal on', () => {
    const tracer = new Tracer();
    const [, , one, two] = journal(
      { type: 'run.created', at: 0 },
      { type: 'run.started', at: 1 },
      { type: 'message.received', at: 5 },
      { type: 'timer.fired', at: 9, cause: 3 },
    ) as [Entry, Entry, Entry, Entry];
    expect([tracer.durationMs(one), tracer.durationMs(two)]).toEqual([undefined, 4]);
  });

  test('summed up by type is what the summary says, and is never negative', async () => {
    const keys = fc.constantFrom('a', 'b', 'c');
    const some = fc.record({
      type: fc.constantFrom<EntryType>(
        'leaf.started',
        'leaf.succeeded',
        'leaf.failed',
        'leaf.abandoned',
        'timer.fired',
        'run.continued',
        'message.received',
      ),
      target: keys,
      later: fc.nat(50),
      back: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(some), async (happened) => {
        let at = 0;
        const entries = journal(
          ...happened.map(({ type, target, later, back }, index) => {
            const event = type === 'leaf.started' ? begun : {};
            return { type, target, at: (at += later), cause: Math.max(1, index + 1 - back), event };
          }),
        );
        const { byType } = await summarise(entries);
        const events = [...traced(entries)];
        for (const type of Object.keys(byType) as EntryType[]) {
          const of = events.filter((event) => event.type === type);
          const totalMs = of.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0);
          expect([type, byType[type]]).toEqual([type, { count: of.length, totalMs }]);
          expect(of.every(({ durationMs = 0 }) => durationMs >= 0)).toBe(true);
        }
      }),
    );
  });
});

describe('why', () => {
  const entries = journal(
    { type: 'run.created', at: 0 },
    { type: 'run.started', at: 1, cause: 1 },
    { type: 'leaf.started', target: 'a', at: 2, cause: 2, event: begun },
    { type: 'leaf.started', target: 'b', at: 3, cause: 2, event: begun },
    { type: 'leaf.succeeded', target: 'a', at: 5, cause: 3 },
    { type: 'message.received', target: 'body', at: 6, cause: 'inbox/17' },
    { type: 'timer.fired', target: 't', at: 9, cause: 6 },
    { type: 'message.received', target: 'body', at: 10, cause: null },
    { type: 'timer.fired', target: 't', at: 11, cause: 11 },
  );
  const seqs = (seq: number): number[] => why(entries, seq).map((event) => event.seq);

  test('goes back to the beginning of the run, past what has nothing to do with it', () => {
    expect(seqs(5)).toEqual([1, 2, 3, 5]);
    expect(why(entries, 5).at(-1)).toMatchObject({ type: 'leaf.succeeded', durationMs: 3 });
    expect(seqs(1)).toEqual([1]);
  });

  test('ends where something came from outside', () => {
    expect(seqs(7)).toEqual([6, 7]);
    expect(why(entries, 7)[0]).toMatchObject({ cause: 'inbox/17' });
    expect(seqs(8)).toEqual([8]);
  });

  test('goes round in no circle', () => expect(seqs(9)).toEqual([9]));

  test.each([0, -1, 1.5, 10])('an entry that is not there: %d', (seq) => {
    expect(() => why(entries, seq)).toThrow(NotFoundError);
    expect(() => why(entries, seq)).toThrow(`There is no entry ${seq}: the run has 9, from 1.`);
  });
});
