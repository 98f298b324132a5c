import type { AnyActorLogic, AnyActorRef, AnyEventObject, AnyStateMachine } from 'xstate';
import type { Deadline } from '../src/clock.ts';
import { asFailure, encode, thrown, toData, toEvent } from '../src/codec.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import type {
  Budget,
  Cost,
  Effect,
  Entry,
  EntryEvents,
  EntryOf,
  EntryType,
  Limits,
  Origin,
} from '../src/protocol/entry.ts';
import { BudgetExceededError, ClosedError, ReplayDivergenceError, ValidationError } from '../src/protocol/errors.ts';
import { costOf, limitsOf } from '../src/protocol/amount.ts';
import type { CallEnd } from '../src/protocol/exit.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { takerOf } from '../src/protocol/origin.ts';
import * as xstate from './durable.ts';
import { Timers, type Alarm } from './timers.ts';

/**
 * A run's actor system, driven by its journal.
 *
 * Owner: one run. Border: `say` (what came in from outside), `want` (a leaf that may begin), `arm` / `disarm` (timers), `deliver`.
 *
 * S1. What comes from outside is said, not delivered; it comes back by `deliver`. What machines say to each other passes: it is derived.
 * S2. While folding nothing outside is touched: custom actions are skipped, leaves are wanted but not begun, timers are kept but not
 *     armed, and sends from outside are not heard.
 * S3. Keys are derived: parent's key, source's name, ordinal there. The same entries give the same keys.
 * S4. After an action has thrown, its actor does nothing more until `action.failed` has put it in error.
 */

export interface Leaf {
  readonly key: string;
  readonly source: string;
  readonly actor: AnyActorRef;
  readonly policy: LeafPolicy;
  /** As recorded: actor references stand in it as their keys. */
  readonly input: unknown;
  /** The seq whose delivery wanted it. */
  readonly cause: number;
  /** As declared, or on record: a begin that was recorded as irreversible stays so, whatever the definition says now. */
  effect: Effect;
  /** How many times its begin is on record. */
  attempts: number;
  /** Its outcome has been said, or its state was left. */
  over: boolean;
  /** Runs in this process. */
  begun: boolean;
  /** Begun by an owner that is gone; its outcome is not known. */
  interrupted: boolean;
  /** What the gate has given, a place in the line too; given back when the leaf is over. */
  admission: Admission | undefined;
}

/** What a leaf's logic says of itself; anything else is `idempotent` or what the definition says. */
export interface LeafPolicy {
  effect: Effect;
  /** Of a tool's call: which tool's, and the how manieth try it is. In a run's last turn none may begin. */
  tool?: {
    id: string;
    attempt: (leaf: Leaf) => number;
    /** Whether it could have given this output. */
    accepts?: (output: unknown) => boolean;
  };
  /**
   * What it may cost besides its step and the tool call that it is: held back until it has ended; for a run that it begins, all that this
   * may spend. `left`: of what is limited. May throw: refused.
   */
  costs?: (leaf: Leaf, left: () => Limits) => Limits;
  /** It begins a run; that may be only once its intent is on record. */
  child?: { definition: string };
  /** Asked by the gate before each begin. May throw: refused. */
  admit?: (leaf: Leaf) => Admission | undefined;
}

/** Room for one call, or a place in the line for it. */
export interface Admission {
  /** Resolves when the call may begin, rejects when it is refused; undefined: it may begin at once. */
  readonly turn: Promise<void> | undefined;
  /** Gives it back and says how the call ended. The first time counts. */
  release(ended: CallEnd): void;
}

/** Something that came in. */
export type Said<T extends EntryType = EntryType> = {
  [K in T]: { type: K; target: string; event: EntryEvents[K]; cause: number | null };
}[T];

export interface Host extends Alarm {
  readonly run: RunId;
  readonly origins: readonly Origin[];
  readonly effects: Readonly<Record<string, Effect>>;
  say(said: Said): void;
  want(leaf: Leaf): void;
  /** A call says that it has cost so much more. @throws ValidationError, BudgetExceededError */
  charge(call: string, cost: Cost): void;
  /** What plain sources may cost, by name. */
  readonly costs: Readonly<Record<string, (input: unknown) => Cost>>;
  /** Something of the user's threw where nobody listens. */
  report(error: unknown, where: string): void;
  /** How the run that a call has begun ends; it is begun if it is not there. Rejects with how it failed. */
  child(call: string, input: unknown, asked: ChildAsked): Promise<unknown>;
}

