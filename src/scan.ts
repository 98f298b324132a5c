import { MAX_PAYLOAD } from './backend.ts';
import { ValidationError } from './protocol/errors.ts';

/**
 * Reads msgpack from strangers without unpacking it: once over the bytes, allocating nothing per item.
 *
 * M1. Only one whole well-formed value passes, of the types a journal keeps: behind it an unpacker never reads past the end,
 *     and none of its extensions is ever called but the timestamp.
 * M2. What passes takes at most about `memory` when unpacked: every kind of item is charged what V8 was measured to spend on
 *     the worst of its kind, so ordinary data is charged up to three times what it takes.
 */

interface Limits {
  bytes: number;
  memory: number;
  /** Levels of arrays and maps. */
  depth: number;
}

/** Of what a bus or a queue carries. */
const CARRIED: Limits = { bytes: MAX_PAYLOAD, memory: 4 * MAX_PAYLOAD, depth: 64 };

/** Bytes in memory; a string and a bin take their length besides. */
const COST = { simple: 8, number: 24, string: 40, bin: 320, date: 112, array: 64, map: 64, key: 64 } as const;

/** V8 keeps keys such as `7` in an array as long as the highest of them, up to about this one: 12 bytes for each place, filled or not. */
const LAST_INDEX = 4096;
const INDEX_COST = 12;

const MAX_SECONDS = 8.64e12;
const MAX_NANOSECONDS = 999_999_999;
const TIMESTAMP = -1;
const UNDEFINED = 0;
const PROTO = Array.from('__proto__', (letter) => letter.charCodeAt(0));

/** How many keys its maps have in all. @throws ValidationError naming the byte where it stops being a message */
export const scan = (bytes: Uint8Array, limits = CARRIED): number => new Scan(bytes, limits).keys();

/** An array or map that is being read; used again for the next one at its depth. */
interface Level {
  readonly depth: number;
  readonly outer: Level | undefined;
  inner: Level | undefined;
  isMap: boolean;
  /** Items still to come; of a map, keys and values. */
  left: number;
  /** One more than the highest key that is an index; 0 without one. */
  indexes: number;
}

const levelIn = (outer: Level | undefined): Level => ({
  depth: outer === undefined ? 0 : outer.depth + 1,
  outer,
  inner: undefined,
  isMap: false,
  left: 1,
  indexes: 0,
});

class Scan {
  readonly #view: DataView;
  readonly #end: number;
  readonly #limits: Limits;
  #level = levelIn(undefined);
  #at = 0;
  #keys = 0;
  #memory = 0;

  constructor(bytes: Uint8Array, limits: Limits) {
    this.#limits = limits;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.byteLength;
  }

