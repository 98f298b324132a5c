import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { asFailure, toData, toEvent } from '../src/codec.ts';
import { beginOf, type Entry } from '../src/protocol/entry.ts';
import { ClosedError, NotFoundError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Gate } from './gate.ts';
import type { Ack, Pending, Pump } from './pump.ts';
import type { DurableSystem, Leaf, Said } from './system.ts';

/**
 * The leaves of a run, from being wanted to what they say.
 *
 * R1. Before a leaf begins, and before each attempt, the gate asks: still running? in budget? admitted?
 * R2. An irreversible leaf begins only after its intent is acknowledged; others begin at once, their intents ride in the next group.
 * R3. An interrupted irreversible leaf is in doubt: it is not begun until somebody says so.
 */

/** About a call whose outcome nobody knows. */
export type Decision = { output: unknown } | { error: unknown } | { retry: true };

interface Host {
  readonly run: RunId;
  system(): DurableSystem;
  /** Nothing begins here any more. */
  stopped(): boolean;
}

/** Somebody who has asked for a leaf to begin, and waits for it. */
interface Asked {
  cause: string | null;
  resolve: (ack: Ack) => void;
  reject: (error: unknown) => void;
}

export class Calls {
  readonly gate: Gate;
  readonly #pump: Pump;
  readonly #host: Host;
  /** Wanted by the entries delivered last, not yet asked for at the gate. */
  #wanted: Leaf[] = [];
  /** The last begin on record or on its way there, by leaf: the cause of what the leaf says. */
  readonly #intents = new Map<string, Pending | number>();
  /** Calls in doubt whose decision is on its way to the journal. */
  #deciding: Set<string> | undefined;
  /** The last begin of irreversible leaves that have not succeeded, and of the machines they work for. */
  #begun: Map<string, number> | undefined;
  #exceeded = false;

  constructor(gate: Gate, pump: Pump, host: Host) {
    this.gate = gate;
    this.#pump = pump;
    this.#host = host;
  }

  want(leaf: Leaf): void {
    this.#wanted.push(leaf);
  }

