import type { BudgetOptions } from '../../define/budget.ts';
import type { AnyDefinition } from '../../define/definition.ts';
import type { Entry } from '../../protocol/entry.ts';
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
  /** Besides the promises: what is wrong with how a run of it ended, if anything. */
  readonly wrong?: (entries: readonly Entry[], input: unknown) => string | undefined;
}

export interface Workload {
  readonly kinds: readonly Kind[];
}
