import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Deadlines, systemClock, type Deadline } from '../../src/clock.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';

const DAY = 86_400_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Counts the timers of the operating system that are armed. */
class CountingClock extends SimulatedClock {
  readonly armed = new Set<number>();
  most = 0;

  override setTimeout(run: () => void, ms: number): number {
    const id = super.setTimeout(() => {
      this.armed.delete(id);
      run();
    }, ms);
    this.armed.add(id);
    this.most = Math.max(this.most, this.armed.size);
    return id;
  }

  override clearTimeout(handle: unknown): void {
    this.armed.delete(handle as number);
    super.clearTimeout(handle);
  }
}

type Command =
  | { do: 'add'; in: number; key: string }
  | { do: 'remove'; which: number }
  | { do: 'pass'; ms: number }
  | { do: 'sleep'; ms: number };
const ms = fc.oneof(fc.integer({ min: -5, max: 50 }), fc.integer({ min: 0, max: 60 * DAY }));
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('add'), in: ms, key: fc.constantFrom('a', 'b', 'c', 'aa', '') }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove'), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass'), ms: ms.map(Math.abs) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sleep'), ms: ms.map(Math.abs) }) },
);

interface Expected {
  due: number;
  key: string;
  id: number;
  handle: Deadline;
}

test('fires what a plain sorted list would, never early, in order of due time, then key', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const clock = new CountingClock(0);
      const deadlines = new Deadlines(clock);
      const model: Expected[] = [];
      const fired: number[] = [];
      const all: Expected[] = [];
      for (const step of commands) {
        const before = fired.length;
        if (step.do === 'add') {
          const next = { due: clock.now() + step.in, key: step.key, id: all.length };
          const handle = deadlines.add(next.due, 0, next.key, () => {
            assert(clock.now() >= next.due, 'early');
            fired.push(next.id);
          });
          all.push({ ...next, handle });
          model.push({ ...next, handle });
        } else if (step.do === 'remove') {
          const gone = all[step.which % Math.max(1, all.length)];
          if (gone === undefined) continue;
          deadlines.remove(gone.handle);
          const at = model.findIndex(({ id }) => id === gone.id);
          if (at >= 0) model.splice(at, 1);
        } else {
          if (step.do === 'pass') clock.increment(step.ms);
          else clock.jump(step.ms);
          const due = model.filter((one) => one.due <= clock.now());
          const shown = (list: readonly Expected[]): string[] => list.map((one) => `${one.due} ${one.key}`);
          const now = fired.slice(before).map((id) => all[id] as Expected);
          assert.deepEqual(new Set(now.map(({ id }) => id)), new Set(due.map(({ id }) => id)));
          const ordered = due.toSorted((a, b) => a.due - b.due || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
          assert.deepEqual(shown(now), shown(ordered));
          for (const { id } of due)
            model.splice(
              model.findIndex((one) => one.id === id),
              1,
            );
        }
        assert(clock.armed.size <= 1);
        assert(model.length === 0 || clock.armed.size === 1, 'something waits and no timer is armed');
      }
      assert(clock.most <= 1 && clock.longest <= MAX_TIMEOUT_MS);
    }),
    { numRuns: 500 },
  );
});

