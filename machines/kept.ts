/**
 * What stands in a context is shown to whoever looks at its machine: by a snapshot, a subscription, an inspection. What he does to it is to change
 * nothing of what is decided and begun: that goes by a copy that nobody is shown.
 *
 * K1. `keep` gives what may be shown; `kept` of that gives what it was, whatever has become of it.
 * K2. What `kept` gives is read, or copied for whoever may change it.
 */
const originals = new WeakMap<object, unknown>();

/** A copy that may be shown. */
export function keep<T>(value: T): T {
  try {
    const shown = copied(value, new Map());
    if (isObject(shown)) originals.set(shown, copied(value, new Map()));
    return shown as T;
  } catch {
    // Getters and proxies may throw what they like: it is no data, and is refused as what it is.
    return value;
  }
}

/** As it was when it was kept. */
export const kept = <T>(shown: T): T => (isObject(shown) && originals.has(shown) ? (originals.get(shown) as T) : shown);

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Of data. What is none, such as a reference to an actor, is itself. */
function copied(value: unknown, known: Map<object, unknown>): unknown {
  if (!isObject(value)) return value;
  const same = known.get(value);
  if (same !== undefined) return same;
  // Its bytes alone: many small views may be of one large memory.
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value);
  if (isDate(value)) return structuredClone(value);
  const copy: unknown[] | Record<string, unknown> | undefined = Array.isArray(value)
    ? []
    : isPlain(value)
      ? {}
      : undefined;
  if (copy === undefined) return value;
  known.set(value, copy);
  for (const [key, item] of Object.entries(value))
    Object.defineProperty(copy, key, {
      value: copied(item, known),
      writable: true,
      enumerable: true,
      configurable: true,
    });
  if (Array.isArray(value)) copy['length'] = value.length;
  return copy;
}

const isDate = (value: object): boolean => Object.prototype.toString.call(value) === '[object Date]';

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && Object.getOwnPropertySymbols(value).length === 0;
}
