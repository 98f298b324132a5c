import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { asFailure, toData, toEvent } from '../src/codec.ts';
import { beginOf, type Child, type Cost, type Entry, type EntryEvents, type Spent } from '../src/protocol/entry.ts';
import { ClosedError, InvalidStateTransitionError, NotFoundError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { OutcomesUnknown } from '../src/summary.ts';
import { childId } from './child.ts';
import type { Gate } from './gate.ts';
import type { Ack, Pending, Pump } from './pump.ts';
import { exceeded, type DurableSystem, type Leaf, type Said } from './system.ts';

/**
 * The leaves of a run, from being wanted to what they say.
 *
 * R1. Before a leaf begins, and before each attempt, the gate asks: still running? not paused? in budget? admitted?
 * R2. An irreversible leaf, and one that begins a run, begins only after its intent is acknowledged; others begin at once, their intents ride in the next group.
 * R3. An interrupted irreversible leaf is in doubt: it is not begun until somebody says so.
 */

export type Outcome = { output: unknown } | { error: unknown };
/** About a call whose outcome nobody knows. */
export type Decision = Outcome | { retry: true };

interface Host {
  readonly run: RunId;
  system(): DurableSystem;
  /** Nothing begins here any more. */
  stopped(): boolean;
  /** Nothing begins for now. */
  paused(): boolean;
  /** Its body knows of a last turn. */
  readonly canWrapUp: () => boolean;
  /** Its caller wants nothing from it any more. */
  leave(child: Child): void;
  /** Undefined: it has not ended. */
  childEnd(child: RunId): Promise<Outcome | undefined>;
  childSpent(child: RunId): Promise<Spent | undefined>;
}

/** Who has asked for something, and where. */
interface SaidBy {
  by: string;
  cause: string | null;
}

/** Somebody who has asked for a leaf to begin, and waits for it. */
interface Asked extends SaidBy {
  resolve: (ack: Ack) => void;
  reject: (error: unknown) => void;
}

export class Calls {
  readonly gate: Gate;
  readonly #pump: Pump;
  readonly #host: Host;
  /** Wanted by the entries delivered last, not yet asked for at the gate. */
  #wanted: Leaf[] = [];
  /** What has its intent on record, and begins when the run is resumed. */
  #held: (() => void)[] = [];
  /** The last begin on record or on its way there, by leaf: the cause of what the leaf says. */
  readonly #intents = new Map<string, Pending | number>();
  /** Calls in doubt whose decision is on its way to the journal. */
  #deciding: Set<string> | undefined;
  /** The last begin of irreversible leaves that have not succeeded, and of the machines they work for. */
  #begun: Map<string, number> | undefined;
  /** That its budget is spent is on its way to the journal: until then nothing begins. */
  #exceeded = false;
  /** Runs that its calls have begun, by call. */
  #children: Map<string, Child> | undefined;
  #unknown: OutcomesUnknown | undefined;

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
    if (this.#host.paused()) return;
    for (const begin of this.#held.splice(0)) begin();
    for (const leaf of this.#wanted.splice(0)) this.#ask(leaf);
  }

  /** The run has a new body. */
  clear(): void {
    this.#wanted = [];
    this.#held = [];
    this.#intents.clear();
  }

  /** Some call runs, or is to begin. */
  get underWay(): boolean {
    // Only this process knows that they have not begun.
    if (this.#held.length > 0) return true;
    const paused = this.#host.paused();
    for (const leaf of this.#host.system().leaves()) {
      // A run that it has begun wakes it when it ends.
      if (isDoubtful(leaf) || (leaf.begun ? leaf.policy.child !== undefined : paused)) continue;
      return true;
    }
    return false;
  }

  /** Runs that its calls have begun, whether they have ended or not. */
  get children(): readonly Child[] {
    return Array.from(this.#children?.values() ?? []);
  }

  /** Of calls that are under way: their run is not over for them. */
  openChildren(): Child[] {
    const open: Child[] = [];
    for (const { key } of this.#children === undefined ? [] : this.#host.system().leaves()) {
      const child = this.#children?.get(key);
      if (child !== undefined) open.push(child);
    }
    return open;
  }

  /** Irreversible calls that have begun and have no recorded end. */
  get unknown(): string[] {
    return this.#unknown?.keys ?? [];
  }

  /** A child run has ended that this run did not wait for here. @throws NotFoundError */
  async childEnded(call: string, cause: string | null): Promise<Ack> {
    const child = this.#children?.get(call);
    const how = child && (await this.#host.childEnd(child.run));
    const spent = how && (await this.#host.childSpent(child.run));
    if (spent !== undefined) this.gate.childSpent(call, spent);
    const leaf = this.#leaf(call);
    if (child !== undefined && how !== undefined && leaf !== undefined)
      return this.#decide(leaf, how, { by: child.run, cause });
    const { run } = this.#host;
    throw new NotFoundError(`Run ${run} has no call '${call}' that waits for a run that has ended.`, { run, call });
  }

  #leaf(call: string): Leaf | undefined {
    for (const leaf of this.#host.system().leaves()) if (leaf.key === call) return leaf;
    return undefined;
  }

  /** A call says that it has cost so much more. @throws ValidationError, BudgetExceededError */
  charge(call: string, cost: Cost): void {
    this.gate.charge(call, cost);
  }

  /** Calls have been under way for as long as they may. */
  timeIsUp(): void {
    if (!this.#exceeded && !this.#host.paused()) this.#exceed(this.gate.timeIsUp(this.#host.canWrapUp), null);
  }

  #exceed(event: EntryEvents['budget.exceeded'], cause: number | null): void {
    this.#exceeded = true;
    this.#pump.enqueue({ type: 'budget.exceeded', target: 'run', event, cause });
  }

  note(entry: Entry): void {
    const { type, target, seq } = entry;
    this.gate.note(entry);
    if (type === 'budget.exceeded') this.#exceeded = false;
    const begun = beginOf(entry);
    if (begun?.child !== undefined) (this.#children ??= new Map()).set(target, begun.child);
    if (type === 'leaf.abandoned') {
      const child = this.#children?.get(target);
      if (child !== undefined) this.#host.leave(child);
    }
    if (begun?.effect === 'irreversible') this.#unknown ??= new OutcomesUnknown();
    this.#unknown?.note(entry);
    if (begun?.effect === 'irreversible') for (const key of callsOf(target)) (this.#begun ??= new Map()).set(key, seq);
    if (type === 'leaf.succeeded') for (const key of callsOf(target)) this.#begun?.delete(key);
    if (type === 'leaf.started') this.#intents.set(target, seq);
    else if (type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned')
      this.#intents.delete(target);
  }

  /** What a leaf says follows from its begin. */
  say(said: Said): void {
    const intent = this.#intents.get(said.target);
    const ended = isEnd(said) ? this.gate.settled(said) : said;
    // It has ended before its begin was written: one entry for both.
    if (ended.type === 'leaf.succeeded' && isPending(intent) && this.#pump.withdraw(intent))
      this.#pump.enqueue(endedAtOnce(ended, intent.said), intent.cause);
    else this.#pump.enqueue(ended, intent ?? said.cause);
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
    { by, cause, seen }: { by: string; cause: string | null; seen: number },
  ): Promise<Ack> {
    const begun = this.#begun?.get(call) ?? 0;
    if (begun > seen)
      throw new ValidationError(
        `Run ${this.#host.run}: ${call} has begun again (entry ${begun}) since this was decided (entry ${seen}); look again, then decide.`,
        { run: this.#host.run, call, begun, seen },
      );
    const actor = this.#host.system().actor(call);
    if (actor !== undefined && isInDoubt(actor)) return this.#tell(call, actor, decision, { by, cause });
    const leaf = this.#doubtful().find(({ key }) => key === call);
    if (leaf !== undefined)
      return 'retry' in decision ? this.#retry(leaf, { by, cause }) : this.#decide(leaf, decision, { by, cause });
    const { run } = this.#host;
    const calls = this.inDoubt().map((known) => known.call);
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
    if (!(actor.getSnapshot() as AnyMachineSnapshot).can(event))
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

  async #retry(leaf: Leaf, { by, cause }: SaidBy): Promise<Ack> {
    const { run } = this.#host;
    if (this.#host.paused())
      throw new InvalidStateTransitionError(`Run ${run} is paused: resume it, then let ${leaf.key} begin again.`, {
        run,
        state: 'paused',
        event: 'resolve',
        allowed: ['resume'],
      });
    const intent = this.#intents.get(leaf.key);
    leaf.interrupted = false;
    try {
      return await new Promise<Ack>((resolve, reject) => this.#ask(leaf, { by, cause, resolve, reject }));
    } catch (error) {
      // Not recorded: it is in doubt as before.
      this.gate.giveBack(leaf);
      leaf.interrupted = !leaf.over;
      if (intent !== undefined) this.#intents.set(leaf.key, intent);
      throw error;
    }
  }

  async #decide(leaf: Leaf, decision: Outcome, { by, cause }: SaidBy): Promise<Ack> {
    const target = leaf.key;
    const said: End =
      'output' in decision
        ? { type: 'leaf.succeeded', target, event: { output: toData(decision.output, 'output'), by }, cause: null }
        : { type: 'leaf.failed', target, event: { error: asFailure(decision.error), by }, cause: null };
    leaf.over = true;
    try {
      return await this.#pump.send(this.gate.settled(said), cause ?? this.#intents.get(target) ?? null);
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
    if (this.#exceeded && asked === undefined) return this.want(leaf);
    const answer = this.gate.ask(leaf, this.#host.canWrapUp, asked !== undefined);
    const refuse = (error: unknown): void => {
      asked?.reject(error);
      this.#refuse(leaf, error);
    };
    switch (answer.type) {
      case 'exceeded':
        // Whoever has decided so may decide otherwise.
        if (asked !== undefined) return asked.reject(exceeded(answer.event));
        this.#exceed(answer.event, leaf.cause);
        // It asks again: of a larger budget, or in the last turn.
        return this.want(leaf);
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
          // It asks again when the run is resumed.
          if (this.#host.paused() && asked === undefined) {
            leaf.admission?.release({ status: 'abandoned' });
            return this.want(leaf);
          }
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
    const said: End = { type: 'leaf.failed', target: leaf.key, event, cause: leaf.cause };
    // What had begun before a crash may have cost what it had reserved.
    this.#pump.enqueue(leaf.attempts > 0 ? this.gate.settled(said, 'ended') : said);
  }

  #commence(leaf: Leaf, asked?: Asked): void {
    const { effect } = leaf;
    const { child } = leaf.policy;
    const reserved = this.gate.reservedBy(leaf);
    const said: Said = {
      type: 'leaf.started',
      target: leaf.key,
      event: {
        effect,
        attempt: leaf.attempts + 1,
        input: leaf.input,
        ...(reserved && { reserved }),
        ...(child && { child: { run: childId(this.#host.run, leaf.key), definition: child.definition } }),
        ...(asked && { by: asked.by }),
      },
      cause: leaf.cause,
    };
    const cause = asked?.cause ?? leaf.cause;
    const begin = (): void => {
      if (this.#host.stopped()) return;
      // Paused while its intent was on its way.
      if (!leaf.over && this.#host.paused()) return void this.#held.push(begin);
      if (!leaf.over) return this.#host.system().begin(leaf);
      // Its state was left before its intent was acknowledged: it is over without having begun, and has cost nothing.
      this.#pump.enqueue({ type: 'leaf.abandoned', target: leaf.key, event: { cost: {} }, cause: leaf.cause });
    };
    if (effect !== 'irreversible' && child === undefined) {
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

type End = Said<'leaf.succeeded' | 'leaf.failed' | 'leaf.abandoned'>;
const isEnd = (said: Said): said is End =>
  said.type === 'leaf.succeeded' || said.type === 'leaf.failed' || said.type === 'leaf.abandoned';

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
