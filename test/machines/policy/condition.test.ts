import { describe, expect, test } from 'vitest';
import { holds } from '../../../machines/policy/condition.ts';
import type { Condition, TESTS } from '../../../src/protocol/spec.ts';

const scope = {
  a: { n: 3, text: 'spam', list: [1, { b: 2 }], at: new Date(1_000), none: null, big: 3n, yes: true },
  other: { n: 5 },
};
type Test = (typeof TESTS)[number];
const about = (field: string, test: Test, operand: unknown): Condition => ({
  of: { from: 'a', path: [field] },
  test,
  operand: { value: operand },
});

describe('a condition', () => {
  test.each<[field: string, test: Test, operand: unknown, holds: boolean]>([
    ['n', 'equals', 3, true],
    ['n', 'equals', '3', false],
    ['list', 'equals', [1, { b: 2 }], true],
    ['list', 'equals', [1, { b: 2, c: undefined }], false],
    ['list', 'equals', { 0: 1, 1: { b: 2 } }, false],
    ['none', 'equals', null, true],
    ['gone', 'equals', null, true],
    ['at', 'equals', '1970-01-01T00:00:01.000Z', true],
    ['text', 'not', 'ham', true],
    ['text', 'not', 'spam', false],
    ['text', 'in', ['ham', 'spam'], true],
    ['text', 'in', ['ham'], false],
    ['list', 'in', [[1, { b: 2 }]], true],
    ['n', 'above', 2, true],
    ['n', 'above', 3, false],
    ['n', 'atLeast', 3, true],
    ['n', 'below', 3, false],
    ['n', 'atMost', 3, true],
    ['big', 'above', 2, true],
    ['text', 'above', 'ham', true],
    ['at', 'below', '1970-01-02', true],
    ['gone', 'above', 0, false],
    ['none', 'atMost', 0, false],
    ['n', 'exists', true, true],
    ['yes', 'exists', false, false],
    ['none', 'exists', true, false],
    ['gone', 'exists', false, true],
  ])('%s %s %j is %j', (field, test, operand, expected) => {
    expect(holds(about(field, test, operand), scope)).toBe(expected);
  });

  test('compares with what a reference gives', () => {
    expect(holds({ ...about('n', 'below', 0), operand: { from: 'other', path: ['n'] } }, scope)).toBe(true);
  });

  test('of several: all, or any', () => {
    const [yes, no] = [about('n', 'equals', 3), about('n', 'equals', 4)];
    expect([holds({ all: [yes, yes] }, scope), holds({ all: [yes, no] }, scope)]).toEqual([true, false]);
    expect([holds({ any: [no, yes] }, scope), holds({ any: [no, no] }, scope)]).toEqual([true, false]);
    expect([holds({ all: [] }, scope), holds({ any: [] }, scope)]).toEqual([true, false]);
  });

  test('may be a function', () => {
    expect(holds(({ a }) => a === scope.a, scope)).toBe(true);
  });

  test('compares nothing that cannot be compared', () => {
    for (const [field, operand] of [
      ['text', 5],
      ['list', 1],
      ['yes', 0],
      ['n', null],
    ] as const)
      expect(() => holds(about(field, 'above', operand), scope)).toThrow(
        expect.objectContaining({
          code: 'VALIDATION',
          message: expect.stringContaining(`\${a.${field}}`) as string,
        }) as Error,
      );
  });
});