  /** What is wanted, once all of a group is delivered: a later entry may have left the state that wanted it. */
  begin(): void {
    for (const leaf of this.#wanted.splice(0)) this.#ask(leaf);
  }

  /** The run has a new body. */
  clear(): void {
    this.#wanted = [];
    this.#intents.clear();
  }

  /** Some call runs, or is to begin. */
  get underWay(): boolean {
    for (const leaf of this.#host.system().leaves()) if (!isDoubtful(leaf)) return true;
    return false;
  }

  note(entry: Entry): void {
    const { type, target, seq } = entry;
    if (beginOf(entry)?.effect === 'irreversible')
      for (const key of callsOf(target)) (this.#begun ??= new Map()).set(key, seq);
    if (type === 'leaf.succeeded') for (const key of callsOf(target)) this.#begun?.delete(key);
    if (type === 'leaf.started') this.#intents.set(target, seq);
    else if (type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned')
      this.#intents.delete(target);
  }

  /** What a leaf says follows from its begin. */
  say(said: Said): void {
    const intent = this.#intents.get(said.target);
    // It has ended before its begin was written: one entry for both.
    if (said.type === 'leaf.succeeded' && isPending(intent) && this.#pump.withdraw(intent))
      this.#pump.enqueue(endedAtOnce(said, intent.said), intent.cause);
    else this.#pump.enqueue(said, intent ?? said.cause);
  }

  /** Plain leaves, and machines in a state tagged `inDoubt`. */
  inDoubt(): { call: string; input: unknown }[] {
    const calls = this.#doubtful().map(({ key, input }) => ({ call: key, input }));
    for (const [call, actor] of this.#host.system().actors())
      if (isInDoubt(actor)) calls.push({ call, input: inputOf(actor) });
    return calls;
  }

  /** @throws NotFoundError, ValidationError */
  async resolve(
    call: string,
    decision: Decision,
    { cause, seen }: { cause: string | null; seen: number },
  ): Promise<Ack> {
    const begun = this.#begun?.get(call) ?? 0;
    if (begun > seen)
      throw new ValidationError(
        `Run ${this.#host.run}: ${call} has begun again (entry ${begun}) since this was decided (entry ${seen}); look again, then decide.`,
        { run: this.#host.run, call, begun, seen },
      );
    const actor = this.#host.system().actor(call);
    if (actor !== undefined && isInDoubt(actor)) return this.#tell(call, actor, decision, cause);
    const leaf = this.#doubtful().find(({ key }) => key === call);
    if (leaf !== undefined) return 'retry' in decision ? this.#retry(leaf, cause) : this.#decide(leaf, decision, cause);
    const { run } = this.#host;
    const calls = this.inDoubt().map((known) => known.call);
    throw new NotFoundError(`Run ${run} has no call '${call}' in doubt; in doubt: ${calls.join(', ') || 'none'}.`, {
      run,
      call,
      inDoubt: calls,
    });
  }

  async #tell(call: string, actor: AnyActorRef, decision: Decision, cause: string | null): Promise<Ack> {
    const { run } = this.#host;
    const decided = 'error' in decision ? { error: asFailure(decision.error) } : decision;
    const event = { type: 'troupe.resolve', ...decided };
    if (!(actor.getSnapshot() as AnyMachineSnapshot).can(event))
      throw new ValidationError(
        `Run ${run}: ${call} does not take this decision; its output must be one the call could have given.`,
        { run, call },
      );
    const deciding = (this.#deciding ??= new Set());
    if (deciding.has(call)) throw new ValidationError(`Run ${run}: somebody has just decided ${call}.`, { run, call });
    deciding.add(call);
    const said: Said = { type: 'message.received', target: call, event: { event: toEvent(event) }, cause: null };
    return this.#pump.send(said, cause).finally(() => deciding.delete(call));
  }

  async #retry(leaf: Leaf, cause: string | null): Promise<Ack> {
    const intent = this.#intents.get(leaf.key);
    leaf.interrupted = false;
    try {
      return await new Promise<Ack>((resolve, reject) => this.#ask(leaf, { cause, resolve, reject }));
    } catch (error) {
      // Not recorded: it is in doubt as before.
      leaf.interrupted = !leaf.over;
      if (intent !== undefined) this.#intents.set(leaf.key, intent);
      throw error;
    }
  }

  async #decide(leaf: Leaf, decision: Exclude<Decision, { retry: true }>, cause: string | null): Promise<Ack> {
    const target = leaf.key;
    const said: Said =
      'output' in decision
        ? { type: 'leaf.succeeded', target, event: { output: toData(decision.output, 'output') }, cause: null }
        : { type: 'leaf.failed', target, event: { error: asFailure(decision.error) }, cause: null };
    leaf.over = true;
    try {
      return await this.#pump.send(said, cause ?? this.#intents.get(target) ?? null);
    } catch (error) {
      leaf.over = false;
      throw error;
    }
  }

  #doubtful(): Leaf[] {
    return Array.from(this.#host.system().leaves()).filter(isDoubtful);
  }

  #ask(leaf: Leaf, asked?: Asked): void {
    if (leaf.over || isDoubtful(leaf)) return;
    const answer = this.gate.ask(leaf);
    const refuse = (error: unknown): void => {
      asked?.reject(error);
      this.#refuse(leaf, error);
    };
    switch (answer.type) {
      case 'exceeded':
        if (!this.#exceeded)
          this.#pump.enqueue({ type: 'budget.exceeded', target: 'run', event: answer.event, cause: leaf.cause });
        this.#exceeded = true;
        return;
      case 'refused':
        return refuse(answer.error);
      case 'granted': {
        const { admission } = answer;
        leaf.admission = admission;
        if (admission?.turn === undefined) return this.#commence(leaf, asked);
        // A leaf that is over before its turn gives its step back at once: the next to ask may need it.
        let waits = true;
        const waitsNoMore = (): void => {
          if (waits) this.gate.giveBack(leaf);
          waits = false;
        };
        const notBegun = (error: unknown): void => {
          waitsNoMore();
          refuse(error);
        };
        leaf.admission = {
          turn: admission.turn,
          release: (ended) => {
            waitsNoMore();
            admission.release(ended);
          },
        };
        admission.turn.then(() => {
          if (leaf.over || this.#host.stopped())
            return notBegun(new ClosedError(`${leaf.key} was over before its turn came.`, { call: leaf.key }));
          waits = false;
          this.#commence(leaf, asked);
        }, notBegun);
      }
    }
  }

  /** It has not begun: whatever its effect, it may be tried again. */
  #refuse(leaf: Leaf, error: unknown): void {
    if (leaf.over || this.#host.stopped()) return;
    leaf.over = true;
    const event = { error: { ...asFailure(error), notPerformed: true as const } };
    this.#pump.enqueue({ type: 'leaf.failed', target: leaf.key, event, cause: leaf.cause });
  }

  #commence(leaf: Leaf, asked?: Asked): void {
    const { effect } = leaf;
    const said: Said = {
      type: 'leaf.started',
      target: leaf.key,
      event: { effect, attempt: leaf.attempts + 1, input: leaf.input },
      cause: leaf.cause,
    };
    const cause = asked?.cause ?? leaf.cause;
    const begin = (): void => {
      if (!leaf.over && !this.#host.stopped()) this.#host.system().begin(leaf);
    };
    if (effect !== 'irreversible') {
      this.#intents.set(leaf.key, this.#pump.enqueue(said, cause, asked?.resolve, asked?.reject));
      return begin();
    }
    const recorded = (ack: Ack): void => {
      begin();
      asked?.resolve(ack);
    };
    this.#intents.set(leaf.key, this.#pump.enqueue(said, cause, recorded, asked?.reject));
  }
}

/** A leaf, and the machine it works for: a call in doubt goes by either. */
const callsOf = (leaf: string): readonly string[] => [leaf, leaf.slice(0, leaf.lastIndexOf('/'))];

const isPending = (intent: Pending | number | undefined): intent is Pending => typeof intent === 'object';

const endedAtOnce = (said: Said<'leaf.succeeded'>, begin: Said): Said =>
  begin.type === 'leaf.started' ? { ...said, event: { ...said.event, begun: begin.event } } : said;

/** R3. */
const isDoubtful = ({ interrupted, effect }: Leaf): boolean => interrupted && effect === 'irreversible';

const isInDoubt = (actor: AnyActorRef): boolean => {
  const { tags } = actor.getSnapshot() as { tags?: ReadonlySet<string> };
  return tags?.has('inDoubt') === true;
};
const inputOf = (actor: AnyActorRef): unknown => {
  const { context } = actor.getSnapshot() as { context?: { input?: unknown } };
  return context?.input;
};
