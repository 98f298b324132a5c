import type { AnyActorRef, AnyEventObject, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { Journal } from '../src/backend.ts';
import type { Clock, Deadline, Deadlines } from '../src/clock.ts';
import { toData, toEvent } from '../src/codec.ts';
import {
  beginOf,
  isEnd,
  type Beginning,
  type Effect,
  type Entry,
  type EntryEvents,
  type EntryOf,
} from '../src/protocol/entry.ts';
import { StaleOwnerError, StorageFullError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { causeOf, postOf, type Message, type Post } from '../src/protocol/inbox.ts';
import { NO_SUMMARY, summarised, type Summary } from '../src/summary.ts';
import { endOf, mustEndAs, statusOf, type Ended } from './end.ts';
import { Calls, type Decision } from './calls.ts';
import { Gate } from './gate.ts';
import { DurableSystem, type Host, type Said } from './system.ts';
import type { Timer } from './timers.ts';
import { Pump, type Ack, type Position } from './pump.ts';

/**
 * A run's owner: its actor system, its pump, its calls.
 *
 * R1. When the run machine is done, its end is the last entry.
 * R2. A new beginning is recorded only when nothing is under way; what follows it needs nothing from before.
 */

/** What a run runs. `machine` is the run machine with its body provided. */
export interface Body {
  readonly machine: AnyStateMachine;
  readonly exits: boolean;
  readonly effects: Readonly<Record<string, Effect>>;
  /** The input of a new beginning, for runs that live long; undefined: not now. */
  readonly continueAs?: ((snapshot: AnyMachineSnapshot) => unknown) | undefined;
}

/** Why a run is not here any more: it rests, and its journal has all of it. */
class Parked extends Error {
  constructor(run: RunId) {
    super(`run ${run} is parked`);
  }
}

interface Look {
  subscribe: (body: AnyActorRef) => { unsubscribe(): void };
  end: { unsubscribe(): void } | undefined;
}

const CONTINUE_AFTER = 1_000;

export interface RunPorts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly report: (error: unknown, where: string) => void;
  /** Called when a run becomes live, before anything happens in it. */
  readonly attach?: (system: { root: AnyActorRef; actors: Iterable<AnyActorRef> }) => void;
  /** Nothing is under way in it but calls in doubt; it may have timers. */
  readonly rests?: (run: Run) => void;
  /** It has ended, or this process has let go of it. */
  readonly over?: (run: Run) => void;
  /** Entries since its last beginning from which a run that can continue does; 1,000 by default. */
  readonly continueAfter?: number;
}

export class Run {
  readonly id: RunId;
  readonly body: Body;
  #beginning: Beginning;
  #system: DurableSystem;
  readonly #ports: RunPorts;
  readonly #pump: Pump;
  readonly #position: Position;
  readonly #calls: Calls;
  #ending = false;
  #held = false;
  #end: Ended | undefined;
  #summary: Summary;
  /** The last of its inbox that is in its journal, or on the way there. */
  #taken = 0;
  /** Who has owned it last, as its journal has it. */
  #owner: string;
  // A run that nobody looks at has none of these.
  #waiters: (() => void)[] | undefined;
  #observers: Set<(entry: Entry) => void> | undefined;
  #looks: Set<Look> | undefined;
  #ended: { promise: Promise<Ended>; resolve: (end: Ended) => void; reject: (error: unknown) => void } | undefined;
  #left: { why: unknown } | undefined;

  constructor(
    id: RunId,
    beginning: Beginning,
    position: Position,
    body: Body,
    ports: RunPorts,
    before: Summary = NO_SUMMARY,
  ) {
    this.id = id;
    this.body = body;
    this.#ports = ports;
    this.#position = position;
    this.#pump = new Pump(id, position, ports, {
      deliver: (group) => this.#deliver(group),
      lost: (error) => this.#lost(error),
      idle: () => this.#idle(),
      report: ports.report,
    });
    this.#calls = new Calls(new Gate(beginning.event.budget), this.#pump, {
      run: id,
      system: () => this.#system,
      stopped: () => this.#stopped,
    });
    this.#summary = before;
    this.#owner = beginning.event.owner;
    this.#beginning = beginning;
    this.#system = this.#begin(beginning, false);
    this.#note(beginning);
  }

  /** Its actors, from this entry on. */
  #begin(beginning: Beginning, live: boolean): DurableSystem {
    this.#beginning = beginning;
    const { input } = beginning.event;
    const again = beginning.type === 'run.continued';
    const system = new DurableSystem(
      this.body.machine,
      { input, exits: this.body.exits },
      this.#host(),
      beginning,
      again ? { body: beginning.event.body - 1 } : {},
    );
    this.#system = system;
    if (again) {
      this.#taken = beginning.event.inbox;
      this.#calls.gate.spent(beginning.event.steps);
      // Whatever it had begun before, it is treated as having begun something that cannot be undone.
      this.#pump.irreversible = true;
    }
    if (live) this.#show();
    if (again) system.deliver(beginning);
    return system;
  }

  get system(): DurableSystem {
    return this.#system;
  }

  /** Who has owned it last, as its journal has it. */
  get owner(): string {
    return this.#owner;
  }

  /** The entry that its actors began with. */
  get beginning(): Beginning {
    return this.#beginning;
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

  /** Undefined when it was not folded from its first entry. */
  get summary(): Summary | undefined {
    return this.#summary.run === '' ? undefined : this.#summary;
  }

  get status(): string {
    return statusOf(this.#system.root);
  }

  /** The body's actor, also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#system.bodyActor;
  }

  /** Calls whose outcome is not known and that somebody must decide. */
  inDoubt(): { call: string; input: unknown }[] {
    return this.#calls.inDoubt();
  }

  /** Rejects when this process has let go of it before its end. */
  get ended(): Promise<Ended> {
    if (this.#ended === undefined) {
      const { promise, resolve, reject } = withResolvers<Ended>();
      promise.catch(() => {});
      this.#ended = { promise, resolve, reject };
      if (this.#end !== undefined) resolve(this.#end);
      else if (this.#left !== undefined) reject(this.#left.why);
    }
    return this.#ended.promise;
  }

  observe(observer: (entry: Entry) => void): () => void {
    const observers = (this.#observers ??= new Set());
    observers.add(observer);
    return () => observers.delete(observer);
  }

  /** To its body. Resolves once it is recorded. @throws ValidationError */
  async send(event: AnyEventObject, cause: string | null): Promise<Ack> {
    const said: Said = { type: 'message.received', target: 'body', event: { event: toEvent(event) }, cause: null };
    return this.#pump.send(said, cause);
  }

  /** The last message of its inbox that it has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** A message from its inbox; one that it has taken before is not taken again. */
  async take(post: Post): Promise<void> {
    if (post.seq <= this.#taken || this.#stopped) return;
    this.#taken = post.seq;
    for (;;)
      try {
        await this.#obey(post.message, causeOf(post));
        return;
      } catch (error) {
        // Its sender has been told that it is recorded: it waits for room, and those behind it wait with it.
        if (!(error instanceof StorageFullError) || this.#stopped) throw error;
      }
  }

  #obey(message: Message, cause: string): Promise<Ack> {
    switch (message.type) {
      case 'send':
        return this.send(message.event, cause);
      case 'resolve':
        return this.#calls.resolve(message.call, message.decision, { cause, seen: message.seen });
    }
  }

  /** Decides a call in doubt: its outcome, or another try. @throws NotFoundError, ValidationError */
  resolve(call: string, decision: Decision): Promise<Ack> {
    return this.#calls.resolve(call, decision, { cause: null, seen: this.#position.seq });
  }

  /** Fold: one recorded entry. @throws ReplayDivergenceError */
  fold(entry: Entry): void {
    this.#system.deliver(entry);
    this.#note(entry);
    if (beginOf(entry)?.attempt === 1) this.#calls.gate.count();
    if (isEnd(entry.type)) {
      if (entry.type === 'run.killed') this.#system.tell({ type: 'troupe.killed' });
      mustEndAs(entry as Ended, this.#system);
      this.#finish(entry as Ended);
    }
  }

  /** The fold is over and this process owns the run: timers are armed, leaves without an end begin. `then` is acknowledged already. */
  goLive(then: readonly Entry[]): void {
    this.#show();
    if (then.length > 0) this.#deliver(then);
    // What fell due while nobody was there comes first: it may end a state whose leaf then need not begin again.
    else if (!this.#fireOverdue()) this.#settle();
    // Nothing is on its way that would say so later.
    if (this.#rests) this.#idle();
  }

  #show(): void {
    this.#ports.attach?.({ root: this.#system.root, actors: Array.from(this.#system.actors(), ([, actor]) => actor) });
    this.#system.goLive();
  }

  #fireOverdue(): boolean {
    const now = this.#ports.clock.now();
    const overdue = Array.from(this.#system.armed()).filter(({ due }) => due <= now);
    overdue.sort((a, b) => a.due - b.due || a.order - b.order);
    for (const deadline of overdue) {
      this.#ports.deadlines.remove(deadline);
      deadline.fire();
    }
    return overdue.length > 0;
  }

  /** Every live actor and the state it is in. */
  states(): { actor: string; state: unknown }[] {
    return [...this.#system.actors()].map(([actor, ref]) => {
      const { value, status } = ref.getSnapshot() as { value?: unknown; status: string };
      return { actor, state: value ?? status };
    });
  }

  /** Nothing can happen by itself: no call is under way but those in doubt, no timer runs, nothing is on its way to the journal. */
  get waits(): boolean {
    return this.#rests && this.#system.armed().next().done === true;
  }

  /** As `waits`, but for its timers. */
  get #rests(): boolean {
    if (this.#stopped || !this.#pump.idle || this.#system.broken) return false;
    return !this.#calls.underWay;
  }

  /** It rests here and nobody looks at it, so that it need not be in memory: when its next timer is due (Infinity: none). */
  get parks(): { due: number } | undefined {
    if (!this.#rests || this.#holds > 0) return undefined;
    let due = Infinity;
    for (const deadline of this.#system.armed()) due = Math.min(due, deadline.due);
    return { due };
  }

  /** Keeps it in memory until the release is called: somebody looks at its actors. */
  hold(): () => void {
    let held = true;
    this.#holds += 1;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      if (this.#rests) this.#ports.rests?.(this);
    };
  }

  /** Somebody looks at its body, also at those that follow a new beginning; until then it stays in memory. */
  look(subscribe: (body: AnyActorRef) => { unsubscribe(): void }): () => void {
    const body = this.bodyActor;
    const look = { subscribe, end: body === undefined ? undefined : subscribe(body) };
    const looks = (this.#looks ??= new Set());
    looks.add(look);
    const release = this.hold();
    return () => {
      look.end?.unsubscribe();
      looks.delete(look);
      release();
    };
  }
  #holds = 0;
  /** When `continueAs` was asked and threw. */
  #asked = 0;

  #idle(): void {
    if (this.#continues()) return;
    if (this.#waiters !== undefined && this.waits) for (const resolve of this.#waiters.splice(0)) resolve();
    if (this.#rests) this.#ports.rests?.(this);
  }

  /** What a new beginning of it says. */
  again(
    { definition, version, chart }: { definition: string; version: string; chart: string },
    input: unknown,
    owner: string = this.#owner,
  ): EntryEvents['run.continued'] {
    const { budget, spec } = this.#beginning.event;
    const { bodies } = this.#system;
    const spent = { inbox: this.#taken, steps: this.#calls.gate.steps };
    return { definition, version, chart, input, owner, budget, spec, body: bodies + 1, ...spent };
  }

  /** R2. */
  #continues(): boolean {
    const { continueAs } = this.body;
    const { event } = this.#beginning;
    const seq = Math.max(this.#beginning.seq, this.#asked);
    if (
      continueAs === undefined ||
      this.#position.seq - seq < (this.#ports.continueAfter ?? CONTINUE_AFTER) ||
      !this.#rests
    )
      return false;
    if (this.inDoubt().length > 0) return false;
    try {
      const input = toData(continueAs(this.bodyActor?.getSnapshot() as AnyMachineSnapshot), 'continueAs');
      if (input === undefined) return false;
      this.#say({ type: 'run.continued', target: 'run', event: this.again(event, input), cause: this.#position.seq });
      return true;
    } catch (error) {
      this.#ports.report(error, `run ${this.id}: continueAs`);
      // Once for each thousand entries, not for each entry.
      this.#asked = this.#position.seq;
      return false;
    }
  }

  /** Resolves when the run only waits; never when it ends first. */
  whenWaiting(): Promise<void> {
    return this.waits ? Promise.resolve() : new Promise((resolve) => (this.#waiters ??= []).push(resolve));
  }

  /** Appends nothing more and begins nothing more; what is under way ends. */
  release(): Promise<void> {
    this.#held = true;
    this.#system.disarm();
    return this.#pump.stop();
  }

  get parked(): boolean {
    return this.#left?.why instanceof Parked;
  }

  /** Leaves memory; it is woken from its journal. */
  park(): void {
    this.abandon(new Parked(this.id));
  }

  /** Stops everything that lives here, recording nothing. */
  abandon(why: unknown): void {
    this.#ending = true;
    this.#system.disarm();
    this.#system.abort();
    this.#system.root.stop();
    this.#left = { why };
    this.#ended?.reject(why);
    this.#ports.over?.(this);
  }

  /** Somebody appended `run.killed`, which fences this owner. */
  killed(entry: EntryOf<'run.killed'>): void {
    this.#ending = true;
    this.#system.disarm();
    this.#system.deliver(entry);
    this.#note(entry);
    this.#system.abort();
    this.#system.tell({ type: 'troupe.killed' });
    this.#publish(entry);
    this.#finish(entry);
  }

  #host(): Host {
    return {
      run: this.id,
      effects: this.body.effects,
      say: (said) => this.#say(said),
      want: (leaf) => this.#calls.want(leaf),
      arm: (timer) => this.#arm(timer),
      disarm: (deadline) => this.#ports.deadlines.remove(deadline),
      report: (error, where) => this.#ports.report(error, `run ${this.id}: ${where}`),
    };
  }

  #say(said: Said): void {
    if (this.#ending) return;
    if (said.type.startsWith('leaf.')) this.#calls.say(said);
    else this.#pump.enqueue(said);
  }

  #arm(timer: Timer): Deadline {
    const fire = (): void => this.#say({ type: 'timer.fired', target: timer.key, event: null, cause: timer.cause });
    return this.#ports.deadlines.add(timer.due, timer.order, `${this.id} ${timer.key}`, fire);
  }

  #deliver(group: readonly Entry[]): void {
    for (const entry of group) {
      if (entry.type === 'run.continued') this.#beginAgain(entry);
      else this.#system.deliver(entry);
      this.#note(entry);
      this.#publish(entry);
      if (isEnd(entry.type)) return this.#finish(entry as Ended);
    }
    this.#settle();
  }

  #beginAgain(entry: EntryOf<'run.continued'>): void {
    this.#system.disarm();
    this.#calls.clear();
    this.#system.root.stop();
    this.#begin(entry, true);
    const body = this.bodyActor;
    for (const look of this.#looks ?? []) {
      look.end?.unsubscribe();
      look.end = body && look.subscribe(body);
    }
  }

  /** What a run keeps besides its system; the same live and in a fold. */
  #note(entry: Entry): void {
    if (this.#summary.run !== '' || entry.type === 'run.created') this.#summary = summarised(this.#summary, entry);
    this.#taken = Math.max(this.#taken, postOf(entry.cause));
    if (entry.type === 'run.recovered') this.#owner = entry.event.owner;
    if (entry.type === 'leaf.started' && entry.event.effect === 'irreversible') this.#pump.irreversible = true;
    this.#calls.note(entry);
  }

  #settle(): void {
    if (this.#stopped) return;
    const { status } = this.#system.root.getSnapshot();
    if (status !== 'active') {
      // What an action threw on the way to the end decides how the run ended.
      if (this.#system.broken) return;
      this.#system.abort();
      this.#ending = true;
      this.#system.disarm();
      this.#pump.enqueue(endOf(this.#system), this.#position.seq);
      return;
    }
    this.#calls.begin();
  }

  /** Nothing begins here any more: the run has ended, or is being taken away. */
  get #stopped(): boolean {
    return this.#ending || this.#held;
  }

  #publish(entry: Entry): void {
    for (const observer of this.#observers ?? []) {
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
    this.#system.disarm();
    void this.#pump.stop();
    this.#ended?.resolve(entry);
    this.#ports.over?.(this);
  }

  #lost(error: unknown): void {
    if (!(error instanceof StaleOwnerError)) this.#ports.report(error, `run ${this.id}: let go of`);
    this.abandon(error);
  }
}

// Promise.withResolvers comes with ES2024.
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
