import { thrown, toData } from '../codec.ts';
import { ValidationError } from '../protocol/errors.ts';

/** In place of a result that is on record: what the call gave, or what it threw. */
export type Replacement = { output: unknown } | { error: unknown };

/** By seq, as they are kept. @throws ValidationError */
export function checkedReplacements(
  given: Readonly<Record<number, Replacement>> = {},
): ReadonlyMap<number, Replacement> {
  return new Map(Object.entries(given).map(([seq, replacement]) => [Number(seq), checked(seq, replacement)]));
}

function checked(seq: string, given: unknown): Replacement {
  const keys = typeof given === 'object' && given !== null ? Object.keys(given) : [];
  if (keys.length === 1) {
    const { output, error } = given as { output?: unknown; error?: unknown };
    if (keys[0] === 'output') return { output: toData(output, `replace[${seq}].output`) };
    if (keys[0] === 'error') return { error: thrown(error) };
  }
  throw new ValidationError(`replace[${seq}] is one of { output } and { error }.`, { path: `replace[${seq}]`, keys });
}
