import { Packr } from 'msgpackr/pack';
import { ValidationError } from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';
import { forsakeAll } from './protocol/forsaken.ts';

/**
 * Values as they are kept and as they are delivered.
 *
 * C1. `decode(encode(toData(x)))` equals `toData(x)`: what a live run is given is what a replay will be given.
 * C2. What cannot be kept is refused with the path to it; nothing is dropped silently, but for what JSON drops too: fields of an array besides its items.
 * C3. Bytes are a Buffer, which is a Uint8Array, too: whoever gave the one or the other is given it.
 */

// `msgpackr/pack` is JavaScript alone: the native part of `msgpackr` is not there on every machine, and reads differently.
// Records and moreTypes stay off: records of mismatched structure decode into wrong fields without an error.
// Of variable size, a map may have more than 65,535 keys. Data may have a key that is called toJSON, and what is read is to hold none of what it was read from.
const packr = new Packr({
  useRecords: false,
  moreTypes: false,
  mapsAsObjects: true,
  variableMapSize: true,
  useToJSON: false,
  copyBuffers: true,
});

/** Of a value that `toData` gave. */
export const encode = (data: unknown): Uint8Array => packr.pack(data);

const RESERVE_START_SPACE = 2048;

/** `before` and the bytes of `data` behind it, in one buffer. `before` has at most 255 bytes. */
export function encodeBehind(before: Uint8Array, data: unknown): Buffer {
  const framed = packr.pack(data, RESERVE_START_SPACE | before.length);
  framed.set(before);
  return framed;
}

export const decode = (bytes: Uint8Array): unknown => packr.unpack(bufferOf(bytes));

/** C3: the unpacker makes Buffers of a Buffer's parts. A view of our own: it hangs a field of its own on what it is given. */
const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const MAX_DEPTH = 256;
const MAX_INT64 = 2n ** 63n;
/** Of one value: what is larger belongs in a file or an object store, and its name in the journal. */
const MAX_BYTES = 64 * 2 ** 20;
/** In memory, together with what was copied and left out again: an array or an object is one byte as it is kept, and things may name each other often. */
const MAX_MEMORY = 2 * MAX_BYTES;
const OBJECT_BYTES = 80;
/** msgpackr takes the byte order mark from strings of more than 64 bytes: 22 characters of three. */
const MAY_LOSE_MARK = 22;

/** What stands for an object instead of a copy of it; undefined for all others. */
type Replace = (value: object) => unknown;

/** Plain data for any value: a copy in which class instances are plain objects. @throws ValidationError naming the path */
export function toData(value: unknown, path = 'value', replace?: Replace): unknown {
  return value === null || value === undefined ? value : new Copy(path, replace).start(value);
}

function typeOf(event: unknown): unknown {
  try {
    return typeof event === 'object' && event !== null && 'type' in event ? event.type : undefined;
  } catch {
    // A getter or a proxy that throws what it likes.
    return undefined;
  }
}

/** An event as it is kept. @throws ValidationError unless it is an object with a `type` that a machine can be given */
export function toEvent(event: unknown): { type: string } {
  const type = typeOf(event);
  if (typeof type !== 'string' || type === '' || type === '*')
    throw new ValidationError(
      `An event is an object with a type, such as { type: 'PAY' }; this one ${typeof type === 'string' ? `has the type '${type}'` : 'has none'}.`,
      { path: 'event.type' },
    );
  return toData(event, 'event') as { type: string };
}

type ErrorLike = Error & { code?: unknown; data?: unknown; context?: unknown; notPerformed?: unknown };

/** One copying: where it stands, so that a refusal can name the place. */
class Copy {
  readonly #root: string;
  readonly #replace: Replace | undefined;
  readonly #keys: (string | number)[] = [];
  readonly #above: object[] = [];
  #bytes = 0;
  #memory = 0;

  constructor(root: string, replace: Replace | undefined) {
    this.#root = root;
    this.#replace = replace;
  }

