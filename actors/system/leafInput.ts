import { toData } from '../../src/codec.ts';
import { isActor } from '../durable.ts';
import { addressOf } from '../self.ts';

/** Actor references may be passed to a leaf: they are given as they are and kept as their keys. */
export function leafInput(input: unknown): { kept: unknown; given: unknown } {
  let references = false;
  const kept = toData(input, 'input', (value) => {
    if (!isActor(value)) return undefined;
    references = true;
    return { actor: addressOf(value).key };
  });
  if (typeof kept !== 'object' || kept === null) return { kept, given: kept };
  // A copy of its own: a leaf may change its input before that is written.
  const given = toData(input, 'input', references ? (value) => (isActor(value) ? value : undefined) : undefined);
  return { kept, given };
}
