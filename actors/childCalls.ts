import type { Child, Entry, Spent } from '../src/protocol/entry.ts';
import { NotFoundError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { childIn } from './child.ts';
import type { SaidBy } from './doubts.ts';
import type { Outcome } from './end.ts';
import type { Gate } from './gate.ts';
import type { Ack } from './pump.ts';
import type { DurableSystem } from './system.ts';
import type { Leaf } from './leaf.ts';

/** What a run can do about the runs that its calls begin. */
export interface Callers {
  readonly run: RunId;
  system(): DurableSystem;
  /** Its caller wants nothing from it any more. */
  leave(child: Child): void;
  /** Undefined: it has not ended. */
  childEnd(child: RunId): Promise<Outcome | undefined>;
  childSpent(child: RunId): Promise<Spent | undefined>;
}

interface Deciding {
  decide(leaf: Leaf, outcome: Outcome, said: SaidBy): Promise<Ack>;
}

/** Calls of a run that have begun a run each. */
export class ChildCalls {
  readonly #gate: Pick<Gate, 'childSpent'>;
  readonly #host: Callers;
  readonly #calls: Deciding;
  /** By call. */
  #children: Map<string, Child> | undefined;

  constructor(gate: Pick<Gate, 'childSpent'>, host: Callers, calls: Deciding) {
    this.#gate = gate;
    this.#host = host;
    this.#calls = calls;
  }

  note(entry: Entry): void {
    const { type, target } = entry;
    const begun = childIn(entry);
    if (begun !== undefined) (this.#children ??= new Map()).set(target, begun);
    if (type !== 'leaf.abandoned') return;
    const child = this.#children?.get(target);
    if (child !== undefined) this.#host.leave(child);
  }

  /** What they have begun, whether it has ended or not. */
  get all(): readonly Child[] {
    return Array.from(this.#children?.values() ?? []);
  }

  /** This call has begun one. */
  has(call: string): boolean {
    return this.#children?.has(call) === true;
  }

  /** Of calls that are under way: their run is not over for them. */
  get open(): Child[] {
    const open: Child[] = [];
    for (const { key } of this.#children === undefined ? [] : this.#host.system().nodes.leaves()) {
      const child = this.#children?.get(key);
      if (child !== undefined) open.push(child);
    }
    return open;
  }

  /** A child run has ended that this run did not wait for here. @throws NotFoundError */
  async ended(call: string, cause: string | null): Promise<Ack> {
    const child = this.#children?.get(call);
    const how = child && (await this.#host.childEnd(child.run));
    const spent = how && (await this.#host.childSpent(child.run));
    if (spent !== undefined) this.#gate.childSpent(call, spent);
    const leaf = this.#leaf(call);
    if (child !== undefined && how !== undefined && leaf !== undefined)
      return this.#calls.decide(leaf, how, { by: child.run, cause });
    const { run } = this.#host;
    throw new NotFoundError(`Run ${run} has no call '${call}' that waits for a run that has ended.`, { run, call });
  }

  #leaf(call: string): Leaf | undefined {
    for (const leaf of this.#host.system().nodes.leaves()) if (leaf.key === call) return leaf;
    return undefined;
  }
}
