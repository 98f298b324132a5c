import type { AnyActorRef, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { Journal } from '../src/backend.ts';
import type { Clock, Deadline, Deadlines } from '../src/clock.ts';
import { asFailure, toData, toEvent } from '../src/codec.ts';
import {
  isEnd,
  type Beginning,
  type Budget,
  type Child,
  type Cost,
  type Costs,
  type Effect,
  type Entry,
  type EntryEvents,
  type EntryOf,
  type Spent,
} from '../src/protocol/entry.ts';
import { RESOURCES } from '../src/protocol/amount.ts';
import {
  ClosedError,
  StaleOwnerError,
  StorageFullError,
  TroupeError,
  ValidationError,
  type ErrorCode,
} from '../src/protocol/errors.ts';
import { illegal } from '../src/protocol/lifecycle.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { causeOf, postOf, type Message, type Post } from '../src/protocol/inbox.ts';
import type { Approval } from '../src/protocol/spec.ts';
import { NO_SUMMARY, summarised, type Summary } from '../src/summary.ts';
import { endOf, mustEndAs, statusOf, type Ended } from './end.ts';
import { approvalsIn, decided } from './approvals.ts';
import { Calls, type Outcome } from './calls.ts';
import { Gate } from './gate.ts';
import { Stopwatch } from './stopwatch.ts';
import { DurableSystem, type ChildAsked, type Host, type Said } from './system.ts';
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
  /** What plain sources may cost at most, by name. */
  readonly costs?: Readonly<Record<string, (input: unknown) => Cost>>;
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
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'INVALID_STATE_TRANSITION',
  'NOT_FOUND',
  'NOT_ALLOWED',
  'VALIDATION',
  'BUDGET_EXCEEDED',
]);

export interface Children {
  /** Begins it, or goes on with it. Resolves to its output, rejects with how it failed. */
  run(parent: Run, call: string, input: unknown, asked: ChildAsked): Promise<unknown>;
  /** How it has ended; undefined: it has not. */
  end(child: RunId): Promise<Outcome | undefined>;
  /** Of its budget, by its end. */
  spent(child: RunId): Promise<Spent>;
  /** It lives or rests here, and waits for somebody. */
  waits(child: RunId): boolean;
  /** Kills it. */
  leave(child: RunId, parent: RunId): Promise<void>;
}

