import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { begun, nextAt, type Begins } from '../../../machines/policy/rate.ts';

test('within any such time at most so many begin, and no more is remembered', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.nat(80)),
      (limit, perMs, pauses) => {
        const rate = { limit, perMs };
        let [begins, now]: [Begins, number] = [[], 0];
        const all: number[] = [];
        for (const pause of pauses) {
          now += pause;
          if (nextAt(begins, rate) > now) continue;
          begins = begun(begins, rate, now);
          all.push(now);
          assert(all.filter((at) => at > now - perMs).length <= limit);
          assert(begins.length <= limit);
        }
      },
    ),
  );
});

test('as soon as the oldest is out of sight the next may begin', () => {
  const rate = { limit: 2, perMs: 100 };
  expect([nextAt([], rate), nextAt([5], rate), nextAt([5, 60], rate)]).toEqual([-Infinity, -Infinity, 105]);
});

test('without a limit nothing is remembered', () => {
  expect([nextAt([], undefined), begun([], undefined, 7)]).toEqual([-Infinity, []]);
});
