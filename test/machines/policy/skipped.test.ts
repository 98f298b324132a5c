import { expect, test } from 'vitest';
import { whySkipped } from '../../../machines/policy/skipped.ts';
import type { StepSpec } from '../../../src/protocol/spec.ts';

const step = (name: string, more: Partial<StepSpec> = {}): StepSpec => ({
  name,
  call: { kind: 'tool', tool: name },
  needs: [],
  ...more,
});

const why = (steps: readonly StepSpec[], statuses: Record<string, string>): unknown =>
  Object.fromEntries(whySkipped(steps, new Map(Object.entries(statuses))));

test('a skipped step says which of those it needs will never be done', () => {
  const steps = [step('a'), step('b', { onFailure: 'skip' }), step('c', { needs: ['a'] }), step('d', { needs: ['b'] })];
  expect(why(steps, { a: 'skipped', b: 'failed', c: 'skipped', d: 'skipped' })).toEqual({
    a: 'its condition does not hold',
    c: 'a was skipped',
    d: 'b failed',
  });
});

test('that none of several was done, or that its own condition does not hold', () => {
  const steps = [step('a'), step('b', { onFailure: 'skip' }), step('c', { anyOf: ['a', 'b'] })];
  expect(why(steps, { a: 'skipped', b: 'failed', c: 'skipped' })).toMatchObject({ c: 'none of a, b was done' });
  expect(why(steps, { a: 'done', b: 'failed', c: 'skipped' })).toEqual({ c: 'its condition does not hold' });
});

test('a failure after which the plan goes on as if it were done is no reason', () => {
  const steps = [step('a', { onFailure: 'continue' }), step('b', { needs: ['a'] })];
  expect(why(steps, { a: 'failed', b: 'skipped' })).toEqual({ b: 'its condition does not hold' });
});
