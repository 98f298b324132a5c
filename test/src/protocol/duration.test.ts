import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { milliseconds, type Duration } from '../../../src/protocol/duration.ts';
import { ValidationError } from '../../../src/protocol/errors.ts';

const of = (duration: unknown): number => milliseconds(duration as Duration, 'timeout');

test.each<[Duration, number]>([
  ['250ms', 250],
  ['10s', 10_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['30d', 2_592_000_000],
  ['1.5h', 5_400_000],
  ['0s', 0],
  [0, 0],
  [1_234, 1_234],
])('%s is %d ms', (duration, ms) => {
  expect(of(duration)).toBe(ms);
});

describe('refused', () => {
  const strange = [
    '',
    '10',
    's',
    ' 10s',
    '10s ',
    '10 s',
    '-1s',
    '+1s',
    '1e3s',
    '10S',
    '1w',
    '.5s',
    '1.s',
    '10s\n',
    '0x10s',
    '１s',
  ];
  test.each([...strange, -1, NaN, Infinity, -Infinity, null, undefined, true, {}, [10], `${'9'.repeat(400)}d`])(
    '%j',
    (duration) => {
      expect(() => of(duration)).toThrow(ValidationError);
    },
  );

  test('the message says which duration, shows it and how to write it', () => {
    expect(() => of('10 s')).toThrow(/^The timeout "10 s" is not a duration: use milliseconds or '250ms', '10s'/);
  });

  test('a bigint, with the same error', () => {
    expect(() => of(10n)).toThrow(ValidationError);
  });
});

test('units add up', () => {
  fc.assert(
    fc.property(fc.nat(1_000), (n) => {
      assert.equal(of(`${n}s`), of(`${n * 1_000}ms`));
      assert.equal(of(`${n}m`), of(`${n * 60}s`));
      assert.equal(of(`${n}h`), of(`${n * 60}m`));
      assert.equal(of(`${n}d`), of(`${n * 24}h`));
    }),
  );
});

test('whatever text: a finite time that is not negative, or a ValidationError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.double(), fc.stringMatching(/^[0-9.]{0,5}(ms|s|m|h|d|w)?$/)), (text) => {
      try {
        const ms = of(text);
        assert(Number.isFinite(ms) && ms >= 0);
      } catch (error) {
        assert(error instanceof ValidationError, String(error));
      }
    }),
  );
});
