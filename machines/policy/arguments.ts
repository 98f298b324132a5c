import { failure } from '../../src/protocol/exit.ts';
import type { StepScope, StepSpec } from '../../src/protocol/spec.ts';
import { compute } from './template.ts';

/** What a step's call is given, or with `each` the list of what its calls are given. Throws what the author's functions throw. */
export function argumentsOf({ each, input }: Pick<StepSpec, 'each' | 'input'>, scope: StepScope): unknown {
  if (each === undefined) return input && compute(input, scope);
  const items = compute(each, scope);
  if (!Array.isArray(items))
    throw failure('ValidationError', 'VALIDATION', 'each is no list: it makes one call per item of one.');
  return input === undefined ? items : items.map((item: unknown) => compute(input, { ...scope, item }));
}