/** What a call wants a run of. */
export interface ChildAsked {
  definition: AnyDefinition;
  budget: Budget | null;
  /** The call does not want to know any more. */
  signal: AbortSignal;
}

interface OwnLeaf extends Leaf {
  /** What machines sent it before it began. */
  readonly mailbox: AnyEventObject[];
  readonly recorded: unknown[];
  beginning: boolean;
  broken: boolean;
}
interface Node {
  readonly key: string;
  readonly system: DurableSystem;
  readonly actor: AnyActorRef;
  readonly parent: Node | undefined;
  leaf: OwnLeaf | undefined;
  /** S4. */
  broken: boolean;
}
const nodeOf = (actor: AnyActorRef): Node | undefined => xstate.ownOf(actor) as Node | undefined;
const policies = new WeakMap<AnyActorLogic, LeafPolicy>();

/** Declares what a leaf's logic does to the world. */
export function declareLeaf<L extends AnyActorLogic>(logic: L, policy: LeafPolicy): L {
  policies.set(logic, policy);
  return logic;
}

/** What a source had emitted before a crash, in order; a source that skips these repeats nothing. */
export const recorded = (self: AnyActorRef): readonly unknown[] => nodeOf(self)?.leaf?.recorded ?? [];

/** Run and key of an actor; in what a fork has from another run, that run. Outside a run the run is '' and the key XState's own session id. */
export function addressOf(self: AnyActorRef): { run: RunId | ''; key: string } {
  const node = nodeOf(self);
  return node === undefined ? { run: '', key: self.sessionId } : { run: node.system.run, key: node.key };
}

/** A kill's receipt waits for it: an actor's promise may go on after its signal was aborted. */
export function tracked<T>(self: AnyActorRef, work: Promise<T>): Promise<T> {
  const node = nodeOf(self);
  node?.system.work(node.key, work);
  return work;
}

/** The run that a call of `self` begins, in the troupe whose run `self` is of. */
export function childOf(self: AnyActorRef, input: unknown, asked: ChildAsked): Promise<unknown> {
  const node = nodeOf(self);
  if (node !== undefined) return node.system.host.child(node.key, input, asked);
  throw new ValidationError(`A child run of ${asked.definition.name} can begin only within a run of a troupe.`, {
    definition: asked.definition.name,
  });
}

/**
 * For a plain source: what its call has cost, as it learns of it; the sum is what it has cost. Outside a run nobody counts.
 * @throws BudgetExceededError: it has cost that all the same; ClosedError when the call has ended, ValidationError
 */
export function charge(self: AnyActorRef, cost: Cost): void {
  const node = nodeOf(self);
  if (node === undefined) return;
  if (node.leaf?.over !== false)
    throw new ClosedError(`${node.key} has ended, or is no call: what it charges now is not counted.`, {
      call: node.key,
    });
  node.system.host.charge(node.key, cost);
}

/** The address of the machine that a leaf works for. */
export const callOf = (self: AnyActorRef): ReturnType<typeof addressOf> => addressOf(xstate.parentOf(self) ?? self);

