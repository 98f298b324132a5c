import { thrown, toData } from '../codec.ts';
import { oneField } from './expected.ts';
import { mustBe } from './options.ts';

/** In place of a result that is on record: what the call gave, or what it threw. */
export type Replacement = { output: unknown } | { error: unknown };

const REPLACEMENT = oneField(['output', 'error'], 'one of { output } and { error }');

/** By seq, as they are kept. @throws ValidationError */
export function checkedReplacements(
  given: Readonly<Record<number, Replacement>> = {},
): ReadonlyMap<number, Replacement> {
  return new Map(Object.entries(given).map(([seq, replacement]) => [Number(seq), checked(seq, replacement)]));
}

function checked(seq: string, given: unknown): Replacement {
  mustBe(given, REPLACEMENT, `replace[${seq}]`, `replace[${seq}]`);
  const replacement = given as Replacement;
  if ('output' in replacement) return { output: toData(replacement.output, `replace[${seq}].output`) };
  return { error: thrown(replacement.error) };
}
