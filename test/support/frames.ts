/** msgpack written byte by byte, in any spelling the format allows, and with any fault: the same frames for the same seed. */

/** What a frame must become: its data as `value`, a refusal, or either of the two. */
export interface Frame {
  bytes: Buffer;
  expected: { value: unknown } | 'refused' | 'either';
}

type Written = [bytes: Buffer, value: unknown];

const uint = (size: number, value: number): Buffer => {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
};
const join = (...parts: (Buffer | number[])[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)));

const bytesOf = (bytes: readonly number[]): Buffer => Buffer.from(bytes);

const HEAD = {
  v: 1,
  id: 'e-1',
  source: '/test',
  type: 'test.frame',
  time: '2026-01-01T00:00:00Z',
  tenant: 'default',
};

const HEADERS = {
  string: { fixed: { token: 0xa0, below: 32 }, wide: [0xd9, 0xda, 0xdb] },
  array: { fixed: { token: 0x90, below: 16 }, wide: [undefined, 0xdc, 0xdd] },
  map: { fixed: { token: 0x80, below: 16 }, wide: [undefined, 0xde, 0xdf] },
  bin: { fixed: undefined, wide: [0xc4, 0xc5, 0xc6] },
  extension: { fixed: undefined, wide: [0xc7, 0xc8, 0xc9] },
} as const;
const SIZES = [1, 2, 4] as const;

const PRIVATE = [
  'constructor',
  'toString',
  'prototype',
  'hasOwnProperty',
  '__proto',
  '__defineGetter__',
  'toJSON',
  'then',
];
const KEYS = [...PRIVATE, 'a', 'b', 'type', '', 'é', '7', '0', '404', '1000', '-1', '1e3', 'k'.repeat(40)];
const TEXTS = ['', 'a', 'PAY', 'naïve', '日本語', '😀', '\0', '\ufffd', '\r\n', 'x'.repeat(31), 'x'.repeat(32)];
const LONG = ['y'.repeat(300), 'ж'.repeat(90), '😀'.repeat(40), '__proto__'];

const float = (value: number): Buffer => {
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
};
const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(9, value < 0n ? 0xd3 : 0xcf);
  bytes.writeBigInt64BE(value, 1);
  return bytes;
};

const LEAVES: readonly ((frames: Frames) => Written)[] = [
  () => [bytesOf([0xc0]), null],
  () => [bytesOf([0xc2]), false],
  () => [bytesOf([0xc3]), true],
  (frames) => [bytesOf([0xd4, 0, frames.below(256)]), undefined],
  (frames) => {
    const n = frames.below(128);
    return [
      bytesOf(frames.pick([[n], [0xcc, n], [0xcd, 0, n], [0xce, 0, 0, 0, n], [0xd1, 0, n], [0xd2, 0, 0, 0, n]])),
      n,
    ];
  },
  (frames) => {
    const n = -1 - frames.below(32);
    return [
      bytesOf(frames.pick([[256 + n], [0xd0, 256 + n], [0xd1, 255, 256 + n], [0xd2, 255, 255, 255, 256 + n]])),
      n,
    ];
  },
  (frames) => {
    const value = frames.pick([0.5, -1e300, 2 ** 53, NaN, Infinity, -0, 5e-324]);
    return [float(value), value];
  },
  (frames) => {
    const value = frames.pick([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)]);
    return [int64(value), value];
  },
  (frames) => {
    const value = frames.pick(frames.below(4) === 0 ? LONG : TEXTS);
    return [frames.string(value), value];
  },
  (frames) => {
    const value = frames.random(frames.below(40));
    return [join(frames.header('bin', value.length), value), value];
  },
  (frames) => {
    const seconds = frames.below(2 ** 32);
    const header = frames.pick([bytesOf([0xd6]), frames.header('extension', 4)]);
    return [join(header, [0xff], uint(4, seconds)), new Date(seconds * 1000)];
  },
  () => [bytesOf([0xc7, 12, 0xff, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]), new Date(-1000)],
];

const map = (...items: (Buffer | number[])[]): Buffer => join([0x80 + items.length / 2], ...items);