const escapeSource = (name: string): string => name.replace(/[%/:@]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
const EARLIER_BODY = /^body(?::(\d+))?(?=[/@]|$)/;
const isBroken = ({ broken, parent }: Node): boolean => broken || (parent !== undefined && isBroken(parent));
const numbered = (name: string, ordinal: number): string => (ordinal === 1 ? name : `${name}:${ordinal}`);

export class DurableSystem implements xstate.Hooks {
  readonly host: Host;
  readonly root: AnyActorRef;
  readonly #relay: xstate.Hooks['relay'];
  /** The journal's time: moves only when an entry is delivered. */
  #now: number;
  #seq: number;
  #delivering = false;
  #folding = true;
  readonly #nodes = new Map<string, Node>();
  /** Those of them that are leaves, in the order they were wanted. */
  readonly #leaves = new Set<OwnLeaf>();
  readonly #ordinals = new Map<string, number>();
  /** Few runs have any. */
  #timers: Timers | undefined;
  #bodyActor: AnyActorRef | undefined;
  #working: Map<string, Promise<void>> | undefined;
  #breaks = 0;
  #lateFailure: { error: unknown } | undefined;

  /** Key of the body. */
  readonly body: string;
  /** How many bodies the run has had, this one included. */
  readonly bodies: number;

  /** `since`: the entry it begins with; `before`: how many of a name there were before that. */
  constructor(
    machine: AnyStateMachine,
    input: unknown,
    host: Host,
    since: { at: number; seq: number },
    before: { body?: number } = {},
  ) {
    this.host = host;
    this.#now = since.at;
    this.#seq = since.seq;
    const { body = 0 } = before;
    this.bodies = body + 1;
    this.body = numbered('body', this.bodies);
    if (body > 0) this.#ordinals.set('body', body);
    const { root, relay } = xstate.startSystem(machine, input, this);
    this.root = root;
    this.#relay = relay;
  }

  /** Whose run took what is being delivered: of a fork, up to where it was forked, the one that it comes from. */
  get run(): RunId {
    return takerOf(this.host.run, this.host.origins, this.#seq);
  }

  actor(key: string): AnyActorRef | undefined {
    return this.#node(key)?.actor;
  }

  /** Also after its end. */
  get bodyActor(): AnyActorRef | undefined {
    return this.#bodyActor;
  }

  /** Live actors by key, parents before children. */
  *actors(): Iterable<[key: string, actor: AnyActorRef]> {
    for (const [key, { actor }] of this.#nodes) if (!xstate.isStopped(actor)) yield [key, actor];
  }

  /** Leaves that are not over, in the order they were wanted. */
  *leaves(): Iterable<Leaf> {
    for (const leaf of this.#leaves) if (!leaf.over && xstate.isRunning(leaf.actor)) yield leaf;
  }

  /** Whether the call of that key could have given this output, as far as its declaration tells. */
  accepts(key: string, output: unknown): boolean {
    return this.#node(key)?.leaf?.policy.tool?.accepts?.(output) ?? true;
  }

  /** True for a key that an actor or timer has or had. */
  knows(key: string): boolean {
    const body = EARLIER_BODY.exec(key);
    if (body !== null && Number(body[1] ?? 1) < this.bodies) return true;
    const [, name = '', ordinal] = /^(.*?)(?::(\d+))?$/s.exec(key) ?? [];
    return key === 'run' || (this.#ordinals.get(name) ?? 0) >= Number(ordinal ?? 1);
  }

  /** The body knows of a last turn. */
  get canWrapUp(): boolean {
    const logic = this.#bodyActor && xstate.logicOf(this.#bodyActor);
    return logic !== undefined && xstate.isMachine(logic) && logic.events.includes('troupe.wrapUp');
  }

  /** What an action of the body threw in the transition that ended it: the run fails with it. */
  get lateFailure(): { error: unknown } | undefined {
    return this.#lateFailure;
  }

  /** An action has thrown and that is not delivered yet. */
  get broken(): boolean {
    return this.#breaks > 0;
  }

  /** The fold is over: timers are armed, and what has no recorded end is wanted. */
  goLive(): void {
    this.#folding = false;
    for (const leaf of this.leaves()) this.host.want(leaf);
    this.#timers?.goLive();
  }

  /** Runs a leaf's own `start`, then hands it what machines have sent it meanwhile. */
  begin({ key }: Leaf): void {
    const leaf = this.#node(key)?.leaf;
    if (leaf === undefined) return;
    leaf.begun = true;
    leaf.interrupted = false;
    leaf.beginning = true;
    try {
      xstate.begin(leaf.actor);
    } catch (error) {
      this.#breakOff(leaf, error);
    }
    leaf.beginning = false;
    // What it said while it began could not be kept; only now is there something to dispose of.
    if (leaf.broken) this.#dispose(leaf);
    for (const event of leaf.mailbox.splice(0)) xstate.push(leaf.actor, event);
  }

  /** Timers that will ring. */
  *armed(): Generator<Deadline> {
    if (this.#timers !== undefined) yield* this.#timers.armed();
  }

  /** When its next timer is due, also while folding; Infinity: it has none. */
  get due(): number {
    return this.#timers?.due ?? Infinity;
  }

  disarm(): void {
    this.#timers?.disarm();
  }

  /** An event for the run machine that is not in the journal. */
  tell(event: AnyEventObject): void {
    this.#relay(undefined, this.root, event);
  }

  /** Stops all but its root, children first; XState does not reach the children of an actor that has thrown. */
  abort(): void {
    for (const { actor } of Array.from(this.#nodes.values()).reverse()) if (actor !== this.root) xstate.halt(actor);
  }

  /** Some tool's call is under way, if only in backing off, in waiting for approval or in doubt; or a plain call is in doubt. */
  get calls(): boolean {
    for (const [, actor] of this.actors()) {
      const logic = xstate.logicOf(actor);
      if (xstate.isMachine(logic) && logic.events.includes('troupe.admitted')) return true;
    }
    for (const { attempts } of this.leaves()) if (attempts > 0) return true;
    return false;
  }

  /** What an actor does goes on until this has ended, also after the actor was told to stop. */
  work(key: string, done: Promise<unknown>): void {
    const ended = done.then(
      () => {},
      () => {},
    );
    const working = (this.#working ??= new Map());
    working.set(key, ended);
    void ended.then(() => {
      if (working.get(key) === ended) working.delete(key);
    });
  }

  /** What has not ended yet, by the actor whose it is. */
  get working(): ReadonlyMap<string, Promise<void>> | undefined {
    return this.#working;
  }

  /** @throws ReplayDivergenceError when the entry does not fit the machines */
  deliver(entry: Entry): void {
    this.#now = entry.at;
    this.#seq = entry.seq;
    this.#delivering = true;
    try {
      this.#apply(entry);
    } finally {
      this.#delivering = false;
    }
  }

  #apply(entry: Entry): void {
    switch (entry.type) {
      case 'run.created':
      case 'run.completed':
      case 'run.failed':
      case 'message.refused':
      case 'checkpoint':
        return;
      case 'run.started':
      case 'run.continued':
        return this.tell({ type: 'troupe.start' });
      case 'run.recovered':
        return this.#interrupt();
      case 'run.forked':
        this.#interrupt();
        for (const [, actor] of Array.from(this.actors())) this.#inform(actor, { type: 'troupe.forked' });
        return;
      case 'run.paused':
        return this.tell({ type: 'troupe.pause' });
      case 'run.resumed':
        return this.tell({ type: 'troupe.resume' });
      case 'run.killed':
        this.abort();
        return this.tell({ type: 'troupe.kill', reason: entry.event.reason });
      case 'budget.exceeded':
        return this.tell({
          type: 'troupe.budgetExceeded',
          error: asFailure(exceeded(entry.event)),
          onExhausted: entry.event.onExhausted,
        });
      case 'message.received':
        return this.#to(entry, ({ actor }) => this.#pass(undefined, actor, entry.event.event));
      case 'action.failed':
        return this.#actionFailed(entry);
      case 'timer.fired':
        return this.#fired(entry);
      case 'leaf.abandoned':
        // Live it has stopped by now; in a fold what stopped it may be that its run was about to end.
        return this.#to(entry, ({ actor }) => xstate.stop(actor));
      case 'leaf.started':
        return this.#to(entry, (node) => this.#started(node, entry));
      case 'leaf.emitted':
        return this.#to(entry, (node) => this.#emitted(node, entry.event.event as xstate.Emission));
      case 'leaf.succeeded':
        return this.#to(entry, (node) => {
          // A chart that waits for the begin of its attempt need not hear of it: the attempt is over.
          if (entry.event.begun !== undefined) this.#begun(node, entry.event.begun, entry);
          this.#finish(node);
          xstate.end(node.actor, { status: 'done', output: entry.event.output }, entry.type);
        });
      case 'leaf.failed':
        return this.#to(entry, (node) => {
          this.#finish(node);
          xstate.end(node.actor, { status: 'error', error: entry.event.error }, entry.type);
        });
    }
  }

  // What XState asks of us (xstate.Hooks).

  adopt(actor: AnyActorRef, parentRef: AnyActorRef | undefined): void {
    const parent = parentRef && nodeOf(parentRef);
    const source = typeof actor.src === 'string' ? actor.src : '(inline)';
    const key =
      parent === undefined
        ? 'run'
        : this.#ordinal(`${parent.parent === undefined ? '' : `${parent.key}/`}${escapeSource(source)}`);
    const node: Node = { key, system: this, actor, parent, leaf: undefined, broken: false };
    xstate.setOwn(actor, node);
    this.#nodes.set(key, node);
    if (key === this.body) this.#bodyActor = actor;
    const logic = xstate.logicOf(actor);
    if (!xstate.isLeaf(logic)) return;
    const { kept, given } = leafInput(xstate.inputOf(actor));
    const policy = policies.get(logic) ?? this.#policyOf(source);
    node.leaf = {
      key,
      source,
      actor,
      policy,
      effect: policy.effect,
      input: kept,
      cause: this.#seq,
      attempts: 0,
      over: false,
      begun: false,
      interrupted: false,
      mailbox: [],
      recorded: [],
      beginning: false,
      broken: false,
      admission: undefined,
    };
    this.#leaves.add(node.leaf);
    xstate.makeLeaf(actor, given);
  }

  #policyOf(source: string): LeafPolicy {
    const effect = this.host.effects[source] ?? 'idempotent';
    const cost = this.host.costs[source];
    return cost === undefined
      ? { effect }
      : { effect, costs: ({ input }) => limitsOf(costOf(cost(input), `cost of ${source}`)) };
  }

  gone(actor: AnyActorRef): void {
    const node = nodeOf(actor);
    if (node !== undefined) this.#drop(node);
  }

  relay(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const from = source && nodeOf(source);
    if (source === undefined || from === undefined) return this.#hear(target, event);
    const { leaf } = from;
    if (leaf === undefined) {
      if (xstate.hasFailed(source)) this.#stopChildren(from);
      // A body has no parent to talk to: the run machine hears its end, and commands from the journal alone.
      if (target === this.root && !event.type.startsWith('xstate.')) return;
      return this.#pass(source, target, event);
    }
    const saying = xstate.understand(source, target, event);
    if (saying.type === 'derived') return this.#pass(source, target, event);
    if (leaf.over || this.#folding) return;
    try {
      this.#leafSays(leaf, saying, target, event);
    } catch (error) {
      // It said something that cannot be kept.
      this.#breakOff(leaf, error);
    }
  }

  act(actor: AnyActorRef, action: () => unknown): void {
    const node = nodeOf(actor);
    if (this.#folding || node === undefined || node.broken) return;
    const failed = (error: unknown): void => {
      node.broken = true;
      this.#breaks += 1;
      this.#say({ type: 'action.failed', target: node.key, event: { error: thrown(error) }, cause: this.#seq });
    };
    try {
      const result = action();
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  leafStarts(actor: AnyActorRef): void {
    const node = nodeOf(actor);
    if (node?.leaf !== undefined && !this.#folding && !isBroken(node)) this.host.want(node.leaf);
  }

  leafStops(actor: AnyActorRef): boolean {
    const node = nodeOf(actor);
    if (node?.leaf === undefined) return false;
    const { over, begun, attempts, key } = node.leaf;
    if (!over && (begun || attempts > 0))
      this.#say({ type: 'leaf.abandoned', target: key, event: null, cause: this.#seq });
    this.#finish(node);
    return begun;
  }

  leafThrew(actor: AnyActorRef, error: unknown, stopping: boolean): void {
    const node = nodeOf(actor);
    if (node?.leaf === undefined) return;
    if (!node.leaf.begun) return;
    if (stopping) this.host.report(error, `stopping '${node.key}'`);
    else this.#breakOff(node.leaf, error);
  }

  schedule(
    source: AnyActorRef,
    target: AnyActorRef,
    event: AnyEventObject,
    delay: number,
    id: string | undefined,
  ): void {
    const from = nodeOf(source);
    if (from === undefined) return;
    const key = this.#ordinal(`${from.key}@${escapeSource(event.type)}`);
    // NaN is what `setTimeout` takes for 0; Infinity never comes.
    const due = this.#now + Math.max(0, Number.isNaN(delay) ? 0 : delay);
    this.#timers ??= new Timers(this.host, !this.#folding);
    this.#timers.add({ key, due, cause: this.#seq, source, target, event, id });
  }

  cancel(source: AnyActorRef, id: string): void {
    this.#timers?.cancel(source, id);
  }

  cancelAll(source: AnyActorRef): void {
    this.#timers?.cancelAll(source);
  }

  // What comes in.

  #leafSays(
    leaf: OwnLeaf,
    saying: Exclude<xstate.Saying, { type: 'derived' }>,
    target: AnyActorRef,
    event: AnyEventObject,
  ): void {
    switch (saying.type) {
      case 'succeeded':
        return this.#outcome(leaf, {
          type: 'leaf.succeeded',
          target: leaf.key,
          event: { output: toData(saying.output, 'output') },
          cause: null,
        });
      case 'failed':
        return this.#outcome(leaf, {
          type: 'leaf.failed',
          target: leaf.key,
          event: { error: thrown(saying.error) },
          cause: null,
        });
      case 'emitted':
        return this.#say({
          type: 'leaf.emitted',
          target: leaf.key,
          event: { event: toData(saying.emission, 'emission') },
          cause: null,
        });
      case 'sent':
        return this.#hear(target, event);
    }
  }

  #outcome(leaf: OwnLeaf, said: Said<'leaf.succeeded' | 'leaf.failed'>): void {
    if (leaf.over) return;
    leaf.over = true;
    leaf.admission?.release(
      said.type === 'leaf.failed' ? { status: 'failed', error: said.event.error } : { status: 'succeeded' },
    );
    this.#say(said);
  }

  /** It has failed without knowing it: its own logic still runs and is told to stop. */
  #breakOff(leaf: OwnLeaf, error: unknown): void {
    this.#outcome(leaf, { type: 'leaf.failed', target: leaf.key, event: { error: thrown(error) }, cause: null });
    leaf.broken = true;
    if (!leaf.beginning) this.#dispose(leaf);
  }

  #dispose(leaf: OwnLeaf): void {
    leaf.begun = false;
    try {
      xstate.dispose(leaf.actor);
    } catch (second) {
      this.host.report(second, `stopping '${leaf.key}'`);
    }
  }

  /** An event from outside. Its sender is told at once when it cannot be kept. */
  #hear(target: AnyActorRef, event: AnyEventObject): void {
    if (this.#folding) return;
    const to = nodeOf(target);
    if (to?.system !== this) return target.send(event as never);
    const data = toEvent(event);
    // Sent by an action: the entry that is being delivered led to it. Sent by anybody else: nobody knows.
    const cause = this.#delivering ? this.#seq : null;
    this.#say({ type: 'message.received', target: to.key, event: { event: data }, cause });
  }

  #say(said: Said): void {
    if (!this.#folding) this.host.say(said);
  }

  #pass(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const to = nodeOf(target);
    if (to?.system !== this) {
      if (!this.#folding) target.send(event as never);
      return;
    }
    if (to.leaf === undefined || to.leaf.begun) return this.#relay(source, target, event);
    // A logic of its own may keep in its state what it hears; others make nothing of it before they have begun.
    if (this.#folding) this.#relay(source, target, event);
    // It hears when it begins. What a callback heard before a crash it does not hear again.
    else if (!to.leaf.over) to.leaf.mailbox.push(event);
  }

  // Entries.

  /** To an actor that has stopped since, an entry is a recorded no-op; to one that never was, it is divergence. */
  #to(entry: Entry, then: (node: Node) => void): void {
    // A message is for the body that is there when it comes.
    const key = entry.type === 'message.received' && entry.target === 'body' ? this.body : entry.target;
    const node = this.#node(key);
    if (node !== undefined) then(node);
    else this.#mustKnow(entry);
  }

  #mustKnow(entry: Entry): void {
    if (this.knows(entry.target)) return;
    throw this.#diverged(entry, `an actor or timer '${entry.target}'`, Array.from(this.#nodes.keys()).slice(-10));
  }

  #diverged(entry: Entry, expected: unknown, got: unknown): ReplayDivergenceError {
    const { run } = this.host;
    return new ReplayDivergenceError(
      `Run ${run}: entry ${entry.seq} (${entry.type} for '${entry.target}') does not fit this machine: the journal has ${show(expected)}, the machine ${show(got)}. Nothing was executed; run it with the definition that wrote it.`,
      { run, seq: entry.seq, expected, got },
    );
  }

  #started(node: Node, entry: EntryOf<'leaf.started'>): void {
    this.#begun(node, entry.event, entry);
    const { attempt } = entry.event;
    this.#tellParent(node, { type: 'troupe.admitted', call: node.key, attempt });
  }

  #begun({ leaf }: Node, { attempt, input, effect }: EntryEvents['leaf.started'], entry: Entry): void {
    if (leaf === undefined) throw this.#diverged(entry, 'a call', 'a machine');
    leaf.attempts = attempt;
    if (effect === 'irreversible') leaf.effect = effect;
    leaf.interrupted = false;
    if (this.#folding && Buffer.compare(encode(input), encode(leaf.input)) !== 0)
      throw this.#diverged(entry, input, leaf.input);
  }

  #emitted({ leaf, actor }: Node, emission: xstate.Emission): void {
    if (leaf === undefined) return;
    const { target, event } = xstate.emissionOf(actor, emission);
    if (this.#folding) leaf.recorded.push('data' in emission ? emission.data : event);
    if (target === actor) this.#relay(actor, actor, event);
    else if (target !== undefined) this.#pass(actor, target, event);
  }

  #actionFailed(entry: EntryOf<'action.failed'>): void {
    const { error } = entry.event;
    const node = this.#node(entry.target);
    if (!this.#folding) this.#breaks -= 1;
    if (node !== undefined) {
      node.broken = false;
      return xstate.end(node.actor, { status: 'error', error }, entry.type);
    }
    this.#mustKnow(entry);
    // It had ended in the transition whose action threw.
    if (entry.target === this.body) this.#lateFailure ??= { error };
    else if (!this.#folding) this.host.report(error, `an action of '${entry.target}', which had ended`);
  }

  /** The owner that had begun these is gone. A machine that handles `troupe.interrupted` decides itself what that means. */
  #interrupt(): void {
    for (const leaf of Array.from(this.leaves())) {
      const node = this.#node(leaf.key);
      if (leaf.attempts === 0 || node === undefined) continue;
      leaf.interrupted = true;
      this.#tellParent(node, { type: 'troupe.interrupted', call: leaf.key, effect: leaf.effect });
    }
  }

  #fired(entry: EntryOf<'timer.fired'>): void {
    const timer = this.#timers?.take(entry.target);
    if (timer === undefined) return this.#mustKnow(entry);
    this.#pass(timer.source, timer.target, timer.event);
  }

  #tellParent({ parent }: Node, event: AnyEventObject): void {
    if (parent !== undefined) this.#inform(parent.actor, event);
  }

  /** A machine that takes it. */
  #inform(actor: AnyActorRef, event: AnyEventObject): void {
    const logic = xstate.logicOf(actor);
    if (xstate.isMachine(logic) && logic.events.includes(event.type)) this.#relay(undefined, actor, event);
  }

  // Bookkeeping.

  #node(key: string): Node | undefined {
    const node = this.#nodes.get(key);
    return node !== undefined && !xstate.isStopped(node.actor) ? node : undefined;
  }

  #ordinal(name: string): string {
    const ordinal = (this.#ordinals.get(name) ?? 0) + 1;
    this.#ordinals.set(name, ordinal);
    return numbered(name, ordinal);
  }

  #finish(node: Node): void {
    if (node.leaf === undefined) return;
    node.leaf.over = true;
    node.leaf.admission?.release({ status: 'abandoned' });
    this.#drop(node);
  }

  #drop(node: Node): void {
    this.#nodes.delete(node.key);
    if (node.leaf !== undefined) this.#leaves.delete(node.leaf);
  }

  #stopChildren(parent: Node): void {
    for (const node of Array.from(this.#nodes.values())) {
      if (node.parent !== parent) continue;
      xstate.stop(node.actor);
      this.#drop(node);
    }
  }
}

/** Actor references may be passed to a leaf: they are given as they are and kept as their keys. */
function leafInput(input: unknown): { kept: unknown; given: unknown } {
  let references = false;
  const kept = toData(input, 'input', (value) => {
    if (!xstate.isActor(value)) return undefined;
    references = true;
    return { actor: addressOf(value).key };
  });
  if (typeof kept !== 'object' || kept === null) return { kept, given: kept };
  // A copy of its own: a leaf may change its input before that is written.
  const given = toData(input, 'input', references ? (value) => (xstate.isActor(value) ? value : undefined) : undefined);
  return { kept, given };
}

export const exceeded = ({
  resource,
  spent,
  limit,
}: {
  resource: string;
  spent: number;
  limit: number;
}): BudgetExceededError =>
  new BudgetExceededError(
    `The budget of ${limit} ${resource} is spent (${spent}); start another run with a larger one.`,
    { resource, spent, limit },
  );

const show = (value: unknown): string => {
  const text =
    typeof value === 'string'
      ? value
      : (JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item)) ?? 'nothing');
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};
