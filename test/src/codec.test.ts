import assert from 'node:assert/strict';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asFailure, decode, encode, thrown, toData } from '../../src/codec.ts';
import { ValidationError } from '../../src/protocol/errors.ts';

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', 'a\udc00b', 'constructor', 'toJSON', 'hasOwnProperty'),
);
const bytes = fc.uint8Array({ maxLength: 40 });
const leaf = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(null, undefined, NaN, -0, Infinity, 2 ** 32, -(2 ** 31) - 1, 2n ** 53n, -1n),
  fc.date({ noInvalidDate: false, min: new Date(-8.64e15), max: new Date(8.64e15) }),
  bytes,
  bytes.map((all) => Buffer.from(all)),
);
const errorOf = (word: fc.Arbitrary<string>, inner: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .record({ message: word, code: fc.oneof(word, fc.constant(404)), data: inner, cause: inner })
    .map(({ message: what, code, data, cause }) => Object.assign(new TypeError(what, { cause }), { code, data }));
const anyData = (message: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc.letrec((tie) => ({
    data: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.array(tie('data'), { maxLength: 4 }),
      fc
        .array(tie('data'), { maxLength: 4 })
        .map((items) => Object.assign(Array.from({ length: 1 }).concat(items), { length: items.length + 3 })),
      fc.dictionary(
        text.filter((key) => key !== '__proto__'),
        tie('data'),
        { maxKeys: 4 },
      ),
      errorOf(message, tie('data')),
    ),
  })).data;

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

const same = (value: unknown): void => {
  const data = toData(value);
  const packed = encode(data);
  assert.deepStrictEqual(decode(packed), data);
  // As a store gives it back: no Buffer.
  assert.deepStrictEqual(decode(Uint8Array.from(packed)), data);
};

describe('C1: what a live run is given is what a replay will be given', () => {
  test('whatever data', () => {
    fc.assert(fc.property(anyData(fc.string()), same), { numRuns: 3_000 });
  });

  test('fields by names that something else has a meaning for', () => {
    same({ toJSON: 'x', constructor: 'y', hasOwnProperty: 1, length: 'z' });
  });

  test('C3: bytes are a Buffer, and none of what they were read from', () => {
    const packed = encode(toData(Buffer.from([1, 2, 3])));
    for (const stored of [packed, Uint8Array.from(packed)]) {
      const read = decode(stored) as Uint8Array;
      stored.fill(0);
      expect(read).toStrictEqual(Buffer.from([1, 2, 3]));
    }
  });

  test('whatever is in an error, half a surrogate too', () => {
    fc.assert(fc.property(errorOf(fc.constantFrom('\ud800', 'a'), leaf), same));
  });

  test('whatever fast-check thinks of, or it is refused', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      withBoxedValues: true,
      withObjectString: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        try {
          same(value);
        } catch (error) {
          if (!(error instanceof ValidationError)) throw error;
          expect(error.context['path']).toMatch(/^value/);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test('data is what it was, and made to data again is the same', () => {
    const date = new Date('2026-01-01T00:00:00.123Z');
    const hole: number[] = [1];
    hole[2] = 3;
    expect(toData({ date, at: hole, n: -0, u: undefined })).toStrictEqual({
      date,
      at: [1, undefined, 3],
      n: 0,
      u: undefined,
    });
    expect(toData('a\ud800b')).toBe('a\ufffdb');
    fc.assert(
      fc.property(anyData(fc.string()), (value) => assert.deepStrictEqual(toData(toData(value)), toData(value))),
    );
  });

  test('a class instance is its own fields, and an object with no prototype one like any other', () => {
    class Point {
      readonly x = 1;
      get y(): number {
        return 2;
      }
    }
    const bare: unknown = Object.assign(Object.create(null), { a: 1 });
    expect(toData([new Point(), bare])).toStrictEqual([{ x: 1 }, { a: 1 }]);
    const fromElsewhere: unknown = runInNewContext('[{}, { a: 1 }]');
    expect(toData([{}, Object.create(null), fromElsewhere])).toStrictEqual([{}, {}, [{}, { a: 1 }]]);
  });

  test('a huge string', () => {
    same('ä'.repeat(5_000_000));
    same(`${'a'.repeat(70_000)}\ud800`);
  });

  test('the same object in two places is no cycle', () => {
    const shared = { a: 1 };
    expect(toData({ one: shared, two: [shared, shared] })).toStrictEqual({ one: { a: 1 }, two: [{ a: 1 }, { a: 1 }] });
  });

  test('what was given is not touched, and what comes back shares nothing with it', () => {
    const given = { list: [1, { a: new Date(0) }], bytes: new Uint8Array([1, 2]), n: -0, s: '\ud800' };
    const copy = structuredClone(given);
    const data = toData(given) as typeof given;
    expect(given).toStrictEqual(copy);
    data.list.push(2);
    data.bytes[0] = 9;
    (data.list[1] as { a: Date }).a.setTime(5);
    expect(given).toStrictEqual(copy);
    expect(() => toData(Object.freeze([Object.freeze({ a: 1 })]))).not.toThrow();
  });
});

describe('C2: what cannot be kept is refused, by path', () => {
  class Secret {
    readonly #text: string;
    constructor(text: string) {
      this.#text = text;
    }
    get text(): string {
      return this.#text;
    }
  }
  const cycle: { list: unknown[] } = { list: [] };
  cycle.list.push({ back: cycle });
  const deep = (levels: number): unknown => Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1);
  const pollution: unknown = JSON.parse('{"a":{"__proto__":{"admin":true}}}');

  test.each<[string, unknown, string]>([
    ['Map', { a: new Map() }, 'value.a'],
    ['Set', [0, new Set()], 'value[1]'],
    ['WeakMap', { a: [{ b: new WeakMap() }] }, 'value.a[0].b'],
    ['WeakSet', new WeakSet(), 'value'],
    ['Promise', [Promise.resolve()], 'value[0]'],
    ['RegExp', /a/, 'value'],
    ['Float32Array', { a: new Float32Array(1) }, 'value.a'],
    ['BigUint64Array', new BigUint64Array(1), 'value'],
    ['DataView', new DataView(new ArrayBuffer(1)), 'value'],
    ['ArrayBuffer', new ArrayBuffer(1), 'value'],
    ['function', { a: () => 1 }, 'value.a'],
    ['symbol', [[Symbol('s')]], 'value[0][0]'],
    ['cycle', cycle, 'value.list[0].back'],
    ['64 bits', { a: 2n ** 63n }, 'value.a'],
    ['64 bits', -(2n ** 63n) - 1n, 'value'],
    ['prototype', pollution, 'value.a.__proto__'],
    ['256 levels', deep(257), `value${'[0]'.repeat(256)}`],
    ['URL', { to: new URL('https://a.example') }, 'value.to'],
    ['URLSearchParams', [Object.assign(new URLSearchParams('a=1'), { seen: true })], 'value[0]'],
    ['Headers', { all: new Headers({ a: '1' }) }, 'value.all'],
    ['Secret without fields', { a: [new Secret('s')] }, 'value.a[0]'],
    ['a class without fields', Object.create(class {}.prototype as object), 'value'],
  ])('a %s: %o', (what, value, path) => {
    const refused = (): unknown => toData(value);
    expect(refused).toThrow(ValidationError);
    expect(refused).toThrow(`${path} is `);
    expect(refused).toThrow(what);
    expect(refused).toThrow(expect.objectContaining({ context: expect.objectContaining({ path }) }));
  });

  test('256 levels are kept, and the path begins where the caller says', () => {
    same(deep(256));
    expect(() => toData({ a: () => 1 }, 'input')).toThrow(/^input\.a is a function, which a journal cannot keep/);
  });

  test('nothing of it reaches a prototype', () => {
    fc.assert(
      fc.property(anyData(fc.string()), (value) => {
        decode(encode(toData(value)));
        assert.equal(Object.getOwnPropertyNames(Object.prototype).length, 12);
      }),
    );
    expect(({} as { admin?: true }).admin).toBeUndefined();
  });

  test.each<[string, () => unknown]>([
    [
      'getter',
      () => ({
        get b(): never {
          return assert.fail('mine');
        },
      }),
    ],
    ['proxy', revoked],
  ])('a %s that throws', (_, make) => {
    const value = { a: make() };
    expect(() => toData(value)).toThrow(ValidationError);
  });

  test('a key that is a symbol', () => {
    expect(() => toData({ [Symbol('key')]: 1 })).toThrow(ValidationError);
  });
  test('a boxed primitive', () => {
    expect(toData({ n: new Number(5) })).not.toEqual({ n: {} });
  });
});

describe('limits', () => {
  const MAX = 64 * 2 ** 20;
  const tooLarge = (value: unknown, path: string): void => {
    const refused = (): unknown => toData(value);
    expect(refused).toThrow(ValidationError);
    expect(refused).toThrow(/^.{1,300}$/);
    expect(refused).toThrow(
      expect.objectContaining({ context: { path, what: 'part of a value of more than 64 MiB' } }),
    );
  };

  test.each([MAX - 1, MAX])('%i bytes are kept', (length) => {
    expect(toData(new Uint8Array(length))).toHaveLength(length);
    expect(toData('a'.repeat(length))).toHaveLength(length);
  });

  test.each([MAX + 1, 100 * MAX])('%i bytes are refused, by name', (length) => {
    tooLarge({ list: [1, new Uint8Array(length)] }, 'value.list[1]');
    if (length <= 4 * MAX) tooLarge({ text: 'a'.repeat(length) }, 'value.text');
  });

  test('bytes are those of UTF-8', () => {
    const third = Math.floor(MAX / 3);
    expect(toData('日'.repeat(third))).toHaveLength(third);
    tooLarge({ text: '日'.repeat(third + 1) }, 'value.text');
    tooLarge(['a'.repeat(third), 'b'.repeat(third), '日'.repeat(third / 2)], 'value[2]');
  });

  test('a list takes room whatever it holds, and is not walked to find out', () => {
    const holes: unknown[] = [];
    holes.length = 2 ** 32 - 1;
    tooLarge({ holes }, 'value.holes');
  });

  test('a long key does not make a long message', () => {
    tooLarge({ ['k'.repeat(MAX + 1)]: 1 }, `value.${'k'.repeat(80)}`);
  });

  test.each([257, 25_600])('%i levels are refused', (levels) => {
    const deep = Array.from({ length: levels }).reduce<unknown>((inner) => ({ a: inner }), 1);
    expect(() => toData(deep)).toThrow(/ is nested deeper than 256 levels/);
  });

  test('100,000 keys and as many items are kept', () => {
    same(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key ${i}`, i])));
    same(Array.from({ length: 100_000 }, (_, i) => ({ i })));
  });

  test('things that name each other often are counted as often', () => {
    const twice = Array.from({ length: 40 }).reduce<unknown>((inner) => ({ a: inner, b: inner }), 1);
    expect(() => toData(twice)).toThrow('part of a value that takes more than 128 MiB of memory');
    const row = Array.from({ length: 3_000 }, () => []);
    expect(() => toData(Array.from({ length: 3_000 }, () => row))).toThrow(
      'part of a value that takes more than 128 MiB of memory',
    );
  });

  test('errors that name each other often are kept as far as that goes', () => {
    const wrapped = Array.from({ length: 40 }).reduce<Error>(
      (cause) => Object.assign(new Error('', { cause }), { code: 'AGAIN', data: { cause } }),
      new Error('broken pipe'),
    );
    wrapped.message = 'the last one';
    expect(thrown(wrapped)).toMatchObject({
      message: 'the last one',
      code: 'AGAIN',
      data: { cause: { code: 'AGAIN' } },
    });
  });

  test('what hangs on an error and is too large is left out; an error too large is described', () => {
    const error = Object.assign(new Error('broke', { cause: 'kept' }), { data: new Uint8Array(MAX + 1), code: 'X' });
    expect(thrown(error)).toStrictEqual({ name: 'Error', message: 'broke', code: 'X', cause: 'kept' });
    const { message } = asFailure(new Error('😀'.repeat(MAX)));
    expect(message).toHaveLength(10_000);
    same(message);
  });
});

describe('text that not every reader gives back', () => {
  const mark = '\ufeff';

  test('a byte order mark in front of a long text is taken away at once, not by the replay', () => {
    for (const text of ['a'.repeat(64), 'ä'.repeat(64), '日'.repeat(21)]) {
      expect(toData([`${mark}${text}`, `${mark}${mark}${text}`, { [mark + text]: 1 }])).toStrictEqual([
        text,
        text,
        { [text]: 1 },
      ]);
      same(`${text}${mark}`);
    }
    for (const text of ['', 'a'.repeat(20), '日'.repeat(20)]) {
      expect(toData(mark + text)).toBe(mark + text);
      same(mark + text);
    }
  });

  test.each([
    ['two half surrogates', { a: { '\ud800': 1, '\ud801': 2 } }],
    ['one, and what it becomes', { a: { '\ufffd': 1, '\ud801': 2 } }],
    ['the other way round', { a: { '\ud801': 2, '\ufffd': 1 } }],
    ['a mark', { a: { [mark + 'k'.repeat(64)]: 1, ['k'.repeat(64)]: 2 } }],
  ])('two keys that become one are refused: %s', (_, value) => {
    expect(() => toData(value)).toThrow(/^value\.a\..* is a key that another one becomes, too/);
  });

  test('a prototype does not come in behind a mark', () => {
    expect(() => toData({ [`${mark.repeat(30)}__proto__`]: { admin: true } })).toThrow(ValidationError);
  });
});

describe('what was thrown', () => {
  test('an error keeps name, message, code, data, cause and proof', () => {
    const cause = Object.assign(new RangeError('below'), { code: 7 });
    const error = Object.assign(new TypeError('broke', { cause }), { code: 'X', data: { a: 1 }, notPerformed: true });
    const failure = { name: 'TypeError', message: 'broke', code: 'X', data: { a: 1 }, notPerformed: true };
    expect(thrown(error)).toStrictEqual({ ...failure, cause: { name: 'RangeError', message: 'below', code: 7 } });
    expect(asFailure(error)).toStrictEqual(thrown(error));
  });

  test('one of ours keeps its context as data', () => {
    expect(asFailure(new ValidationError('m', { path: 'a' }))).toStrictEqual({
      name: 'ValidationError',
      message: 'm',
      code: 'VALIDATION',
      data: { path: 'a' },
    });
  });

  test('what of an error cannot be kept is left out, and the rest kept', () => {
    const error = Object.assign(new Error('broke', { cause: () => 1 }), { code: Symbol('s'), data: new Map() });
    expect(thrown(error)).toStrictEqual({ name: 'Error', message: 'broke' });
  });

  test('an error that is its own cause', () => {
    const error = new Error('round');
    error.cause = { again: error };
    expect(thrown(error)).toStrictEqual({ name: 'Error', message: 'round' });
  });

  test('any other value stays itself, and as a failure shows itself', () => {
    expect([7, null, undefined, 'text', { a: 1 }].map(thrown)).toStrictEqual([7, null, undefined, 'text', { a: 1 }]);
    expect(asFailure('text')).toStrictEqual({ name: 'Error', message: 'text', data: 'text' });
    expect(asFailure(7)).toStrictEqual({ name: 'Error', message: 'Thrown: 7', data: 7 });
    expect(asFailure({ name: 'E', message: 'm' })).toStrictEqual({ name: 'E', message: 'm' });
  });

  const trap = (): never => assert.fail('trap');
  test.each<[string, unknown]>([
    [
      'getter',
      {
        get message() {
          return trap();
        },
      },
    ],
    ['error with a getter', Object.defineProperty(new Error('m'), 'data', { get: trap })],
    ['name that is no text', Object.assign(new Error('m'), { name: Object.create(null) as object })],
    ['proxy', new Proxy({}, { get: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap })],
    ['bare object', { toString: null, valueOf: null }],
    ['symbol', Symbol('s')],
    ['function', trap],
    ['cycle', Object.assign([0], { 0: [] as unknown })],
  ])('a %s does no harm', (_, value) => {
    const failure = asFailure(value);
    expect([typeof failure.name, typeof failure.message]).toEqual(['string', 'string']);
    same(failure);
    same(thrown(value));
  });

  test('whatever it is, there is a failure that can be kept', () => {
    const anything = fc.anything({ withNullPrototype: true, withMap: true, withBigInt: true, withTypedArray: true });
    fc.assert(
      fc.property(fc.oneof(anything, anyData(fc.string())), (value) => (same(thrown(value)), same(asFailure(value)))),
    );
  });
});