  start(value: unknown): unknown {
    try {
      return this.#any(value);
    } catch (error) {
      if (error instanceof ValidationError) throw error;
      // Getters and proxies may throw what they like.
      return this.#refuse('something that cannot be read');
    }
  }

  #any(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        this.#count(8);
        return value === 0 ? 0 : value;
      case 'boolean':
      case 'undefined':
        return value;
      case 'bigint':
        return value >= -MAX_INT64 && value < MAX_INT64 ? value : this.#refuse('a bigint of more than 64 bits');
      case 'symbol':
      case 'function':
        return this.#refuse(`a ${typeof value}`);
      case 'object':
        return value === null ? null : this.#object(value);
    }
  }

  #object(value: object): unknown {
    const stand = this.#replace?.(value);
    if (stand !== undefined) return stand;
    if (this.#above.includes(value)) return this.#refuse('a cycle');
    if (this.#above.length >= MAX_DEPTH) return this.#refuse(`nested deeper than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) return this.#inside(value, () => this.#array(value));
    const prototype: unknown = Object.getPrototypeOf(value);
    // Most are; the rest is asked one by one.
    if (prototype !== Object.prototype && prototype !== null) {
      const special = this.#special(value);
      if (special !== undefined) return special;
      this.#mustHaveFields(value, prototype as object);
    }
    return this.#inside(value, () => this.#plain(value));
  }

  /** Undefined for an instance of a class that becomes a plain object. */
  #special(value: object): unknown {
    if (value instanceof Date) return new Date(value);
    if (value instanceof Uint8Array) {
      this.#count(value.byteLength);
      return Buffer.from(value);
    }
    if (value instanceof Error) return this.#inside(value, () => this.#failure(value));
    if (value instanceof Boolean || value instanceof Number || value instanceof String)
      return this.#any(value.valueOf());
    if (value instanceof Promise) forsakeAll(value, this.#above[0]);
    for (const kind of UNKEPT) if (value instanceof kind) return this.#refuse(`a ${value.constructor.name}`);
    return ArrayBuffer.isView(value) ? this.#refuse(`a ${value.constructor.name}`) : undefined;
  }

  /** C2. What an instance of a class holds elsewhere, in private fields say, would be gone. */
  #mustHaveFields(value: object, prototype: object): void {
    // A plain object of another realm.
    if (Object.getPrototypeOf(prototype) === null) return;
    for (const key in value) if (Object.hasOwn(value, key)) return;
    this.#refuse(`${named(value)} without fields of its own`);
  }

  #array(value: readonly unknown[]): unknown[] {
    // Array.from also visits holes, which come back as undefined.
    this.#count(value.length);
    return Array.from(value, (item, index) => this.#at(index, item));
  }

  #plain(value: object): Record<string, unknown> {
    for (const key of Object.getOwnPropertySymbols(value))
      if (Object.prototype.propertyIsEnumerable.call(value, key))
        return this.#refuse('an object with a symbol as a key');
    const plain: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      this.#keys.push(key);
      const name = this.#text(key);
      if (name === '__proto__') this.#refuse('a key that would change a prototype');
      if (name !== key && (Object.hasOwn(value, name) || Object.hasOwn(plain, name)))
        this.#refuse('a key that another one becomes, too');
      plain[name] = this.#any((value as Record<string, unknown>)[key]);
      this.#keys.pop();
    }
    return plain;
  }

  #failure(error: ErrorLike): Failure {
    const [name, message] = [this.#text(String(error.name)), this.#text(String(error.message))];
    const { code } = error;
    const known =
      typeof code === 'string' || typeof code === 'number' ? (this.#any(code) as string | number) : undefined;
    const data = this.#kept('data', error.data ?? error.context);
    const cause = this.#kept('cause', error.cause);
    return {
      name,
      message,
      ...(known === undefined ? {} : { code: known }),
      ...(data === undefined ? {} : { data }),
      ...(cause === undefined ? {} : { cause }),
      ...(error.notPerformed === true ? { notPerformed: true } : {}),
    };
  }

  /** What hangs on an error and cannot be kept is left out: the error itself matters more. */
  #kept(key: string, value: unknown): unknown {
    const [keys, above, bytes] = [this.#keys.length, this.#above.length, this.#bytes];
    try {
      return this.#at(key, value);
    } catch {
      this.#keys.length = keys;
      this.#above.length = above;
      this.#bytes = bytes;
      return undefined;
    }
  }

  #at(key: string | number, value: unknown): unknown {
    this.#keys.push(key);
    const copied = this.#any(value);
    this.#keys.pop();
    return copied;
  }

  #inside<T>(value: object, copy: () => T): T {
    this.#take(OBJECT_BYTES);
    this.#above.push(value);
    const copied = copy();
    this.#above.pop();
    return copied;
  }

  #text(text: string): string {
    this.#count(text.length);
    // A character has at most three bytes, so below a third of the limit nobody needs to know.
    if (this.#bytes > MAX_BYTES / 3) this.#count(Buffer.byteLength(text) - text.length);
    return text.length < MAY_LOSE_MARK && text.isWellFormed() ? text : readable(text);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_BYTES) this.#refuse(`part of a value of more than ${MAX_BYTES / 2 ** 20} MiB`);
    this.#take(bytes);
  }

  #take(bytes: number): void {
    this.#memory += bytes;
    if (this.#memory > MAX_MEMORY)
      this.#refuse(`part of a value that takes more than ${MAX_MEMORY / 2 ** 20} MiB of memory`);
  }

  #refuse(what: string): never {
    const path = this.#keys.reduce<string>(
      (to, key) => (typeof key === 'number' ? `${to}[${key}]` : `${to}.${key.slice(0, LONGEST_KEY_SHOWN)}`),
      this.#root,
    );
    throw new ValidationError(
      `${path} is ${what}, which a journal cannot keep: use plain objects, arrays, strings, numbers, bigints of 64 bits, booleans, null, Date or Uint8Array.`,
      { path, what },
    );
  }
}