describe('deadlines', () => {
  const make = () => {
    const clock = new CountingClock(0);
    const deadlines = new Deadlines(clock);
    const fired: string[] = [];
    const add = (due: number, key: string): Deadline =>
      deadlines.add(due, 0, key, () => fired.push(`${key}@${clock.now()}`));
    return { clock, deadlines, fired, add };
  };

  test('30 days are waited for in pieces that a timer of the system can hold', () => {
    const { clock, fired, add } = make();
    add(30 * DAY, 'month');
    clock.increment(30 * DAY - 1);
    expect([fired, clock.longest <= MAX_TIMEOUT_MS]).toEqual([[], true]);
    clock.increment(1);
    expect(fired).toEqual([`month@${30 * DAY}`]);
  });

  test('a timer of the system that is early fires nothing', () => {
    const { clock, fired, add } = make();
    vi.spyOn(clock, 'now').mockReturnValue(0);
    add(10, 'a');
    clock.increment(10);
    expect([fired, clock.armed.size]).toEqual([[], 1]);
  });

  test('what was slept through fires late, in order', () => {
    const { clock, fired, add } = make();
    for (const [due, key] of [
      [30, 'c'],
      [20, 'b'],
      [20, 'a'],
      [10, 'z'],
    ] as const)
      add(due, key);
    clock.jump(100);
    expect(fired).toEqual(['z@100', 'a@100', 'b@100', 'c@100']);
  });

  test('behind a time in which the process stood still, fire when it has heard what was said meanwhile', async () => {
    const clock = new CountingClock(0);
    let hear = (): void => {};
    const heard = new Promise<void>((resolve) => (hear = resolve));
    const hears = vi.fn(() => heard);
    const deadlines = new Deadlines(clock, hears);
    const fired: string[] = [];
    const add = (due: number, key: string): Deadline =>
      deadlines.add(due, 0, key, () => fired.push(`${key}@${clock.now()}`));
    const needless = add(10, 'needless');
    add(20, 'a');
    clock.jump(2_000);
    add(1_000, 'b');
    clock.increment(10);
    deadlines.remove(needless);
    expect([fired, hears.mock.calls.length]).toEqual([[], 1]);
    hear();
    await heard;
    expect(fired).toEqual(['a@2010', 'b@2010']);
    add(2_020, 'c');
    clock.increment(900);
    expect([fired.at(-1), hears.mock.calls.length]).toEqual(['c@2020', 1]);
  });

  test('an earlier one takes the place of the timer that is armed', () => {
    const { clock, fired, add } = make();
    add(100, 'late');
    add(5, 'soon');
    expect(clock.nextDue).toBe(5);
    clock.increment(5);
    expect([fired, clock.nextDue]).toEqual([['soon@5'], 100]);
  });

  test('one that fires may add and remove others', () => {
    const { clock, deadlines, fired, add } = make();
    const doomed = add(2, 'doomed');
    deadlines.add(1, 0, 'first', () => {
      deadlines.remove(doomed);
      add(1, 'now');
      add(3, 'later');
    });
    clock.increment(1);
    expect([fired, clock.armed.size]).toEqual([['now@1'], 1]);
    clock.increment(2);
    expect(fired).toEqual(['now@1', 'later@3']);
  });

  test('what takes the place of one removed from another branch still fires in order', () => {
    const { clock, deadlines, fired, add } = make();
    const handles = [1, 10, 2, 11, 12, 3, 4, 20, 21, 22, 23, 5, 6, 7, 8].map((due) => add(due, `${due}`));
    deadlines.remove(handles[3] as Deadline);
    clock.jump(100);
    expect(fired.map((one) => Number(one.split('@')[0]))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 20, 21, 22, 23]);
  });

  test('removing twice, or what has fired, is nothing', () => {
    const { clock, deadlines, fired, add } = make();
    const [a, b] = [add(1, 'a'), add(2, 'b')];
    clock.increment(1);
    deadlines.remove(a);
    deadlines.remove(a);
    clock.increment(1);
    deadlines.remove(b);
    expect(fired).toEqual(['a@1', 'b@2']);
  });

  test('after close nothing fires and no timer is armed', () => {
    const { clock, deadlines, fired, add } = make();
    const one = add(1, 'a');
    add(2, 'b');
    deadlines.close();
    deadlines.close();
    deadlines.remove(one);
    clock.increment(10);
    expect([fired, clock.armed.size]).toEqual([[], 0]);
  });

  test('one that throws keeps no other from firing', () => {
    const { clock, deadlines, fired, add } = make();
    deadlines.add(1, 0, 'bad', () => {
      throw new Error('of its owner');
    });
    add(1, 'good');
    add(2, 'next');
    for (const passed of [1, 1]) {
      try {
        clock.increment(passed);
      } catch {
        // whose it is, is another question
      }
    }
    expect(fired.map((one) => one.split('@')[0])).toEqual(['good', 'next']);
  });
});

describe('the clock of the system', () => {
  afterEach(() => void vi.restoreAllMocks());

  test('starts at the wall clock and keeps its own count, whatever becomes of that', () => {
    const wall = vi.spyOn(Date, 'now').mockReturnValue(1_000_000);
    const elapsed = vi.spyOn(performance, 'now').mockReturnValue(500);
    const clock = systemClock();
    expect(clock.now()).toBe(1_000_000);
    wall.mockReturnValue(0);
    elapsed.mockReturnValue(750.9);
    expect(clock.now()).toBe(1_000_250);
    wall.mockReturnValue(9e12);
    expect(clock.now()).toBe(1_000_250);
  });

  test('gives whole milliseconds that never go back', () => {
    const clock = systemClock();
    let last = clock.now();
    for (let turn = 0; turn < 10_000; turn += 1) {
      const now = clock.now();
      assert(Number.isInteger(now) && now >= last);
      last = now;
    }
  });

  test('runs a timeout, not one that was cleared, and a turn after the promises of this one', async () => {
    const clock = systemClock();
    const order: string[] = [];
    clock.clearTimeout(clock.setTimeout(() => order.push('cleared'), 0));
    await new Promise<void>((resolve) => {
      clock.immediate(() => order.push('immediate'));
      void Promise.resolve().then(() => order.push('promise'));
      clock.setTimeout(() => {
        order.push('timeout');
        if (order.length === 3) resolve();
        else clock.immediate(resolve);
      }, 1);
    });
    expect(order.indexOf('promise')).toBe(0);
    expect(order.toSorted()).toEqual(['immediate', 'promise', 'timeout']);
  });
});