/** Each is refused wherever it stands. */
const FAULTS: readonly ((frames: Frames) => Buffer)[] = [
  () => bytesOf([0xc1]),
  // extensions: msgpackr runs code of its own for some of them
  (frames) => join([0xd4 + frames.below(5), 1 + frames.below(254)], Buffer.alloc(16, 0x90)),
  (frames) => join(frames.header('extension', 3), [frames.pick(MSGPACKR)], [0x91, 0x90, 0x90]),
  (frames) => join([0xd4, 0x72, 0x40 + frames.below(64), 0x92], frames.string('a'), frames.string('__proto__'), [1, 2]),
  (frames) => join([0xd5, 0x72, 0x40 + frames.below(64), frames.below(256), 0x91], frames.string('a'), [1]),
  (frames) => join(frames.header('extension', 5), [0xff, 1, 2, 3, 4, 5]),
  () => bytesOf([0xd7, 0xff, 255, 255, 255, 255, 0, 0, 0, 0]),
  () => bytesOf([0xc7, 12, 0xff, 0, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
  () => bytesOf([0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
  // keys
  (frames) => map(frames.string('a'), [1], frames.string('__proto__'), map(frames.string('admin'), [0xc3])),
  (frames) => map(frames.string('a'), [1], frames.string('b'), [2], frames.string('a'), [3]),
  (frames) => map(frames.pick([[1], [0xc0], [0x90], [0x80], [0xc4, 1, 97], [0xd4, 0, 0], [0xca, 0, 0, 0, 0]]), [1]),
  // strings
  (frames) => {
    const text = join(Buffer.alloc(frames.below(80), 97), frames.pick(NOT_UTF8), Buffer.alloc(frames.below(80), 97));
    return join(frames.header('string', text.length), text);
  },
  (frames) => map(join(frames.header('string', 2), [0xc3, 0x28]), [1]),
  // lengths
  (frames) =>
    join([frames.pick([0xdb, 0xc6, 0xdd, 0xdf, 0xc9])], frames.pick([uint(4, 2 ** 32 - 1), uint(4, 2 ** 31)])),
  (frames) => bytesOf([frames.pick([0xda, 0xc5, 0xdc, 0xde, 0xc8]), 255, 255]),
  // too deep, too much
  (frames) => Buffer.alloc(65 + frames.below(2_000), 0x91),
  (frames) => join(...Array.from({ length: 65 + frames.below(200) }, () => [0x81, 0xa1, 0x61])),
  (frames) => {
    const [item, times] = frames.pick(BOMBS);
    return join([0xdd], uint(4, times), Buffer.alloc(item.length * times, item));
  },
];

/** Types of msgpackr's own: bigint, strings apart, error, id, pointer, record, set, typed array, RegExp. */
const MSGPACKR = [0x42, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78];

const NOT_UTF8: readonly number[][] = [
  [0x80],
  [0xff],
  [0xc0, 0x80],
  [0xc1, 0xbf],
  [0xe0, 0x80, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0xe2, 0x82],
];

/** Small on the wire, large in memory. */
const BOMBS: readonly (readonly [Buffer, number])[] = [
  [bytesOf([0x90]), 70_000],
  [bytesOf([0x80]), 70_000],
  [bytesOf([0xc4, 0]), 14_000],
  [bytesOf([0xd6, 0xff, 0, 0, 0, 0]), 40_000],
  // one property named 1000, for which V8 makes room for a thousand
  [bytesOf([0x81, 0xa4, 0x31, 0x30, 0x30, 0x30, 1]), 400],
];

export class Frames {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  next(): Frame {
    const [bytes, value] = this.#value(0);
    switch (this.below(4)) {
      case 0:
        return { bytes: this.envelope(bytes), expected: { value } };
      case 1:
        return { bytes: this.envelope(this.#around(this.pick(FAULTS)(this))), expected: 'refused' };
      case 2:
        return { bytes: this.#maimed(this.envelope(bytes)), expected: 'either' };
      default:
        return { bytes: this.#maimed(this.#maimed(this.envelope(this.#around(bytes)))), expected: 'either' };
    }
  }

  /** A whole envelope around the bytes of its data, its fields in any order. */
  envelope(data: Buffer): Buffer {
    const fields = Object.entries(HEAD).map(([key, value]) => [
      this.string(key),
      typeof value === 'number' ? uint(1, value) : this.string(value),
    ]);
    fields.splice(this.below(fields.length + 1), 0, [this.string('data'), data]);
    return join(this.header('map', fields.length), ...fields.flat());
  }

  /** In the shortest form or a longer one. */
  header(kind: 'string' | 'array' | 'map' | 'bin' | 'extension', length: number): Buffer {
    const { fixed, wide } = HEADERS[kind];
    if (fixed !== undefined && length < fixed.below && this.below(3) > 0) return uint(1, fixed.token + length);
    const forms = wide.flatMap((token, i) => {
      const size = SIZES[i] ?? 4;
      return token === undefined || length >= 256 ** size ? [] : [join([token], uint(size, length))];
    });
    return this.pick(forms);
  }

  string(text: string): Buffer {
    const bytes = Buffer.from(text);
    return join(this.header('string', bytes.length), bytes);
  }

  #value(depth: number): Written {
    if (depth < 5 && this.below(3) === 0) return this.below(2) === 0 ? this.#array(depth) : this.#map(depth);
    return this.pick(LEAVES)(this);
  }

  #array(depth: number): Written {
    const items = Array.from({ length: this.below(5) }, () => this.#value(depth + 1));
    return [
      join(this.header('array', items.length), ...items.map(([bytes]) => bytes)),
      items.map(([, value]) => value),
    ];
  }

  #map(depth: number): Written {
    const keys = new Set(Array.from({ length: this.below(5) }, () => this.pick(KEYS)));
    const items = Array.from(keys, (key) => [key, ...this.#value(depth + 1)] as const);
    return [
      join(this.header('map', items.length), ...items.flatMap(([key, bytes]) => [this.string(key), bytes])),
      Object.fromEntries(items.map(([key, , value]) => [key, value])),
    ];
  }

  /** Deeper down, among other things. */
  #around(bytes: Buffer): Buffer {
    let around = bytes;
    for (let levels = this.below(4); levels > 0; levels--) {
      const before = this.#value(3)[0];
      around =
        this.below(2) === 0
          ? join(this.header('array', 3), before, around, this.#value(3)[0])
          : join(this.header('map', 2), this.string('before'), before, this.string('it'), around);
    }
    return around;
  }

  #maimed(frame: Buffer): Buffer {
    const bytes = Buffer.from(frame);
    const at = this.below(bytes.length);
    switch (this.below(6)) {
      case 0:
        return bytes.subarray(0, at);
      case 1:
        return join(bytes, this.random(1 + this.below(4)));
      case 2:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8));
        return bytes;
      case 3:
        bytes[at] = this.below(256);
        return bytes;
      case 4:
        return join(bytes.subarray(0, at), this.random(1 + this.below(4)), bytes.subarray(at));
      default:
        return join(bytes.subarray(0, at), bytes.subarray(this.below(bytes.length)));
    }
  }

  random(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  pick<T>(all: readonly T[]): T {
    const one = all[this.below(all.length)];
    if (one === undefined) throw new Error('there is nothing to pick from');
    return one;
  }

  /** xorshift */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}
