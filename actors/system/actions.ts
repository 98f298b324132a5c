import { thrown } from '../../src/codec.ts';
import type { EntryOf } from '../../src/protocol/entry.ts';
import type { Border } from './border.ts';
import { end } from '../durable.ts';
import type { Node } from './node.ts';

/**
 * Custom actions of a run's machines, and what they throw.
 *
 * S2. While folding they are skipped.
 * S4. After one has thrown, its actor does nothing more until `action.failed` has put it in error.
 */
export class Actions {
  readonly #border: Border;
  #underWay = 0;
  #lateFailure: { error: unknown } | undefined;

  constructor(border: Border) {
    this.#border = border;
  }

  run(node: Node, action: () => unknown): void {
    if (this.#border.folding || node.broken) return;
    const failed = (error: unknown): void => {
      node.broken = true;
      this.#underWay += 1;
      const { seq } = this.#border;
      this.#border.say({ type: 'action.failed', target: node.key, event: { error: thrown(error) }, cause: seq });
    };
    try {
      const result = action();
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** One has thrown and that is not delivered yet. */
  get broken(): boolean {
    return this.#underWay > 0;
  }

  /** What an action of the body threw in the transition that ended it: the run fails with it. */
  get lateFailure(): { error: unknown } | undefined {
    return this.#lateFailure;
  }

  /** It is delivered. */
  failed(node: Node, { type, event: { error } }: EntryOf<'action.failed'>): void {
    this.#isDelivered();
    node.broken = false;
    end(node.actor, { status: 'error', error }, type);
  }

  /** It is delivered, and its actor had ended in the transition whose action threw. */
  failedLate({ target, event: { error } }: EntryOf<'action.failed'>, body: string): void {
    this.#isDelivered();
    if (target === body) this.#lateFailure ??= { error };
    else if (!this.#border.folding) this.#border.host.report(error, `an action of '${target}', which had ended`);
  }

  #isDelivered(): void {
    if (!this.#border.folding) this.#underWay -= 1;
  }
}