  keys(): number {
    if (this.#end > this.#limits.bytes) this.#refuse(`a message of more than ${this.#limits.bytes} bytes`);
    while (this.#next()) {
      const isKey = this.#level.isMap && this.#level.left % 2 === 1;
      const token = this.#uint(1);
      if (isKey) this.#key(token);
      else this.#value(token);
    }
    if (this.#at < this.#end) this.#refuse('more bytes than the value has');
    return this.#keys;
  }

  /** Leaves what is complete, and counts the item that comes; false when there is none. */
  #next(): boolean {
    while (this.#level.left === 0) {
      if (this.#level.outer === undefined) return false;
      this.#level = this.#level.outer;
    }
    this.#level.left--;
    return true;
  }

  #value(token: number): void {
    if (token <= 0x7f || token >= 0xe0) this.#spend(COST.simple);
    else if (token <= 0x8f) this.#open(true, token & 0x0f);
    else if (token <= 0x9f) this.#open(false, token & 0x0f);
    else if (token <= 0xbf) this.#string(token & 0x1f);
    else if (token === 0xc1) this.#refuse('the byte 0xc1');
    else if (token <= 0xc3) this.#spend(COST.simple);
    else if (token <= 0xc6) this.#bin(this.#uint(2 ** (token - 0xc4)));
    else if (token <= 0xc9) this.#extension(this.#uint(2 ** (token - 0xc7)));
    else if (token <= 0xd3) this.#number(token);
    else if (token <= 0xd8) this.#extension(2 ** (token - 0xd4));
    else if (token <= 0xdb) this.#string(this.#uint(2 ** (token - 0xd9)));
    else if (token <= 0xdd) this.#open(false, this.#uint(2 ** (token - 0xdb)));
    else this.#open(true, this.#uint(2 ** (token - 0xdd)));
  }

  #open(isMap: boolean, length: number): void {
    const items = isMap ? 2 * length : length;
    this.#need(items);
    if (this.#level.depth === this.#limits.depth) this.#refuse(`more than ${this.#limits.depth} levels`);
    this.#spend(isMap ? COST.map : COST.array);
    this.#level = this.#level.inner ??= levelIn(this.#level);
    this.#level.isMap = isMap;
    this.#level.left = items;
    this.#level.indexes = 0;
  }

  #key(token: number): void {
    let length = token & 0x1f;
    if (token >= 0xd9 && token <= 0xdb) length = this.#uint(2 ** (token - 0xd9));
    else if (token < 0xa0 || token > 0xbf) this.#refuse('a key that is no string');
    const start = this.#at;
    this.#string(length);
    this.#spend(COST.key);
    this.#keys++;
    if (length === PROTO.length && PROTO.every((letter, i) => this.#view.getUint8(start + i) === letter))
      this.#refuse('the key __proto__');
    this.#index(start);
  }

  #index(start: number): void {
    if (this.#at - start > 4) return;
    let index = 0;
    for (let at = start; at < this.#at; at++) {
      const digit = this.#view.getUint8(at) - 0x30;
      if (digit < 0 || digit > 9) return;
      index = index * 10 + digit;
    }
    if (index < this.#level.indexes || index > LAST_INDEX) return;
    this.#spend(INDEX_COST * (index + 1 - this.#level.indexes));
    this.#level.indexes = index + 1;
  }

  #number(token: number): void {
    const size = 2 ** (token & 3);
    this.#need(size);
    if (token === 0xcf && this.#view.getUint8(this.#at) > 0x7f) this.#refuse('an integer of 2^63 or more');
    this.#at += size;
    this.#spend(COST.number);
  }

  #bin(length: number): void {
    this.#need(length);
    this.#at += length;
    this.#spend(COST.bin + length);
  }

  #string(length: number): void {
    this.#need(length);
    const end = this.#at + length;
    while (this.#at < end && this.#view.getUint8(this.#at) < 0x80) this.#at++;
    const isAscii = this.#at === end;
    while (this.#at < end) this.#character(end);
    this.#spend(COST.string + (isAscii ? length : 2 * length));
  }

  /** One character of UTF-8, in its only spelling. */
  #character(end: number): void {
    const first = this.#view.getUint8(this.#at++);
    if (first < 0x80) return;
    const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (first < 0xc2 || first > 0xf4 || this.#at + more > end) this.#refuse('a string that is not UTF-8');
    const second = this.#view.getUint8(this.#at);
    const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) this.#refuse('a string that is not UTF-8');
    for (let i = 1; i < more; i++)
      if (this.#view.getUint8(this.#at + i) >> 6 !== 0b10) this.#refuse('a string that is not UTF-8');
    this.#at += more;
  }

  /** The timestamp, and what msgpackr writes for undefined and for an invalid Date. */
  #extension(length: number): void {
    this.#need(length + 1);
    const type = this.#view.getInt8(this.#at++);
    if (type === TIMESTAMP) this.#timestamp(length);
    else if (type !== UNDEFINED || length !== 1) this.#refuse(`an extension of type ${type}`);
    this.#at += length;
    this.#spend(COST.date);
  }

  #timestamp(length: number): void {
    const [view, at] = [this.#view, this.#at];
    if (length === 8 && view.getUint32(at) >>> 2 > MAX_NANOSECONDS) this.#refuse('a timestamp that is none');
    if (length === 12) {
      const seconds = view.getInt32(at + 4) * 2 ** 32 + view.getUint32(at + 8);
      if (view.getUint32(at) > MAX_NANOSECONDS || Math.abs(seconds) > MAX_SECONDS)
        this.#refuse('a timestamp that no Date can hold');
    } else if (length !== 1 && length !== 4 && length !== 8) this.#refuse(`a timestamp of ${length} bytes`);
  }

  #uint(size: number): number {
    this.#need(size);
    const at = this.#at;
    this.#at += size;
    return size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #need(bytes: number): void {
    if (bytes > this.#end - this.#at) this.#refuse('fewer bytes than announced');
  }

  #spend(memory: number): void {
    this.#memory += memory;
    if (this.#memory > this.#limits.memory) this.#refuse(`more than ${this.#limits.memory / 2 ** 20} MiB of values`);
  }

  #refuse(what: string): never {
    throw new ValidationError(`A message of ${this.#end} bytes is refused: it has ${what} at byte ${this.#at}.`, {
      path: 'frame',
      at: this.#at,
      what,
    });
  }
}
