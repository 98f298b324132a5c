import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allotment,
  boundsIn,
  exhausted,
  leftOf,
  overByCharge,
  overIfGranted,
} from '../../../machines/policy/budget.ts';
import { amountOf, boundsOf, NOTHING } from '../../../src/protocol/amount.ts';
import type { Exhausted, Limits, Resource } from '../../../src/protocol/entry.ts';

const over = (limits: Limits, spent: Limits, reserved: Limits, wants: Limits) =>
  overIfGranted(boundsOf(limits), amountOf(spent), amountOf(reserved), amountOf(wants));

describe('a call that asks', () => {
  test.each<[Limits, Limits, Limits, Limits, Resource | undefined]>([
    [{}, { tokens: 1e9, steps: 1e9 }, {}, { tokens: 1e9 }, undefined],
    [{ tokens: 100 }, { tokens: 40 }, { tokens: 50 }, { tokens: 10 }, undefined],
    [{ tokens: 100 }, { tokens: 40 }, { tokens: 50 }, { tokens: 11 }, 'tokens'],
    [{ usd: 0.3 }, { usd: 0.1 }, {}, { usd: 0.2 }, undefined],
    [{ usd: 0.3 }, { usd: 0.1 }, { usd: 0.2 }, { usd: 0.000000001 }, 'usd'],
    [{ steps: 2 }, { steps: 1 }, {}, {}, undefined],
    [{ steps: 2 }, { steps: 2 }, {}, {}, 'steps'],
    [{ steps: 5 }, { steps: 1 }, { steps: 3 }, { steps: 1 }, 'steps'],
    [{ toolCalls: 1 }, { toolCalls: 1 }, {}, {}, undefined],
    [{ toolCalls: 1 }, { toolCalls: 1 }, {}, { toolCalls: 1 }, 'toolCalls'],
    [{ wallClockMs: 10 }, { wallClockMs: 9 }, {}, {}, undefined],
    [{ wallClockMs: 10 }, { wallClockMs: 10 }, {}, {}, 'wallClockMs'],
    // One whose calls are free may still begin when all is spent, and none when more than all is.
    [{ tokens: 10 }, { tokens: 10 }, {}, {}, undefined],
    [{ tokens: 10 }, { tokens: 11 }, {}, {}, 'tokens'],
  ])('of %j, with %j spent and %j reserved, for %j: over is %s', (limits, spent, reserved, wants, resource) => {
    expect(over(limits, spent, reserved, wants)?.resource).toBe(resource);
  });

  test('is told what is spent and what is held back, in dollars', () => {
    expect(over({ usd: 0.5 }, { usd: 0.3 }, { usd: 0.1 }, { usd: 0.2 })).toEqual({
      resource: 'usd',
      spent: 0.3,
      reserved: 0.1,
      limit: 0.5,
    });
    expect(over({ steps: 1 }, { steps: 1 }, {}, {})).toEqual({ resource: 'steps', spent: 1, limit: 1 });
  });
});

describe('a charge', () => {
  const charged = (limits: Limits, spent: Limits, beyond: { tokens: boolean; usd: boolean }) =>
    overByCharge(boundsOf(limits), amountOf(spent), NOTHING, beyond)?.resource;

  test('within what the call had reserved is never over, whatever others have charged', () => {
    expect(charged({ tokens: 10, usd: 1 }, { tokens: 20, usd: 2 }, { tokens: false, usd: false })).toBeUndefined();
  });

  test.each<[Limits, Limits, Resource | undefined]>([
    [{ tokens: 10, usd: 1 }, { tokens: 10, usd: 1 }, undefined],
    [{ tokens: 10, usd: 1 }, { tokens: 11, usd: 1 }, 'tokens'],
    [{ tokens: 10, usd: 1 }, { tokens: 1, usd: 1.000000001 }, 'usd'],
  ])('beyond that is over: of %j with %j spent, %s', (limits, spent, resource) => {
    expect(charged(limits, spent, { tokens: true, usd: true })).toBe(resource);
  });
});

test('the reserve is kept back until the last turn', () => {
  const budget = { tokens: 100, usd: 1, steps: 3, onExhausted: 'handBack', reserve: { tokens: 30, steps: 5 } } as const;
  expect(boundsIn(budget, false)).toMatchObject({ tokens: 70, nanoUsd: 1e9, steps: 0, toolCalls: Infinity });
  expect(boundsIn(budget, true)).toMatchObject({ tokens: 100, nanoUsd: 1e9, steps: 3 });
  expect(boundsIn({ ...budget, onExhausted: 'fail' }, false)).toMatchObject({ tokens: 100 });
});

test.each<[Exhausted | undefined, boolean, boolean, Exhausted]>([
  [undefined, false, true, 'fail'],
  ['fail', false, true, 'fail'],
  ['pause', false, false, 'pause'],
  ['handBack', false, true, 'handBack'],
  ['handBack', false, false, 'fail'],
  ['handBack', true, true, 'fail'],
  // In its last turn a run is forked with another budget.
  ['pause', true, true, 'fail'],
])('%s, wrapping up: %s, can: %s comes to %s', (onExhausted, wrappingUp, canWrapUp, then) => {
  expect(exhausted({ ...(onExhausted && { onExhausted }) }, { wrappingUp, canWrapUp })).toBe(then);
});

test('without a budget nothing is spent: it would fail', () => {
  expect(exhausted(null, { wrappingUp: false, canWrapUp: true })).toBe('fail');
});

describe('an allotment', () => {
  test.each<[Limits | null, Limits, Limits]>([
    [null, {}, {}],
    [null, { tokens: 5, usd: 0 }, { tokens: 5, usd: 0 }],
    [{ tokens: 3 }, { tokens: 5, steps: 2 }, { tokens: 3, steps: 2 }],
    [{ tokens: 9, usd: 1 }, { tokens: 5 }, { tokens: 5, usd: 1 }],
  ])('of %j where %j is left is %j', (asked, left, given) => {
    expect(allotment(asked, left)).toEqual(given);
  });

  const limits = fc.record(
    { tokens: fc.nat(1_000), usd: fc.nat(1_000).map((n) => n / 100), steps: fc.nat(50), toolCalls: fc.nat(50) },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Limits>;

  test('only narrows: children of one parent never get more than it has', () => {
    fc.assert(
      fc.property(limits, fc.array(fc.option(limits), { maxLength: 8 }), (parent, children) => {
        const reserved = amountOf({});
        for (const asked of children) {
          const given = allotment(asked, leftOf(boundsOf(parent), NOTHING, reserved));
          for (const [resource, limit] of Object.entries(parent) as [Resource, number][]) {
            expect(given[resource]).toBeLessThanOrEqual(Math.min(limit, asked?.[resource] ?? Infinity));
          }
          const more = amountOf(given);
          for (const key of Object.keys(reserved) as (keyof typeof reserved)[]) reserved[key] += more[key];
        }
        const bounds = boundsOf(parent);
        for (const key of Object.keys(reserved) as (keyof typeof reserved)[])
          if (bounds[key] !== Infinity) expect(reserved[key]).toBeLessThanOrEqual(bounds[key]);
      }),
    );
  });
});
