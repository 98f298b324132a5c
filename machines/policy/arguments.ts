import { failure } from '../../src/protocol/exit.ts';
import type { StepScope, StepSpec } from '../../src/protocol/spec.ts';
import { forsakeAll } from '../../src/protocol/forsaken.ts';
import { atOnce, compute } from './template.ts';

/** What a step's call is given, or with `each` the list of what its calls are given. Throws what the author's functions throw. */
export function argumentsOf({ each, input }: Pick<StepSpec, 'each' | 'input'>, scope: StepScope): unknown {
  if (each === undefined) return input && compute(input, scope);
  const items = compute(each, scope);
  if (!Array.isArray(items))
    throw failure('ValidationError', 'VALIDATION', 'each is no list: it makes one call per item of one.');
  if (input === undefined) return mustBeThere(items);
  return items.map((item: unknown) => compute(input, { ...scope, item }));
}

/** Items that their calls are given as they are. Throws a `Failure` for a promise among them, and then nobody waits for the others. */
function mustBeThere(items: readonly unknown[]): readonly unknown[] {
  try {
    items.forEach(atOnce);
  } catch (error) {
    forsakeAll(items);
    throw error;
  }
  return items;
}