export interface RunPorts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly report: (error: unknown, where: string) => void;
  /** The runs that its calls begin. */
  readonly children?: Children;
  /** Nothing may begin in it: a kill that reaches it is under way. */
  readonly off?: (run: Run) => boolean;
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
  #live = false;
  /** A pause is on its way to the journal. */
  #pausing = false;
  #deciding: Promise<void> | undefined;
  /** What was stopped when it was lost, for whoever asks. */
  #stoppedAs: ReturnType<Run['killed']> | undefined;
  /** Runs that it does not need any more and that are being killed. */
  #leaving = 0;
  /** As a fold has found them. */
  #toLeave: Set<Child> | undefined;
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
  #stopwatch: Stopwatch | undefined;
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
    this.#calls = new Calls(new Gate(), this.#pump, {
      run: id,
      system: () => this.#system,
      stopped: () => this.#stopped,
      paused: () => this.#paused,
      canWrapUp: () => this.#system.canWrapUp,
      leave: (child) => this.#leave(child),
      childEnd: async (child) => this.#ports.children?.end(child),
      childSpent: async (child) => this.#ports.children?.spent(child),
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
    // Killed when its machine had ended and that was not on record yet, it was killed.
    return this.#end?.type.slice('run.'.length) ?? statusOf(this.#system.root);
  }

  /** The body's actor, also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#system.bodyActor;
  }

  /** Of its budget; calls under way at what they hold back. */
  get spent(): Spent {
    return this.#calls.gate.spent;
  }

  /** What a kill of it that comes now is to put on record: what its calls have charged that is not, and time. */
  get unsaid(): { costs?: Costs; wallClockMs?: number } {
    return this.#calls.gate.unsaidAt(this.#ports.clock.now());
  }

  /** The budget of a run that this call begins, from what the call holds back for it. */
  childBudget(call: string, asked: Budget | null): Budget | null {
    return this.#calls.gate.childBudget(call, asked);
  }

  /** What the run has spent that this call has begun: to be said before the call ends. */
  childSpent(call: string, spent: Spent): void {
    this.#calls.gate.childSpent(call, spent);
  }

  /** Runs that its calls have begun since its last beginning. */
  get children(): readonly Child[] {
    return this.#calls.children;
  }

  /** Of those, the ones that calls under way wait for. */
  get openChildren(): readonly Child[] {
    return this.#calls.openChildren();
  }

  /** Irreversible calls that have begun and have no recorded end. */
  get outcomesUnknown(): readonly string[] {
    return this.#calls.unknown;
  }

  /** Calls whose outcome is not known and that somebody must decide. */
  inDoubt(): { run: RunId; call: string; input: unknown }[] {
    return this.#calls.inDoubt().map((call) => ({ run: this.id, ...call }));
  }

  /** Calls that wait until somebody approves them. */
  approvals(): Approval[] {
    return approvalsIn(this.#system);
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
        await this.#obeyOrRefuse(post.message, causeOf(post));
        return;
      } catch (error) {
        // Its sender has been told that it is recorded: it waits for room, and those behind it wait with it.
        if (!(error instanceof StorageFullError) || this.#stopped) throw error;
      }
  }

  /** What is refused is on record too: it is not looked at again. */
  async #obeyOrRefuse(message: Message, cause: string): Promise<void> {
    try {
      await this.obey(message, cause);
    } catch (error) {
      if (!(error instanceof TroupeError) || !REFUSALS.has(error.code) || this.#stopped) throw error;
      const event = { type: message.type, error: asFailure(error), by: message.by };
      await this.#pump.send({ type: 'message.refused', target: 'run', event, cause: null }, cause);
    }
  }

  /**
   * What is asked of it by whom. Resolves once it is recorded. `cause`: its place in the inbox, if that is where it comes from.
   * @throws InvalidStateTransitionError, NotFoundError, NotAllowedError, ValidationError
   */
  async obey(message: Message, cause?: string): Promise<Ack> {
    const { by } = message;
    const record = (said: Said): Promise<Ack> => this.#pump.send(said, cause ?? null);
    switch (message.type) {
      case 'send': {
        const event = { event: toEvent(message.event), by };
        return this.#pump.send(
          { type: 'message.received', target: 'body', event, cause: null },
          cause ?? message.cause,
        );
      }
      case 'resolve': {
        // What lives here is looked at as it is now.
        const seen = cause === undefined ? this.#position.seq : message.seen;
        return this.#calls.resolve(message.call, message.decision, { by, cause: cause ?? null, seen });
      }
      case 'approve':
      case 'deny':
        return this.#inTurn(() => record(decided(this.id, this.#system, message)));
      case 'pause':
        return this.#inTurn(async () => {
          this.#must('pause');
          // What asks from now on comes after it.
          this.#pausing = true;
          const event = { reason: message.reason, by };
          return record({ type: 'run.paused', target: 'run', event, cause: null }).finally(() => {
            this.#pausing = false;
            this.goOn();
          });
        });
      case 'resume':
        return this.#inTurn(async () => {
          this.#must('resume');
          const budget = message.budget && this.#larger(message.budget);
          return record({ type: 'run.resumed', target: 'run', event: { by, budget }, cause: null });
        });
      case 'checkpoint':
        return record({ type: 'checkpoint', target: 'run', event: { label: message.label, by }, cause: null });
      case 'childEnded':
        return this.#calls.childEnded(message.call, cause ?? null);
    }
  }

  /** One decision is asked for when the one before is delivered, so that it is judged by what holds then. */
  #inTurn(decide: () => Promise<Ack>): Promise<Ack> {
    const decided = this.#deciding === undefined ? decide() : this.#deciding.then(decide);
    const settled = decided.then(
      () => {},
      () => {},
    );
    this.#deciding = settled;
    void settled.then(() => {
      if (this.#deciding === settled) this.#deciding = undefined;
    });
    return decided;
  }

  /** What is named replaces what it has. A run that works for a call holds no more than the call has reserved for it. @throws ValidationError */
  #larger(asked: Budget): Budget {
    const { parent, budget: begun } = this.#beginning.event;
    const over = parent === null ? undefined : RESOURCES.find((one) => (asked[one] ?? 0) > (begun?.[one] ?? Infinity));
    if (over === undefined) return { ...this.#calls.gate.budget, ...asked };
    throw new ValidationError(
      `Run ${this.id} works for ${parent?.call} of run ${parent?.run}, which holds back ${begun?.[over]} ${over} for it: it cannot go on with ${asked[over]}. Resume it within that, or kill it and give its childRun a larger budget.`,
      { run: this.id, path: `budget.${over}`, limit: begun?.[over] },
    );
  }

  /** @throws InvalidStateTransitionError */
  #must(command: 'pause' | 'resume'): void {
    const snapshot = this.#system.root.getSnapshot() as AnyMachineSnapshot;
    if (snapshot.can({ type: `troupe.${command}` })) return;
    throw illegal(this.id, this.status, command);
  }

  /** Fold: one recorded entry. @throws ReplayDivergenceError */
  fold(entry: Entry): void {
    this.#system.deliver(entry);
    this.#note(entry);
    if (isEnd(entry.type)) {
      if (entry.type === 'run.killed') this.#system.tell({ type: 'troupe.killed' });
      mustEndAs(entry as Ended, this.#system);
      this.#finish(entry as Ended);
    }
  }

  /** The fold is over and this process owns the run: timers are armed, leaves without an end begin. `then` is acknowledged already. */
  goLive(then: readonly Entry[]): void {
    this.#live = true;
    for (const child of this.#toLeave ?? []) this.#leave(child);
    this.#toLeave = undefined;
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

  /** It waits for somebody: no call is under way but those in doubt, nothing is on its way to the journal, and no timer runs but for approvals. */
  get waits(): boolean {
    const { children } = this.#ports;
    if (!this.#rests || this.openChildren.some(({ run }) => children?.waits(run) !== true)) return false;
    return this.#system.armed().next().done === true || this.approvals().length > 0;
  }

  /** As `waits`, but for its timers. */
  get #rests(): boolean {
    if (this.#stopped || !this.#pump.idle || this.#system.broken || this.#leaving > 0) return false;
    return !this.#calls.underWay;
  }

  /** It rests here and nobody looks at it, so that it need not be in memory: when its next timer is due (Infinity: none). */
  get parks(): { due: number } | undefined {
    if (!this.#rests || this.#holds > 0) return undefined;
    let due = this.#calls.gate.dueMs ?? Infinity;
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
    this.reconsider();
    if (this.#rests) this.#ports.rests?.(this);
  }

  /** What a new beginning of it says. */
  again(
    { definition, version, chart }: { definition: string; version: string; chart: string },
    input: unknown,
    owner: string = this.#owner,
  ): EntryEvents['run.continued'] {
    const { bodies } = this.#system;
    const { spent, budget } = this.#calls.gate;
    const changed = { definition, version, chart, input, owner, body: bodies + 1, inbox: this.#taken, spent, budget };
    return { ...this.#beginning.event, ...changed };
  }

  /** R2. */
  #continues(): boolean {
    const { continueAs } = this.body;
    const { event } = this.#beginning;
    const seq = Math.max(this.#beginning.seq, this.#asked);
    if (
      continueAs === undefined ||
      this.#position.seq - seq < (this.#ports.continueAfter ?? CONTINUE_AFTER) ||
      !this.#rests ||
      // A new body would not know that it is paused, or in its last turn.
      this.status !== 'running'
    )
      return false;
    if (this.openChildren.length > 0 || this.#system.calls) return false;
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
    this.#disarm();
    return this.#pump.stop();
  }

  /** Somebody else has taken it. */
  get lost(): boolean {
    return this.#left?.why instanceof StaleOwnerError;
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
    // Whoever still knows it is refused.
    void this.#pump.stop();
    this.#disarm();
    if (why instanceof StaleOwnerError) this.#stoppedAs = this.#stopping();
    this.#system.abort();
    this.#system.root.stop();
    this.#left = { why };
    this.#ended?.reject(why);
    this.#ports.over?.(this);
  }

  /** Somebody appended `run.killed`, which fences this owner. What stopped, and what of it goes on until it has ended. */
  killed(entry: EntryOf<'run.killed'>): { actor: string; state: unknown; work: Promise<void> | undefined }[] {
    // It has stopped already.
    if (this.#end !== undefined || this.#left !== undefined) return this.#stoppedAs ?? [];
    this.#ending = true;
    this.#disarm();
    const stopped = this.#stopping();
    this.#system.deliver(entry);
    this.#note(entry);
    this.#system.tell({ type: 'troupe.killed' });
    this.#publish(entry);
    this.#finish(entry);
    return stopped;
  }

  #stopping(): { actor: string; state: unknown; work: Promise<void> | undefined }[] {
    const working = new Map(this.#system.working);
    return this.states().map((one) => ({ ...one, work: working.get(one.actor) }));
  }

  #host(): Host {
    return {
      run: this.id,
      origins: this.#beginning.event.origins,
      effects: this.body.effects,
      costs: this.body.costs ?? {},
      charge: (call, cost) => this.#calls.charge(call, cost),
      say: (said) => this.#say(said),
      want: (leaf) => this.#calls.want(leaf),
      arm: (timer) => this.#arm(timer),
      disarm: (deadline) => this.#ports.deadlines.remove(deadline),
      report: (error, where) => this.#ports.report(error, `run ${this.id}: ${where}`),
      child: (call, input, asked) => {
        const { children } = this.#ports;
        if (children !== undefined) return children.run(this, call, input, asked);
        throw new ClosedError(`Run ${this.id} can begin no runs here.`, { run: this.id });
      },
    };
  }

  /** A run that it has begun waits, too. */
  reconsider(): void {
    if (this.#waiters !== undefined && this.waits) for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** What held it back may hold it no more. */
  goOn(): void {
    if (this.#live && !this.#stopped && this.#pump.idle) this.#calls.begin();
  }

  /** Nothing begins for now: it is paused, or all that is like it is switched off and it is about to be killed. */
  get #paused(): boolean {
    return this.#pausing || this.status === 'paused' || this.#ports.off?.(this) === true;
  }

  /** A call that had begun a run was left. In a fold that is done once it is live: it may have been done before. */
  #leave(child: Child): void {
    const { children, report } = this.#ports;
    if (!this.#live) return void (this.#toLeave ??= new Set()).add(child);
    if (children === undefined) return;
    this.#leaving += 1;
    children
      .leave(child.run, this.id)
      .catch((error: unknown) => report(error, `run ${this.id}: killing ${child.run}, which it does not need any more`))
      .finally(() => {
        this.#leaving -= 1;
        if (this.#rests) this.#idle();
      });
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
    this.#disarm();
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
    if (isEnd(entry.type)) this.#end = entry as Ended;
    this.#taken = Math.max(this.#taken, postOf(entry.cause));
    if (entry.type === 'run.recovered' || entry.type === 'run.forked') this.#owner = entry.event.owner;
    if (entry.type === 'leaf.started' && entry.event.effect === 'irreversible') this.#pump.irreversible = true;
    this.#calls.note(entry);
  }

  /** What has a limit in time rings when that is over, though nothing else happens. */
  #watchTime(): void {
    const { dueMs } = this.#calls.gate;
    if (dueMs === undefined && this.#stopwatch === undefined) return;
    this.#stopwatch ??= new Stopwatch(this.#ports.deadlines, `${this.id} budget`, () => this.#calls.timeIsUp());
    this.#stopwatch.set(dueMs);
  }

  /** Nothing rings here any more. */
  #disarm(): void {
    this.#system.disarm();
    this.#stopwatch?.stop();
  }

  #settle(): void {
    if (this.#stopped) return;
    const { status } = this.#system.root.getSnapshot();
    if (status !== 'active') {
      // What an action threw on the way to the end decides how the run ended.
      if (this.#system.broken) return;
      this.#system.abort();
      this.#ending = true;
      this.#disarm();
      const end = endOf(this.#system);
      const { costs } = this.#calls.gate;
      if (costs !== undefined) end.event.costs = costs;
      this.#pump.enqueue(end, this.#position.seq);
      return;
    }
    this.#watchTime();
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
    this.#disarm();
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
