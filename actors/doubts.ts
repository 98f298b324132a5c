import { toData } from '../src/codec.ts';
import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { asFailure, toEvent } from '../src/codec.ts';
import { beginOf, type Entry } from '../src/protocol/entry.ts';
import { NotFoundError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { OutcomesUnknown } from '../src/summary.ts';
import type { Outcome } from './end.ts';
import type { Ack, Pump } from './pump.ts';
import type { DurableSystem } from './system.ts';
import type { Leaf } from './leaf.ts';
import type { Said } from './said.ts';

/**
 * Calls of a run of which nobody knows whether they happened, and what somebody says of them.
 *
 * R3. An interrupted irreversible leaf is in doubt: it is not begun until somebody says so.
 */

/** About a call whose outcome nobody knows. */
export type Decision = Outcome | { retry: true };

/** Who has asked for something, and where. */
export interface SaidBy {
  by: string;
  cause: string | null;
}

interface Host {
  readonly run: RunId;
  system(): DurableSystem;
}

interface Deciding {
  /** Lets it begin again. */
  retry(leaf: Leaf, said: SaidBy): Promise<Ack>;
  /** It has ended so. */
  decide(leaf: Leaf, outcome: Outcome, said: SaidBy): Promise<Ack>;
}

export class Doubts {
  readonly #pump: Pump;
  readonly #host: Host;
  readonly #calls: Deciding;
  /** Those whose decision is on its way to the journal. */
  #deciding: Set<string> | undefined;
  /** The last begin of irreversible leaves that have not succeeded, and of the machines they work for. */
  #begun: Map<string, number> | undefined;
  #unknown: OutcomesUnknown | undefined;

  constructor(pump: Pump, host: Host, calls: Deciding) {
    this.#pump = pump;
    this.#host = host;
    this.#calls = calls;
  }

  note(entry: Entry): void {
    const { type, target, seq } = entry;
    if (beginOf(entry)?.effect === 'irreversible') {
      this.#unknown ??= new OutcomesUnknown();
      for (const key of callsOf(target)) (this.#begun ??= new Map()).set(key, seq);
    }
    this.#unknown?.note(entry);
    if (type === 'leaf.succeeded') for (const key of callsOf(target)) this.#begun?.delete(key);
  }

  /** Irreversible calls that have begun and have no recorded end. */
  get unknown(): string[] {
    return this.#unknown?.calls ?? [];
  }

  /** Plain leaves, and machines in a state tagged `inDoubt`. */
  list(): { call: string; input: unknown }[] {
    // Whoever changes what he is shown changes nothing of the call.
    const calls = this.#doubtful().map(({ key, input }) => ({ call: key, input: toData(input, 'input') }));
    for (const [call, actor] of this.#host.system().nodes.actors())
      if (isInDoubt(actor)) calls.push({ call, input: toData(inputOf(actor), 'input') });
    return calls;
  }

  /** @throws NotFoundError, ValidationError */
  async resolve(call: string, decision: Decision, { by, cause, seen }: SaidBy & { seen: number }): Promise<Ack> {
    const begun = this.#begun?.get(call) ?? 0;
    if (begun > seen)
      throw new ValidationError(
        `Run ${this.#host.run}: ${call} has begun again (entry ${begun}) since this was decided (entry ${seen}); look again, then decide.`,
        { run: this.#host.run, call, begun, seen },
      );
    const actor = this.#host.system().nodes.get(call)?.actor;
    if (actor !== undefined && isInDoubt(actor)) return this.#tell(call, actor, decision, { by, cause });
    const leaf = this.#doubtful().find(({ key }) => key === call);
    if (leaf !== undefined)
      return 'retry' in decision
        ? this.#calls.retry(leaf, { by, cause })
        : this.#calls.decide(leaf, decision, { by, cause });
    const { run } = this.#host;
    const calls = this.list().map((known) => known.call);
    throw new NotFoundError(`Run ${run} has no call '${call}' in doubt; in doubt: ${calls.join(', ') || 'none'}.`, {
      run,
      call,
      inDoubt: calls,
    });
  }

  async #tell(call: string, actor: AnyActorRef, decision: Decision, { by, cause }: SaidBy): Promise<Ack> {
    const { run } = this.#host;
    const decided = 'error' in decision ? { error: asFailure(decision.error) } : decision;
    const event = { type: 'troupe.resolve', ...decided };
    // Asked once, of what is not on record yet: what is holds, whatever the schema says later.
    const fits = !('output' in decided) || this.#host.system().accepts(call, decided.output);
    if (!fits || !(actor.getSnapshot() as AnyMachineSnapshot).can(event))
      throw new ValidationError(
        `Run ${run}: ${call} does not take this decision; its output must be one the call could have given.`,
        { run, call },
      );
    const deciding = (this.#deciding ??= new Set());
    if (deciding.has(call)) throw new ValidationError(`Run ${run}: somebody has just decided ${call}.`, { run, call });
    deciding.add(call);
    const said: Said = { type: 'message.received', target: call, event: { event: toEvent(event), by }, cause: null };
    return this.#pump.send(said, cause).finally(() => deciding.delete(call));
  }

  #doubtful(): Leaf[] {
    return Array.from(this.#host.system().nodes.leaves()).filter(isDoubtful);
  }
}

/** A leaf, and the machine it works for: a call in doubt goes by either. */
const callsOf = (leaf: string): readonly string[] => [leaf, leaf.slice(0, leaf.lastIndexOf('/'))];

/** R3. */
export const isDoubtful = ({ interrupted, effect }: Leaf): boolean => interrupted && effect === 'irreversible';

const isInDoubt = (actor: AnyActorRef): boolean => {
  const { tags } = actor.getSnapshot() as { tags?: ReadonlySet<string> };
  return tags?.has('inDoubt') === true;
};
const inputOf = (actor: AnyActorRef): unknown => {
  const { context } = actor.getSnapshot() as { context?: { input?: unknown } };
  return context?.input;
};
