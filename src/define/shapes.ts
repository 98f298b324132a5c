import { TroupeError } from '../protocol/errors.ts';
import { near } from './closest.ts';
import type { Refuse } from './line.ts';
import type { Field, Value } from './yaml.ts';

/** What a document's values must be, said at their places. */

type Kind = Value['kind'];
const KINDS: Record<Kind, string> = { map: 'a map', list: 'a list', scalar: 'a text or a number' };

export function asMap(value: Value, what: string, refuse: Refuse): readonly Field[] {
  if (value.kind === 'map') return value.fields;
  throw refuse(value, `${what} is a map, and this is ${shown(value)}.`);
}

/** One is a list of one. */
export function asList(value: Value, what: string, refuse: Refuse): readonly Value[] {
  if (value.kind === 'map') throw refuse(value, `${what} is a list, and this is a map.`);
  return value.kind === 'list' ? value.items : [value];
}

export function asText(value: Value, what: string, refuse: Refuse): string {
  if (value.kind === 'scalar' && typeof value.value === 'string') return value.value;
  throw refuse(value, `${what} is a text, and this is ${shown(value)}.`);
}

export function asCount(value: Value, what: string, refuse: Refuse): number {
  const count = value.kind === 'scalar' ? value.value : undefined;
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1) return count;
  throw refuse(value, `${what} is a whole number from 1, and this is ${shown(value)}.`);
}

export function asOneOf<T extends string>(value: Value, names: readonly T[], what: string, refuse: Refuse): T {
  const text = asText(value, what, refuse);
  const found = names.find((name) => name === text);
  if (found !== undefined) return found;
  throw refuse(value, `${what} is ${either(names)}, and this is ${shown(value)}${near(text, names)}.`);
}

/** The fields of a map by name, all of which must be among `names`. */
export function fieldsOf<T extends string>(
  value: Value,
  names: readonly T[],
  what: string,
  refuse: Refuse,
): Partial<Record<T, Field>> {
  const fields: Partial<Record<T, Field>> = {};
  for (const field of asMap(value, what, refuse)) {
    const name = names.find((known) => known === field.key);
    if (name === undefined)
      throw refuse(
        field.at,
        `${what} has no field ${field.key.slice(0, 40)}${near(field.key, names)}; it has ${names.join(', ')}.`,
      );
    fields[name] = field;
  }
  return fields;
}

export const either = (names: readonly string[]): string => `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}`;

function shown(value: Value): string {
  if (value.kind !== 'scalar') return KINDS[value.kind];
  return value.value === null
    ? 'empty'
    : `${typeof value.value === 'string' ? JSON.stringify(value.value.slice(0, 40)) : String(value.value)}`;
}

/** What a door refuses, said at its place. */
export function atDoor<T>(value: Value, refuse: Refuse, enter: () => T): T {
  try {
    return enter();
  } catch (error) {
    if (error instanceof TroupeError) throw refuse(value, error.message, error.context);
    throw error;
  }
}
