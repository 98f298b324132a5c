import { expect, test } from 'vitest';
import { bytes, type Bytes } from '../../../src/protocol/bytes.ts';
import { ValidationError } from '../../../src/protocol/errors.ts';

const of = (size: unknown): number => bytes(size as Bytes, 'memory');

test.each<[Bytes, number]>([
  ['1B', 1],
  ['64KiB', 65_536],
  ['64KB', 64_000],
  ['512MB', 512_000_000],
  ['1.5GiB', 1_610_612_736],
  ['0.3KiB', 307],
  [0, 0],
  [1_234, 1_234],
])('%s is %d bytes', (size, many) => {
  expect(of(size)).toBe(many);
});

test.each(['', '64', 'MB', '64 MB', '-1MB', '1e3MB', '64mb', '64M', '64Kib', -1, 1.5, NaN, Infinity, null, undefined])(
  '%j is refused, with its name',
  (size) => {
    expect(() => of(size)).toThrow(ValidationError);
    expect(() => of(size)).toThrow(/^The memory .* is not a size/);
  },
);
