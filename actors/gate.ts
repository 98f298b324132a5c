import { overspent } from '../machines/policy/budget.ts';
import type { Budget, EntryEvents } from '../src/protocol/entry.ts';
import type { Leaf } from './system.ts';

export type Answer =
  /** Resolves with the leaf's release where it has to wait for its module; rejects: refused. */
  | { type: 'granted'; admission: Promise<() => void> | undefined }
  | { type: 'refused'; error: unknown }
  | { type: 'exceeded'; event: EntryEvents['budget.exceeded'] };

/** What every leaf of a run is asked before it begins, and before each attempt: in budget? admitted? */
export class Gate {
  readonly #budget: Budget | null;
  /** Grants, each leaf once. */
  #steps = 0;

  constructor(budget: Budget | null) {
    this.#budget = budget;
  }

  /** A begin that is on record was granted. */
  count(): void {
    this.#steps += 1;
  }

  ask(leaf: Leaf): Answer {
    const first = leaf.attempts === 0;
    const event = first ? overspent(this.#budget, { steps: this.#steps }) : undefined;
    if (event !== undefined) return { type: 'exceeded', event };
    try {
      const admission = leaf.policy.admit?.(leaf);
      if (first) this.#steps += 1;
      return { type: 'granted', admission };
    } catch (error) {
      return { type: 'refused', error };
    }
  }

  /** A grant that came to nothing: its module refused it after all. */
  giveBack(leaf: Leaf): void {
    if (leaf.attempts === 0) this.#steps -= 1;
  }
}
