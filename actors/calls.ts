import { asFailure, toData } from '../src/codec.ts';
import type { Entry, EntryEvents } from '../src/protocol/entry.ts';
import { ClosedError, InvalidStateTransitionError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { childId } from './child.ts';
import { ChildCalls, type Callers } from './childCalls.ts';
import { Doubts, isDoubtful, type SaidBy } from './doubts.ts';
import type { Outcome } from './end.ts';
import { exceeded, type Gate } from './gate.ts';
import type { Leaf } from './leaf.ts';
import type { Ack, Pending, Pump } from './pump.ts';
import type { Said } from './said.ts';
import type { DurableSystem } from './system.ts';

/**
 * The leaves of a run, from being wanted to what they say.
 *
 * R1. Before a leaf begins, and before each attempt, the gate asks: still running? not paused? in budget? admitted?
 * R2. An irreversible leaf, and one that begins a run, begins only after its intent is acknowledged; others begin at once, their intents ride in the next group.
 *     Where its state is left before it begins, it does not begin: an intent that is not written yet is taken back, one that is has an end that says so.
 * R3. An interrupted irreversible leaf is in doubt: it is not begun until somebody says so (`doubts.ts`).
 */

interface Host extends Callers {
  readonly run: RunId;
  system(): DurableSystem;
  /** Nothing begins here any more. */
  stopped(): boolean;
  /** Nothing begins for now. */
  paused(): boolean;
  switchedOff(): boolean;
  /** Its body knows of a last turn. */
  readonly canWrapUp: () => boolean;
}

/** A begin that waits until its intent is on record. */
interface Waiting {
  readonly intent: Pending;
  /** It will not be: all is as it was before. */
  readonly unsaid: (error: unknown) => void;
}

/** Somebody who has asked for a leaf to begin, and waits for it. */
interface Asked extends SaidBy {
  resolve: (ack: Ack) => void;
  reject: (error: unknown) => void;
}

export class Calls {
  readonly gate: Gate;
  readonly doubts: Doubts;
  readonly children: ChildCalls;
  readonly #pump: Pump;
  readonly #host: Host;
  /** Wanted by the entries delivered last, not yet asked for at the gate. */
  #wanted: Leaf[] = [];
  /** What has its intent on record, and begins when its run is not switched off any more. */
  #held: Leaf[] = [];
  /** The last begin on record or on its way there, by leaf: the cause of what the leaf says. */
  readonly #intents = new Map<string, Pending | number>();
  /** Begins when its intent is acknowledged, by leaf. */
  readonly #waiting = new Map<string, Waiting>();
  /** Until it is on record nothing begins. */
  #exceeded = false;

  constructor(gate: Gate, pump: Pump, host: Host) {
    this.gate = gate;
    this.doubts = new Doubts(pump, host, this);
    this.children = new ChildCalls(gate, host, this);
    this.#pump = pump;
    this.#host = host;
  }

  want(leaf: Leaf): void {
    this.#wanted.push(leaf);
  }

  /** What is wanted, once all of a group is delivered: a later entry may have left the state that wanted it. */
  begin(): void {
    if (this.#host.paused()) return;
    for (const leaf of this.#held.splice(0)) this.#start(leaf);
    for (const leaf of this.#wanted.splice(0)) this.#ask(leaf);
  }

  /** The run has a new body. */
  clear(): void {
    this.#wanted = [];
    this.#held = [];
    this.#intents.clear();
    this.#waiting.clear();
  }

  /** Some call runs, or is to begin. */
  get underWay(): boolean {
    // Only this process knows that they have not begun.
    if (this.#held.some(({ over }) => !over) || this.#host.system().judging) return true;
    // One that is switched off does not wait for anything: it is about to be killed, or goes on when that is lifted.
    const paused = this.#host.paused() && !this.#host.switchedOff();
    for (const leaf of this.#host.system().nodes.leaves()) {
      // A run that it has begun wakes it when it ends.
      if (isDoubtful(leaf) || (leaf.begun ? leaf.policy.child !== undefined : paused)) continue;
      return true;
    }
    return false;
  }

  /** That its budget is spent is on its way to the journal. */
  get exceeding(): boolean {
    return this.#exceeded;
  }

  /** Calls have been under way for as long as they may. */
  timeIsUp(): void {
    // What has ended is on its way to the journal: then it is known how long it took.
    if (!this.#isAnyAtWork) return;
    if (!this.#exceeded && !this.#host.paused()) this.#exceed(this.gate.timeIsUp(this.#host.canWrapUp), null);
  }

  get #isAnyAtWork(): boolean {
    for (const leaf of this.#host.system().nodes.leaves())
      if (leaf.begun && !leaf.over && !isDoubtful(leaf)) return true;
    return false;
  }

  #exceed(event: EntryEvents['budget.exceeded'], cause: number | null): void {
    this.#exceeded = true;
    this.#pump.enqueue({ type: 'budget.exceeded', target: 'run', event, cause });
  }

  note(entry: Entry): void {
    const { type, target, seq } = entry;
    this.gate.note(entry);
    if (type === 'budget.exceeded') this.#exceeded = false;
    this.children.note(entry);
    this.doubts.note(entry);
    if (type === 'leaf.started') this.#intents.set(target, seq);
    else if (type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned')
      this.#intents.delete(target);
  }

  /** What a leaf says follows from its begin. */
  say(said: Said): void {
    const left = said.type === 'leaf.abandoned';
    if (left) this.#takeBack(said.target);
    const intent = this.#intents.get(said.target);
    // There is nothing on record that could end.
    if (left && intent === undefined) return;
    const ended = isEnd(said) ? this.#settled(said) : said;
    // It has ended before its begin was written: one entry for both.
    if (ended.type === 'leaf.succeeded' && isPending(intent) && isUnasked(intent) && this.#pump.withdraw(intent))
      this.#pump.enqueue(endedAtOnce(ended, intent.said), intent.cause);
    else this.#pump.enqueue(ended, intent ?? said.cause);
  }

  /** With what it cost. Before it, that what it has begun has spent all that was left. */
  #settled(said: End): End {
    if (said.type === 'leaf.failed' && this.children.has(said.target) && !this.#exceeded && !this.#host.paused()) {
      const spent = this.gate.spentBelow(said.target, said.event.error, this.#host.canWrapUp);
      const intent = this.#intents.get(said.target);
      if (spent !== undefined) this.#exceed(spent, typeof intent === 'number' ? intent : null);
    }
    return this.gate.settled(said);
  }

  /** It was in doubt, and somebody lets it begin again. */
  async retry(leaf: Leaf, { by, cause }: SaidBy): Promise<Ack> {
    const { run } = this.#host;
    if (this.#host.switchedOff())
      throw new InvalidStateTransitionError(
        `Run ${run}: all that is like it was killed, and that is not lifted: lift it, then let ${leaf.key} begin again.`,
        { run, state: 'switchedOff', event: 'resolve', allowed: ['kill'] },
      );
    if (this.#host.paused())
      throw new InvalidStateTransitionError(`Run ${run} is paused: resume it, then let ${leaf.key} begin again.`, {
        run,
        state: 'paused',
        event: 'resolve',
        allowed: ['resume'],
      });
    leaf.interrupted = false;
    // As the fold has left it, it would be asked for once more when something else is delivered.
    this.#wanted = this.#wanted.filter((wanted) => wanted !== leaf);
    try {
      return await new Promise<Ack>((resolve, reject) => this.#ask(leaf, { by, cause, resolve, reject }));
    } catch (error) {
      // Not recorded: it is in doubt as before.
      leaf.interrupted = !leaf.over;
      throw error;
    }
  }

  /** Somebody says how it has ended. */
  async decide(leaf: Leaf, outcome: Outcome, { by, cause }: SaidBy): Promise<Ack> {
    const target = leaf.key;
    const said: End =
      'output' in outcome
        ? { type: 'leaf.succeeded', target, event: { output: toData(outcome.output, 'output'), by }, cause: null }
        : { type: 'leaf.failed', target, event: { error: asFailure(outcome.error), by }, cause: null };
    leaf.over = true;
    try {
      return await this.#pump.send(this.#settled(said), cause ?? this.#intents.get(target) ?? null);
    } catch (error) {
      leaf.over = false;
      throw error;
    }
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
          // It asks again when the run is resumed, or in its last turn.
          if ((this.#exceeded || this.#host.paused()) && asked === undefined) {
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
    if (effect !== 'irreversible' && child === undefined) {
      this.#intents.set(leaf.key, this.#pump.enqueue(said, cause, asked?.resolve, asked?.reject));
      return this.#start(leaf);
    }
    this.gate.intends(leaf);
    const before = this.#intents.get(leaf.key);
    const unsaid = (error: unknown): void => {
      this.#waiting.delete(leaf.key);
      this.gate.giveBack(leaf);
      if (before === undefined) this.#intents.delete(leaf.key);
      else this.#intents.set(leaf.key, before);
      asked?.reject(error);
    };
    const recorded = (ack: Ack): void => {
      this.#waiting.delete(leaf.key);
      this.#start(leaf);
      asked?.resolve(ack);
    };
    const intent = this.#pump.enqueue(said, cause, recorded, asked && unsaid);
    this.#intents.set(leaf.key, intent);
    this.#waiting.set(leaf.key, { intent, unsaid });
  }

  #start(leaf: Leaf): void {
    // Left meanwhile, or what it had begun before a crash has ended: that is said already.
    if (leaf.over || this.#host.stopped()) return;
    // Switched off while its intent was on its way. What is paused meanwhile was not paused before it.
    if (this.#host.switchedOff()) return void this.#held.push(leaf);
    this.gate.begins(leaf);
    this.#host.system().begin(leaf);
  }

  /** Its state was left: if its intent is not written yet, it need not be. */
  #takeBack(leaf: string): void {
    const waiting = this.#waiting.get(leaf);
    if (waiting !== undefined && this.#pump.withdraw(waiting.intent))
      waiting.unsaid(new ClosedError(`${leaf} was over before its turn came.`, { call: leaf }));
  }
}

type End = Said<'leaf.succeeded' | 'leaf.failed' | 'leaf.abandoned'>;
const isEnd = (said: Said): said is End =>
  said.type === 'leaf.succeeded' || said.type === 'leaf.failed' || said.type === 'leaf.abandoned';

/** Nobody waits for it. */
const isUnasked = ({ acknowledged }: Pending): boolean => acknowledged === undefined;

const isPending = (intent: Pending | number | undefined): intent is Pending => typeof intent === 'object';

const endedAtOnce = (said: Said<'leaf.succeeded'>, begin: Said): Said =>
  begin.type === 'leaf.started' ? { ...said, event: { ...said.event, begun: begin.event } } : said;
