import { ValidationError } from '../protocol/errors.ts';
import { near } from './closest.ts';

/** Options as somebody wrote them: a name that nobody knows would be ignored in silence. @throws ValidationError */
export function checkedOptions<T extends object>(options: T, known: Readonly<Record<keyof T, true>>, of: string): T {
  if (!isPlainObject(options))
    throw new ValidationError(`${of} takes an object of options, not ${kindOf(options)}.`, { path: 'options' });
  const names = Object.keys(known);
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined)
    throw new ValidationError(`${of} has no option '${unknown}'${near(unknown, names)}.`, { path: unknown });
  return options;
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
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? 'an array' : 'an object that is not plain';
};
