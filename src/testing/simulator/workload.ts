import type { BudgetOptions } from '../../define/budget.ts';
import type { AnyDefinition } from '../../define/definition.ts';
import type { Entry } from '../../protocol/entry.ts';
import { ValidationError } from '../../protocol/errors.ts';
import type { Random } from './random.ts';

/** Something that runs are of in a simulation. What its sources and tools do, they do by `perform`. */
export interface Kind {
  readonly definition: AnyDefinition;
  readonly input?: (random: Random) => unknown;
  readonly budget?: (random: Random) => BudgetOptions | undefined;
  /** What people send it: its event is told apart by `n`. */
  readonly message?: (n: number) => { type: string; n: number };
  /** What ends a run that only waits for messages. */
  readonly finish?: { type: string };
  /** Its calls may have a step of its budget while they wait in a module's line, and never begin. */
  readonly waitsInLine?: boolean;
  /** The same with other code, under a name of its own; `misfit`: an entry that it can never have written. */
  readonly changed?: { readonly definition: AnyDefinition; readonly misfit: (entry: Entry) => boolean };
  /** Besides the promises: what is wrong with how a run of it ended, if anything. */
  readonly wrong?: (entries: readonly Entry[], input: unknown) => string | undefined;
}

export interface Workload {
  readonly kinds: readonly Kind[];
}

/** @throws ValidationError */
export function mustBeWorkload(given: unknown): void {
  const { kinds } = (given ?? {}) as { kinds?: unknown };
  const isKind = (kind: unknown): boolean => typeof kind === 'object' && kind !== null && 'definition' in kind;
  if (Array.isArray(kinds) && kinds.length > 0 && kinds.every(isKind)) return;
  throw new ValidationError(
    'A workload is what runs are of: { kinds: [{ definition }, …] }, at least one. Give it to planOf behind the seed, and to simulate behind the plan.',
    { path: 'workload.kinds' },
  );
}
