import { overspent } from '../machines/policy/budget.ts';
import type { Budget, EntryEvents } from '../src/protocol/entry.ts';
import type { Admission, Leaf } from './system.ts';

export type Answer =
  | { type: 'granted'; admission: Admission | undefined }
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

  get steps(): number {
    return this.#steps;
  }

  /** Before this beginning of its run. */
  spent(steps: number): void {
    this.#steps = steps;
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

  /** A grant that came to nothing: its module refused it after all, or its state was left while it waited there. */
  giveBack(leaf: Leaf): void {
    if (leaf.attempts === 0) this.#steps -= 1;
  }
}
