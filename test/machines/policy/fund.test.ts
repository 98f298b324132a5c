import { describe, expect, test } from 'vitest';
import {
  current,
  drawing,
  drawnIn,
  overdrawn,
  raised,
  ruled,
  settled,
  share,
  without,
  type Fund,
} from '../../../machines/policy/fund.ts';
import { spentOf } from '../../../src/protocol/amount.ts';
import type { Limits } from '../../../src/protocol/entry.ts';
import { ownerId, runId } from '../../../src/protocol/ids.ts';

const [x, y] = [runId('x'), runId('y')];
const owners = [ownerId('o1')];
const rules = (limits: Limits) => ({ limits, periodMs: 100, perRun: {} });
const fund = (limits: Limits = { tokens: 100 }): Fund => ruled(rules(limits), undefined, 250);

describe('a period', () => {
  test('begins with nothing spent; what is drawn stays drawn', () => {
    const spent = { ...drawing(fund(), x, { owners, drawn: { tokens: 30 } }), spent: { tokens: 40 } };
    expect(current(spent, 299)).toBe(spent);
    expect(current(spent, 512)).toEqual({ ...spent, since: 500, spent: {} });
  });

  test('goes on under new rules, with what is spent and drawn in it', () => {
    const before = { ...drawing(fund(), x, { owners, drawn: { tokens: 30 } }), spent: { tokens: 40 } };
    const after = ruled({ limits: { tokens: 10 }, periodMs: 50, perRun: { tokens: 1 } }, before, 299);
    expect(after).toMatchObject({ limits: { tokens: 10 }, since: 250, spent: { tokens: 40 }, open: before.open });
  });
});

describe('what is over', () => {
  test.each<[number, number | undefined]>([
    [30, undefined],
    [31, 31],
  ])('by what is spent, and drawn by others: %i of 30 that are left', (tokens, wanted) => {
    const others = { ...drawing(fund(), y, { owners, drawn: { tokens: 50 } }), spent: { tokens: 20 } };
    const over = wanted && { resource: 'tokens', spent: 70, limit: 100, wanted };
    expect(overdrawn(drawing(others, x, { owners, drawn: { tokens } }), x)).toEqual(over);
  });

  test('is nothing of what is not limited', () => {
    expect(overdrawn(drawing(fund({}), x, { owners, drawn: { tokens: 1e9 } }), x)).toBeUndefined();
  });
});

test('a run that has ended gives back what it has not spent; what it has spent is kept of all but time', () => {
  const drawn = drawing(drawing(fund(), x, { owners, drawn: { tokens: 30 } }), y, { owners, drawn: { tokens: 5 } });
  const after = settled(drawn, x, { tokens: 12, steps: 3, wallClockMs: 9 });
  expect(after.spent).toEqual({ tokens: 12, steps: 3 });
  expect(spentOf(drawnIn(after)).tokens).toBe(5);
  expect(without(after, y).open).toEqual({});
});

test('a run may be named as what every object has', () => {
  const named = runId('toString');
  expect(overdrawn(fund(), named)).toBeUndefined();
  expect(without(fund(), named).open).toEqual({});
});

test('what is drawn grows and never shrinks', () => {
  const drawn = { owners, drawn: { tokens: 30, steps: 2 } };
  expect(raised(drawn, { tokens: 10, steps: 5, usd: 0 })).toEqual({ owners, drawn: { tokens: 30, steps: 5, usd: 0 } });
});

test('a run draws what it asks for, nothing too, and must say how much of what is limited', () => {
  const asked = { tokens: 0, usd: 1, steps: 3 };
  expect(share({ ...asked, wallClockMs: 9 }, { tokens: 100, usd: 2 })).toEqual({ share: asked });
  expect(share({ tokens: 5 }, { tokens: 100, usd: 2 })).toEqual({ missing: 'usd' });
  expect(share({}, {})).toEqual({ share: {} });
});
