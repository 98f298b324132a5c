import { ValidationError } from '../protocol/errors.ts';
import { shown } from '../protocol/shown.ts';
import { near } from './closest.ts';
import type { Expected } from './expected.ts';

/** Every option there is; true: what it may be is looked at where it is used. */
export type Known<T> = Readonly<Record<keyof T, true | Expected>>;

/** Options as somebody wrote them: a name that nobody knows would be ignored in silence. @throws ValidationError */
export function checkedOptions<T extends object>(options: T, known: Known<T>, of: string): T {
  if (!isPlainObject(options))
    throw new ValidationError(`${of} takes an object of options, not ${kindOf(options)}.`, { path: 'options' });
  const names = Object.keys(known);
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name))
      throw new ValidationError(`${of} has no option '${name}'${near(name, names)}.`, { path: name });
    const expected = known[name as keyof T];
    const value: unknown = options[name];
    // An option that is undefined is left out.
    if (expected !== true && value !== undefined) mustBe(value, expected, `The option '${name}' of ${of}`, name);
  }
  return options;
}

/** @throws ValidationError */
export function mustBe(value: unknown, expected: Expected, of: string, path: string): void {
  if (!expected.is(value)) throw new ValidationError(`${of} must be ${expected.what}, not ${kindOf(value)}.`, { path });
}

/** Of another realm it is one, too; what it inherits nobody has said. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return (
    prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty'))
  );
}

/** For a message: what somebody has given instead. */
export const kindOf = (value: unknown): string => {
  if (typeof value === 'function') return 'a function';
  if (value === null || typeof value !== 'object') return shown(value);
  if (Array.isArray(value)) return 'an array';
  return isPlainObject(value) ? 'such an object' : 'an object that is not plain';
};
