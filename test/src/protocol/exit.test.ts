import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateLimitError } from '../../../src/protocol/errors.ts';
import { failure, toFailure } from '../../../src/protocol/exit.ts';

test('a failure has data only where there is some', () => {
  expect(failure('E', 'X', 'broke')).toStrictEqual({ name: 'E', code: 'X', message: 'broke' });
  expect(failure('E', 'X', 'broke', 0)).toStrictEqual({ name: 'E', code: 'X', message: 'broke', data: 0 });
});

describe('what was thrown, as a failure', () => {
  test('an error', () => {
    expect(toFailure(new TypeError('no body'))).toStrictEqual({ name: 'TypeError', message: 'no body' });
    expect(toFailure(new RateLimitError('later'))).toMatchObject({ name: 'RateLimitError', code: 'RATE_LIMIT' });
  });

  test('a failure, as it is', () => {
    const whole = { name: 'E', message: 'broke', code: 7, data: { a: 1 }, notPerformed: true } as const;
    expect(toFailure(whole)).toStrictEqual(whole);
  });

  test('proof is the word true and nothing else', () => {
    for (const notPerformed of [false, 1, 'true', {}, null])
      expect(toFailure({ message: 'm', notPerformed })).toStrictEqual({ name: 'Error', message: 'm' });
  });

  test.each([undefined, null, 7, 'text', false, 7n, {}, [1]])('the value %o', (value) => {
    const shown = toFailure(value);
    expect([shown.name, shown.code, shown.data]).toEqual(['Error', 'UNKNOWN', value]);
    expect(shown.message).toMatch(/^Thrown: /);
  });

  test('names and messages that are no text become text', () => {
    expect(toFailure({ name: 5, message: undefined })).toStrictEqual({ name: '5', message: 'undefined' });
  });

  test('with its cause', () => {
    const cause = { name: 'E', message: 'no route' };
    expect(toFailure({ name: 'E', message: 'broke', cause })).toMatchObject({ cause });
  });

  test('never throws, whatever it is', () => {
    expect(() => toFailure({ toString: null, valueOf: null })).not.toThrow();
    fc.assert(fc.property(fc.anything({ withNullPrototype: true }), (value) => void toFailure(value)));
  });
});
