import { ValidationError } from '../protocol/errors.ts';
import { shown } from '../protocol/shown.ts';
import { near } from './closest.ts';
import type { Expected } from './expected.ts';

/** Every option there is; true: what it may be is looked at where it is used. */
export type Known<T> = Readonly<Record<keyof T, true | Expected>>;

/** Options as somebody wrote them, read once: a name that nobody knows would be ignored in silence. @throws ValidationError */
export function checkedOptions<T extends object>(options: T, known: Known<T>, of: string): T {
  mustBe(options, optionsWith(Object.keys(known)), `What is given to ${of}`, 'options');
  const given = { ...options };
  for (const name of Object.keys(given))
    if (!Object.hasOwn(known, name))
      throw new ValidationError(`${of} has no option '${name}'${near(name, Object.keys(known))}.`, { path: name });
  for (const [name, expected] of Object.entries<true | Expected>(known)) {
    const value: unknown = given[name as keyof T];
    // An option that is undefined is left out.
    if (expected !== true && (value !== undefined || expected.isNeeded === true))
      mustBe(value, expected, `The option '${name}' of ${of}`, name);
  }
  return given;
}

/** @throws ValidationError, also for what throws when it is looked at */
export function mustBe(value: unknown, expected: Expected, of: string, path: string): void {
  let given: string;
  try {
    if (expected.is(value)) return;
    given = kindOf(value);
  } catch {
    // A getter, or a proxy: it may throw what it likes.
    given = 'something that cannot be read';
  }
  throw new ValidationError(`${of} must be ${expected.what}, not ${given}.`, { path });
}

/** One whose fields can be read. */
export const isReadable = (value: unknown): value is Record<string, unknown> =>
  isPlainObject(value) && Array.isArray(Object.values(value));

/** A proxy may have fields that it does not name. */
const optionsWith = (names: readonly string[]): Expected => ({
  what: 'an object of options',
  is: (value) => isReadable(value) && names.map((name) => value[name]).length === names.length,
});

/** Of another realm it is one, too; what it inherits nobody has said. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return (
    prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty'))
  );
}

/** For a message: what somebody has given instead. */
const kindOf = (value: unknown): string => {
  if (typeof value === 'function') return 'a function';
  if (value === null || typeof value !== 'object') return shown(value);
  if (Array.isArray(value)) return 'an array';
  return isPlainObject(value) ? 'such an object' : 'an object that is not plain';
};