/** As it will come back: half surrogates are no UTF-8, and byte order marks in front are taken away. */
const readable = (text: string): string => {
  const whole = text.toWellFormed();
  return whole.startsWith('\ufeff') ? whole.replace(/^\ufeff+/, '') : whole;
};

const LONGEST_KEY_SHOWN = 80;

const UNKEPT = [Map, Set, WeakMap, WeakSet, Promise, RegExp, ArrayBuffer, URL, URLSearchParams] as const;

function named({ constructor }: object): string {
  const name: unknown = typeof constructor === 'function' ? constructor.name : '';
  return typeof name === 'string' && name !== ''
    ? `an instance of ${name.slice(0, LONGEST_KEY_SHOWN)}`
    : 'an instance of a class';
}

/** What was thrown, as data; never throws. An Error becomes a `Failure`, any other value stays itself. */
export function thrown(error: unknown): unknown {
  try {
    return toData(error, 'error');
  } catch {
    return { name: 'Error', message: describe(error) } satisfies Failure;
  }
}

const LONGEST_DESCRIPTION = 10_000;
const describe = (value: unknown): string => {
  try {
    return String(value).slice(0, LONGEST_DESCRIPTION).toWellFormed();
  } catch {
    return 'an error that cannot be shown';
  }
};

const isFailure = (data: unknown): data is Failure =>
  typeof data === 'object' &&
  data !== null &&
  'name' in data &&
  'message' in data &&
  typeof data.message === 'string' &&
  typeof data.name === 'string';

/** What was thrown, as a `Failure` whatever it was. */
export function asFailure(error: unknown): Failure {
  const data = thrown(error);
  if (isFailure(data)) return data;
  return { name: 'Error', message: typeof data === 'string' ? data : `Thrown: ${describe(data)}`, data };
}
