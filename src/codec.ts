import { Packr } from 'msgpackr';
import { ValidationError } from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';

/**
 * Values as they are kept and as they are delivered.
 *
 * C1. `decode(encode(toData(x)))` equals `toData(x)`: what a live run is given is what a replay will be given.
 * C2. What cannot be kept is refused with the path to it; nothing is dropped silently.
 */

// Records and moreTypes stay off: records of mismatched structure decode into wrong fields without an error.
const packr = new Packr({ useRecords: false, moreTypes: false, mapsAsObjects: true });

/** Of a value that `toData` gave. */
export const encode = (data: unknown): Uint8Array => packr.pack(data);

export const decode = (bytes: Uint8Array): unknown => packr.unpack(bytes);

const MAX_DEPTH = 256;
const MAX_INT64 = 2n ** 63n;

const refuse = (path: string, what: string): never => {
  throw new ValidationError(
    `${path} is ${what}, which a journal cannot keep: use plain objects, arrays, strings, numbers, bigints of 64 bits, booleans, null, Date or Uint8Array.`,
    { path, what },
  );
};

/** What stands for an object instead of a copy of it; undefined for all others. */
type Replace = (value: object) => unknown;

/** Plain data for any value: a copy in which class instances are plain objects. @throws ValidationError naming the path */
export function toData(value: unknown, path = 'value', replace?: Replace): unknown {
  return copy(value, path, [], replace);
}

/** An event as it is kept. @throws ValidationError unless it is an object with a `type` that a machine can be given */
export function toEvent(event: unknown): { type: string } {
  const type = typeof event === 'object' && event !== null && 'type' in event ? event.type : undefined;
  if (typeof type !== 'string' || type === '' || type === '*')
    throw new ValidationError(
      `An event is an object with a type, such as { type: 'PAY' }; this one ${typeof type === 'string' ? `has the type '${type}'` : 'has none'}.`,
      { path: 'event.type' },
    );
  return toData(event, 'event') as { type: string };
}

function copy(value: unknown, path: string, above: object[], replace?: Replace): unknown {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value : value.toWellFormed();
    case 'number':
      return value === 0 ? 0 : value;
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
      return value >= -MAX_INT64 && value < MAX_INT64 ? value : refuse(path, 'a bigint of more than 64 bits');
    case 'symbol':
    case 'function':
      return refuse(path, `a ${typeof value}`);
    case 'object':
      return value === null ? null : readable(value, path, above, replace);
  }
}

/** Getters and proxies may throw what they like. */
function readable(value: object, path: string, above: object[], replace: Replace | undefined): unknown {
  const depth = above.length;
  try {
    return copyObject(value, path, above, replace);
  } catch (error) {
    above.length = depth;
    if (error instanceof ValidationError) throw error;
    return refuse(path, 'an object that cannot be read');
  }
}

function copyObject(value: object, path: string, above: object[], replace: Replace | undefined): unknown {
  const stand = replace?.(value);
  if (stand !== undefined) return stand;
  if (above.includes(value)) return refuse(path, 'a cycle');
  if (above.length >= MAX_DEPTH) return refuse(path, `nested deeper than ${MAX_DEPTH} levels`);
  if (value instanceof Date) return new Date(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (value instanceof Error) return toFailure(value, path, above);
  if (value instanceof Map || value instanceof Set || value instanceof WeakMap || value instanceof WeakSet)
    return refuse(path, `a ${value.constructor.name}`);
  if (value instanceof Boolean || value instanceof Number || value instanceof String)
    return copy(value.valueOf(), path, above);
  if (value instanceof Promise || value instanceof RegExp || ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return refuse(path, `a ${value.constructor.name}`);
  if (Object.getOwnPropertySymbols(value).some((key) => Object.prototype.propertyIsEnumerable.call(value, key)))
    return refuse(path, 'an object with a symbol as a key');
  above.push(value);
  let result: unknown;
  if (Array.isArray(value)) {
    // Array.from also visits holes, which come back as undefined.
    result = Array.from(value, (item: unknown, index) => copy(item, `${path}[${index}]`, above, replace));
  } else {
    const plain: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') refuse(`${path}.__proto__`, 'a key that would change a prototype');
      plain[key.isWellFormed() ? key : key.toWellFormed()] = copy(item, `${path}.${key}`, above, replace);
    }
    result = plain;
  }
  above.pop();
  return result;
}

type ErrorLike = Error & { code?: unknown; data?: unknown; context?: unknown; notPerformed?: unknown };

function toFailure(error: ErrorLike, path: string, above: object[]): Failure {
  above.push(error);
  const kept = (value: unknown, key: string): unknown => {
    try {
      return copy(value, `${path}.${key}`, above.slice());
    } catch {
      return undefined;
    }
  };
  const data = kept(error.data ?? error.context, 'data');
  const cause = kept(error.cause, 'cause');
  above.pop();
  return {
    name: String(error.name).toWellFormed(),
    message: String(error.message).toWellFormed(),
    ...(typeof error.code === 'string' || typeof error.code === 'number'
      ? { code: copy(error.code, path, []) as string | number }
      : {}),
    ...(data === undefined ? {} : { data }),
    ...(cause === undefined ? {} : { cause }),
    ...(error.notPerformed === true ? { notPerformed: true } : {}),
  };
}

/** What was thrown, as data; never throws. An Error becomes a `Failure`, any other value stays itself. */
export function thrown(error: unknown): unknown {
  try {
    return toData(error, 'error');
  } catch {
    return { name: 'Error', message: describe(error) } satisfies Failure;
  }
}

const describe = (value: unknown): string => {
  try {
    return String(value);
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
