import { failure } from '../../src/protocol/exit.ts';
import type { Condition, StepScope } from '../../src/protocol/spec.ts';
import { atOnce, compute, dateText, shown } from './template.ts';

/** Whether a step is to begin. Throws a `Failure` for a comparison of what cannot be compared. */
export function holds(condition: ((scope: StepScope) => boolean) | Condition, scope: StepScope): boolean {
  if (typeof condition === 'function') return atOnce(condition(scope));
  if ('all' in condition) return condition.all.every((one) => holds(one, scope));
  if ('any' in condition) return condition.any.some((one) => holds(one, scope));
  const { of, test, operand } = condition;
  const value = undated(compute(of, scope));
  const other = undated(compute(operand, scope));
  switch (test) {
    case 'equals':
      return same(value, other);
    case 'not':
      return !same(value, other);
    case 'in':
      return Array.isArray(other) && other.some((item) => same(value, item));
    case 'exists':
      return (value !== undefined && value !== null) === other;
    case 'above':
    case 'atLeast':
    case 'below':
    case 'atMost': {
      // Of what was skipped nothing is above anything.
      if (value === undefined || value === null) return false;
      if (!comparable(value, other))
        throw failure(
          'ValidationError',
          'VALIDATION',
          `${'from' in of ? shown(of) : 'A value'} is ${kindOf(value)}, which cannot be ${test} ${kindOf(other)}.`,
        );
      const [a, b] = [value as number, other as number];
      return test === 'above' ? a > b : test === 'atLeast' ? a >= b : test === 'below' ? a < b : a <= b;
    }
  }
}

/** Data in words has no dates: they are compared as texts. */
const undated = (value: unknown): unknown => dateText(value) ?? value;

const kindOf = (value: unknown): string =>
  value === null || value === undefined ? 'nothing' : Array.isArray(value) ? 'a list' : `a ${typeof value}`;

const isNumber = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint';

const comparable = (a: unknown, b: unknown): boolean =>
  (isNumber(a) && isNumber(b)) || (typeof a === 'string' && typeof b === 'string');

/** Equal as data. */
function same(one: unknown, other: unknown): boolean {
  // Nor has it two words for nothing.
  const [a, b] = [undated(one ?? null), undated(other ?? null)];
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(Reflect.get(a, key), Reflect.get(b, key)))
  );
}
