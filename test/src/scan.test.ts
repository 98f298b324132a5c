import { describe, expect, test } from 'vitest';
import { MAX_PAYLOAD } from '../../src/backend.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import { scan } from '../../src/scan.ts';
import { Frames } from '../support/frames.ts';

const frames = new Frames(3);
const join = (...parts: (Uint8Array | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)));
const list = (item: Uint8Array | number[], times: number): Buffer =>
  join(frames.header('array', times), Buffer.alloc(item.length * times, Buffer.from(item)));
const map = (keys: readonly string[]): Buffer =>
  join(frames.header('map', keys.length), ...keys.flatMap((key) => [frames.string(key), [0xc0]]));

const refused = (bytes: Uint8Array, what: string, at?: number): void => {
  const read = (): unknown => scan(bytes);
  expect(read).toThrow(ValidationError);
  expect(read).toThrow(what);
  if (at !== undefined) expect(read).toThrow(expect.objectContaining({ context: { path: 'frame', at, what } }));
};

test('counts the keys of all maps', () => {
  expect(scan(Buffer.from([0xc0]))).toBe(0);
  expect(scan(join([0x92], map(['a', 'b']), [0x81], frames.string('c'), map(['d'])))).toBe(4);
});

test('a part of a value is none, and more than one is none', () => {
  const generated = new Frames(11);
  for (let i = 0; i < 300; i++) {
    const { bytes, expected } = generated.next();
    if (typeof expected === 'string') continue;
    scan(bytes);
    for (let length = 0; length < bytes.length; length++)
      refused(bytes.subarray(0, length), 'fewer bytes than announced');
    refused(join(bytes, [0xc0]), 'more bytes than the value has', bytes.length);
  }
});

test('a view of a larger buffer ends where the view ends', () => {
  const whole = Buffer.from([0xc0, 0x92, 0xc0, 0xc0]);
  expect(scan(whole.subarray(1))).toBe(0);
  refused(whole.subarray(1, 3), 'fewer bytes than announced', 1);
});

describe('lengths that lie, of an item that is otherwise whole', () => {
  const headers = [
    [0xd9, 6],
    [0xda, 0, 6],
    [0xdb, 0, 0, 0, 6],
    [0xdb, 255, 255, 255, 255],
    [0xc4, 6],
    [0xc5, 0, 6],
    [0xc6, 0, 0, 0, 6],
    [0xc6, 255, 255, 255, 255],
    [0xdc, 0, 6],
    [0xdd, 0, 0, 0, 6],
    [0xdd, 255, 255, 255, 255],
    [0xde, 0, 3],
    [0xdf, 0, 0, 0, 3],
    [0xdf, 128, 0, 0, 0],
    [0xc7, 5],
    [0xc8, 0, 5],
    [0xc9, 0, 0, 0, 5],
    [0xc9, 255, 255, 255, 255],
    [0xa6],
    [0x96],
    [0x83],
    [0xcb],
    [0xcf],
    [0xd8],
  ];
  test.each(headers)('%i %i %i %i %i', (...header) => {
    refused(join(header.filter(Number.isInteger), Buffer.alloc(5, 0x61)), 'fewer bytes than announced');
  });
});

test.each<[string, number[]]>([
  ['the byte 0xc1', [0xc1]],
  ['an extension of type 1', [0xd4, 1, 0]],
  ['an extension of type 114', [0xd4, 0x72, 0x40]],
  ['an extension of type -2', [0xc7, 1, 0xfe, 0]],
  ['an extension of type 0', [0xd5, 0, 0, 0]],
  ['a timestamp of 2 bytes', [0xd5, 0xff, 0, 0]],
  ['a timestamp that is none', [0xd7, 0xff, 0xee, 0x6b, 0x28, 0, 0, 0, 0, 0]],
  ['a timestamp that no Date can hold', [0xc7, 12, 0xff, 0x3b, 0x9a, 0xca, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['a timestamp that no Date can hold', [0xc7, 12, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]],
  ['an integer of 2^63 or more', [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]],
  ['a key that is no string', [0x81, 0xc4, 1, 0x61, 0xc0]],
  ['the key __proto__', [0x81, 0xd9, 9, ...Buffer.from('__proto__'), 0xc0]],
  ['a string that is not UTF-8', [0xa2, 0xc3, 0x28]],
])('%s is refused: %j', (what, bytes) => {
  refused(Buffer.from(bytes), what);
  refused(join([0x92, 0xc0], bytes), what);
});

describe('levels', () => {
  const arrays = (levels: number): Buffer => Buffer.alloc(levels, 0x91).fill(0x90, levels - 1);
  const maps = (levels: number): Buffer => join(Buffer.alloc(levels * 2, Buffer.from([0x81, 0xa0])), [0xc0]);

  test('64 are read', () => {
    scan(arrays(64));
    scan(maps(64));
    scan(list(arrays(63), 200));
  });

  test.each([65, 6_400, MAX_PAYLOAD])('%i are refused at the 65th', (levels) => {
    refused(arrays(levels), 'more than 64 levels', 65);
  });

  test('65 of maps are refused', () => {
    refused(maps(65), 'more than 64 levels');
  });
});

describe('what takes more memory than it should', () => {
  test.each<[string, Buffer]>([
    ['a MiB of text', join([0xdb, 0, 15, 255, 251], Buffer.alloc(MAX_PAYLOAD - 5, 0x61))],
    ['100,000 numbers', list([0xcb, 0, 0, 0, 0, 0, 0, 0, 0], 100_000)],
    ['500,000 small numbers', list([7], 500_000)],
    ['4,000 records', list(map(['id', 'name', 'email', 'age', 'active', 'score']), 4_000)],
    ['a map of 30,000', map(Array.from({ length: 30_000 }, (_, i) => `k${i}`))],
    ['a map by number', map(Array.from({ length: 3_000 }, (_, i) => String(i)))],
    ['60,000 words', list([0xb0, ...Buffer.from('sixteen letters!')], 60_000)],
    ['maps by one large number', list(map(['9999']), 1_000)],
    ['a map by large number', map(Array.from({ length: 3_000 }, (_, i) => String(10_000 + 7 * i)))],
  ])('%s are read', (_, bytes) => {
    expect(bytes.length).toBeLessThanOrEqual(MAX_PAYLOAD);
    scan(bytes);
  });

  test.each<[string, Buffer]>([
    ['arrays', list([0x90], 80_000)],
    ['maps', list([0x80], 80_000)],
    ['bins', list([0xc4, 0], 15_000)],
    ['dates', list([0xd6, 0xff, 0, 0, 0, 0], 40_000)],
    ['numbers', list([7], 600_000)],
    ['large numbers', list([0xca, 0, 0, 0, 0], 200_000)],
    ['words of two-byte letters', list([0xb0, ...Buffer.from('шестнадц')], 60_000)],
    ['keys', map(Array.from({ length: 60_000 }, (_, i) => `k${i}`))],
    ['rooms for 1,000 properties', list(map(['1000']), 400)],
    ['rooms that grow', list(map(['1000', '2000', '3000']), 150)],
  ])('%s are refused', (_, bytes) => {
    expect(bytes.length).toBeLessThanOrEqual(MAX_PAYLOAD);
    refused(bytes, 'more than 4 MiB of values');
  });
});
