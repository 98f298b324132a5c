import type { AnyActorRef, AnyEventObject, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { Journal } from '../src/backend.ts';
import type { Clock, Deadline, Deadlines } from '../src/clock.ts';
import { asFailure, toData, toEvent } from '../src/codec.ts';
import { isEnd, type Effect, type Entry, type EntryOf } from '../src/protocol/entry.ts';
import { NotFoundError, StaleOwnerError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { NO_SUMMARY, summarised, type Summary } from '../src/summary.ts';
import { endOf, mustEndAs, statusOf, type Ended } from './end.ts';
import { Gate } from './gate.ts';
import { DurableSystem, type Host, type Leaf, type Said } from './system.ts';
import type { Timer } from './timers.ts';
import { Pump, type Ack, type Pending, type Position } from './pump.ts';

/**
 * A run's owner: its actor system, its pump, and the gate before every leaf.
 *
 * R1. Before a leaf begins, and before each attempt, the gate asks: still running? in budget? admitted?
 * R2. An irreversible leaf begins only after its intent is acknowledged; others begin at once, their intents ride in the next group.
 * R3. An interrupted irreversible leaf is in doubt: it is not begun until somebody says so.
 * R4. When the run machine is done, its end is the last entry.
 */

/** What a run runs. `machine` is the run machine with its body provided. */
export interface Body {
  readonly machine: AnyStateMachine;
  readonly exits: boolean;
  readonly effects: Readonly<Record<string, Effect>>;
}

export interface RunPorts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly report: (error: unknown, where: string) => void;
  /** Called when a run becomes live, before anything happens in it. */
  readonly attach?: (system: { root: AnyActorRef; actors: Iterable<AnyActorRef> }) => void;
}

export class Run {
  readonly id: RunId;
  readonly created: EntryOf<'run.created'>;
  readonly system: DurableSystem;
  readonly body: Body;
  readonly #ports: RunPorts;
  readonly #pump: Pump;
  readonly #position: Position;
  readonly #deadlines = new Map<string, Deadline>();
  /** Leaves wanted by the entries delivered last, not yet asked for at the gate. */
  #wanted: Leaf[] = [];
  /** The last begin on record or on its way there, by leaf: the cause of what the leaf says. */
  readonly #intents = new Map<string, Pending | number>();
  readonly #gate: Gate;
  #exceeded = false;
  #ending = false;
  #held = false;
  #end: Ended | undefined;
  #summary: Summary;
  /** Calls in doubt whose decision is on its way to the journal. */
  readonly #deciding = new Set<string>();
  readonly #waiters: (() => void)[] = [];
  readonly #observers = new Set<(entry: Entry) => void>();
  readonly ended: Promise<Ended>;
  #settleEnded!: { resolve: (end: Ended) => void; reject: (error: unknown) => void };

  constructor(id: RunId, created: EntryOf<'run.created'>, position: Position, body: Body, ports: RunPorts) {
    this.id = id;
    this.created = created;
    this.#summary = summarised(NO_SUMMARY, created);
    this.body = body;
    this.#ports = ports;
    this.#position = position;
    this.#gate = new Gate(created.event.budget);
    this.ended = new Promise((resolve, reject) => {
      this.#settleEnded = { resolve, reject };
    });
    this.ended.catch(() => {});
    this.#pump = new Pump(id, position, ports, {
      deliver: (group) => this.#deliver(group),
      lost: (error) => this.#lost(error),
      idle: () => {
        if (this.waits) for (const resolve of this.#waiters.splice(0)) resolve();
      },
      report: ports.report,
    });
    this.system = new DurableSystem(
      body.machine,
      { input: created.event.input, exits: body.exits },
      this.#host(),
      created,
    );
  }

  get position(): Readonly<Position> {
    return this.#position;
  }

  /** Fold: where the journal stands. */
  advance(position: Position): void {
    Object.assign(this.#position, position);
  }

  get end(): Ended | undefined {
    return this.#end;
  }

  get summary(): Summary {
    return this.#summary;
  }

  get status(): string {
    return statusOf(this.system.root);
  }

  /** The body's actor, also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#bodyActor ?? this.system.actor('body');
  }
  #bodyActor: AnyActorRef | undefined;

  /** Calls whose outcome is not known and that somebody must decide: plain leaves, and machines in a state tagged `inDoubt`. */
  inDoubt(): { call: string; input: unknown }[] {
    const calls = this.#doubtfulLeaves().map(({ key, input }) => ({ call: key, input }));
    for (const [call, actor] of this.system.actors()) if (isInDoubt(actor)) calls.push({ call, input: inputOf(actor) });
    return calls;
  }

  #doubtfulLeaves(): Leaf[] {
    return Array.from(this.system.leaves()).filter(isDoubtful);
  }

  observe(observer: (entry: Entry) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Resolves once it is recorded. @throws NotFoundError, ValidationError */
  async send(target: string, event: AnyEventObject, cause: string | null): Promise<Ack> {
    if (!this.system.knows(target))
      throw new NotFoundError(`Run ${this.id} has no actor '${target}'.`, { run: this.id, actor: target });
    const said: Said = { type: 'message.received', target, event: { event: toEvent(event) }, cause: null };
    return this.#pump.send(said, cause);
  }

  /** Decides a call in doubt: its outcome, or another try. @throws NotFoundError, ValidationError */
  async resolve(call: string, decision: { output: unknown } | { error: unknown } | { retry: true }): Promise<Ack> {
    const actor = this.system.actor(call);
    if (actor !== undefined && isInDoubt(actor)) {
      const decided = 'error' in decision ? { error: asFailure(decision.error) } : decision;
      const event = { type: 'troupe.resolve', ...decided };
      if (!(actor.getSnapshot() as AnyMachineSnapshot).can(event))
        throw new ValidationError(
          `Run ${this.id}: ${call} does not take this decision; its output must be one the call could have given.`,
          {
            run: this.id,
            call,
          },
        );
      if (this.#deciding.has(call))
        throw new ValidationError(`Run ${this.id}: somebody has just decided ${call}.`, { run: this.id, call });
      this.#deciding.add(call);
      return this.send(call, event, null).finally(() => this.#deciding.delete(call));
    }
    const leaf = this.#doubtfulLeaves().find(({ key }) => key === call);
    if (leaf === undefined) {
      const calls = this.inDoubt().map((known) => known.call);
      throw new NotFoundError(
        `Run ${this.id} has no call '${call}' in doubt; in doubt: ${calls.join(', ') || 'none'}.`,
        { run: this.id, call, inDoubt: calls },
      );
    }
    if ('retry' in decision) {
      leaf.interrupted = false;
      const intent = this.#intents.get(call);
      return new Promise<Ack>((resolve, reject) => this.#ask(leaf, resolve, reject)).catch((error: unknown) => {
        // Not recorded: it is in doubt as before.
        leaf.interrupted = !leaf.over;
        if (intent !== undefined) this.#intents.set(call, intent);
        throw error;
      });
    }
    const said: Said =
      'output' in decision
        ? { type: 'leaf.succeeded', target: call, event: { output: toData(decision.output, 'output') }, cause: null }
        : { type: 'leaf.failed', target: call, event: { error: asFailure(decision.error) }, cause: null };
    leaf.over = true;
    return this.#pump.send(said, this.#intents.get(call) ?? null).catch((error: unknown) => {
      leaf.over = false;
      throw error;
    });
  }

  /** Fold: one recorded entry. @throws ReplayDivergenceError */
  fold(entry: Entry): void {
    this.system.deliver(entry);
    this.#note(entry);
    if (entry.type === 'leaf.started' && entry.event.attempt === 1) this.#gate.count();
    if (isEnd(entry.type)) {
      if (entry.type === 'run.killed') this.system.tell({ type: 'troupe.killed' });
      mustEndAs(entry as Ended, this.system);
      this.#finish(entry as Ended);
    }
  }

  /** The fold is over and this process owns the run: timers are armed, leaves without an end begin. `then` is acknowledged already. */
  goLive(then: readonly Entry[]): void {
    this.#ports.attach?.({ root: this.system.root, actors: Array.from(this.system.actors(), ([, actor]) => actor) });
    this.system.goLive();
    if (then.length > 0) return this.#deliver(then);
    // What fell due while nobody was there comes first: it may end a state whose leaf then need not begin again.
    if (!this.#fireOverdue()) this.#settle();
  }

  #fireOverdue(): boolean {
    const now = this.#ports.clock.now();
    const overdue = Array.from(this.#deadlines.values()).filter(({ due }) => due <= now);
    overdue.sort((a, b) => a.due - b.due || a.order - b.order);
    for (const deadline of overdue) {
      this.#ports.deadlines.remove(deadline);
      deadline.fire();
    }
    return overdue.length > 0;
  }

  /** Every live actor and the state it is in. */
  states(): { actor: string; state: unknown }[] {
    return [...this.system.actors()].map(([actor, ref]) => {
      const { value, status } = ref.getSnapshot() as { value?: unknown; status: string };
      return { actor, state: value ?? status };
    });
  }

  /** Nothing can happen by itself: no call is under way but those in doubt, no timer runs, nothing is on its way to the journal. */
  get waits(): boolean {
    if (this.#ending || this.#deadlines.size > 0 || !this.#pump.idle) return false;
    return Array.from(this.system.leaves()).every(isDoubtful);
  }

  /** Resolves when the run only waits; never when it ends first. */
  whenWaiting(): Promise<void> {
    return this.waits ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Appends nothing more and begins nothing more; what is under way ends. */
  release(): Promise<void> {
    this.#held = true;
    this.#disarm();
    return this.#pump.stop();
  }

  /** Stops everything that lives here, recording nothing. */
  abandon(why: unknown): void {
    this.#ending = true;
    this.#disarm();
    this.system.abort();
    this.system.root.stop();
    this.#settleEnded.reject(why);
  }

  /** Somebody appended `run.killed`, which fences this owner. */
  killed(entry: EntryOf<'run.killed'>): void {
    this.#ending = true;
    this.#disarm();
    this.system.deliver(entry);
    this.#note(entry);
    this.system.abort();
    this.system.tell({ type: 'troupe.killed' });
    this.#publish(entry);
    this.#finish(entry);
  }

  #host(): Host {
    return {
      run: this.id,
      effects: this.body.effects,
      say: (said) => this.#say(said),
      want: (leaf) => void this.#wanted.push(leaf),
      arm: (timer) => this.#arm(timer),
      disarm: (timer) => {
        const deadline = this.#deadlines.get(timer.key);
        if (deadline !== undefined) this.#ports.deadlines.remove(deadline);
        this.#deadlines.delete(timer.key);
      },
      report: (error, where) => this.#ports.report(error, `run ${this.id}: ${where}`),
    };
  }

  #say(said: Said): void {
    if (this.#ending) return;
    this.#pump.enqueue(
      said,
      said.type.startsWith('leaf.') ? (this.#intents.get(said.target) ?? said.cause) : said.cause,
    );
  }

  #arm(timer: Timer): void {
    const fire = (): void => {
      this.#deadlines.delete(timer.key);
      this.#say({ type: 'timer.fired', target: timer.key, event: null, cause: timer.cause });
    };
    this.#deadlines.set(timer.key, this.#ports.deadlines.add(timer.due, timer.order, `${this.id} ${timer.key}`, fire));
  }

  #disarm(): void {
    for (const deadline of this.#deadlines.values()) this.#ports.deadlines.remove(deadline);
    this.#deadlines.clear();
  }

  #deliver(group: readonly Entry[]): void {
    for (const entry of group) {
      this.system.deliver(entry);
      this.#note(entry);
      this.#publish(entry);
      if (isEnd(entry.type)) return this.#finish(entry as Ended);
    }
    this.#settle();
  }

  /** What a run keeps besides its system; the same live and in a fold. */
  #note(entry: Entry): void {
    this.#summary = summarised(this.#summary, entry);
    this.#bodyActor ??= this.system.actor('body');
    if (entry.type === 'leaf.started') {
      if (entry.event.effect === 'irreversible') this.#pump.irreversible = true;
      this.#intents.set(entry.target, entry.seq);
    } else if (entry.type === 'leaf.succeeded' || entry.type === 'leaf.failed' || entry.type === 'leaf.abandoned') {
      this.#intents.delete(entry.target);
    }
  }

  #settle(): void {
    if (this.#stopped) return;
    const { status } = this.system.root.getSnapshot();
    if (status !== 'active') {
      // What an action threw on the way to the end decides how the run ended.
      if (this.system.broken) return;
      this.system.abort();
      this.#ending = true;
      this.#disarm();
      this.#pump.enqueue(endOf(this.system));
      return;
    }
    for (const leaf of this.#wanted.splice(0)) this.#ask(leaf);
  }

  #ask(leaf: Leaf, acknowledged?: (ack: Ack) => void, refused?: (error: unknown) => void): void {
    if (leaf.over || isDoubtful(leaf)) return;
    const answer = this.#gate.ask(leaf);
    const refuse = (error: unknown): void => {
      refused?.(error);
      this.#refuse(leaf, error);
    };
    switch (answer.type) {
      case 'exceeded':
        if (!this.#exceeded)
          this.#say({ type: 'budget.exceeded', target: 'run', event: answer.event, cause: leaf.cause });
        this.#exceeded = true;
        return;
      case 'refused':
        return refuse(answer.error);
      case 'granted':
        if (answer.admission === undefined) return this.#begin(leaf, acknowledged, refused);
        answer.admission.then(
          (release) => {
            leaf.release = release;
            if (leaf.over || this.#stopped) release();
            else this.#begin(leaf, acknowledged, refused);
          },
          (error: unknown) => {
            this.#gate.giveBack(leaf);
            refuse(error);
          },
        );
    }
  }

  /** It has not begun: whatever its effect, it may be tried again. */
  #refuse(leaf: Leaf, error: unknown): void {
    if (leaf.over || this.#stopped) return;
    leaf.over = true;
    const event = { error: { ...asFailure(error), notPerformed: true as const } };
    this.#say({ type: 'leaf.failed', target: leaf.key, event, cause: leaf.cause });
  }

  /** Nothing begins here any more: the run has ended, or is being taken away. */
  get #stopped(): boolean {
    return this.#ending || this.#held;
  }

  #begin(leaf: Leaf, acknowledged?: (ack: Ack) => void, refused?: (error: unknown) => void): void {
    const { effect } = leaf;
    const said: Said = {
      type: 'leaf.started',
      target: leaf.key,
      event: { effect, attempt: leaf.attempts + 1, input: leaf.input },
      cause: leaf.cause,
    };
    const begin = (): void => {
      if (!leaf.over && !this.#stopped) this.system.begin(leaf);
    };
    if (effect !== 'irreversible') {
      this.#intents.set(leaf.key, this.#pump.enqueue(said, leaf.cause, acknowledged, refused));
      return begin();
    }
    const recorded = (ack: Ack): void => {
      begin();
      acknowledged?.(ack);
    };
    this.#intents.set(leaf.key, this.#pump.enqueue(said, leaf.cause, recorded, refused));
  }

  #publish(entry: Entry): void {
    for (const observer of this.#observers) {
      try {
        observer(entry);
      } catch (error) {
        this.#ports.report(error, `run ${this.id}: an observer of entry ${entry.seq}`);
      }
    }
  }

  #finish(entry: Ended): void {
    this.#ending = true;
    this.#end = entry;
    this.#disarm();
    void this.#pump.stop();
    this.#settleEnded.resolve(entry);
  }

  #lost(error: unknown): void {
    if (!(error instanceof StaleOwnerError)) this.#ports.report(error, `run ${this.id}: let go of`);
    this.abandon(error);
  }
}

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
