import {
  Actor,
  createActor,
  type AnyActorLogic,
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
  type InspectionEvent,
} from 'xstate';
import { asFailure, encode, thrown, toData } from '../src/codec.ts';
import type { Effect, Entry, EntryEvents, EntryType } from '../src/protocol/entry.ts';
import { BudgetExceededError, ReplayDivergenceError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';

/**
 * Any XState v5 actor system, driven by a journal. The one file that knows XState beyond its documented API.
 *
 * Owner: one run. Border: `say` (what came in from outside), `want` (a leaf that may begin), `arm` / `disarm` (timers), `deliver`.
 *
 * D1. Whatever enters the system passes `_relay`, `scheduler.schedule` or a leaf's `start`; all three are ours. What came from outside
 *     is said, not delivered; it comes back by `deliver`. What machines say to each other passes straight through: it is derived.
 * D2. A leaf keeps its own logic and snapshot. Only how it begins and how what it says enters are replaced.
 * D3. While folding nothing outside is touched: custom actions, `emit` and `log` are skipped, leaves are wanted but not begun, timers are
 *     kept but not armed, and sends from outside are not heard.
 * D4. Keys are derived: parent's key, source's name, ordinal there. The same entries give the same keys.
 */

/** Where XState's own types end: members it marks internal, as of 5.33. Held by test/actors/xstate.contract.test.ts. */
interface Internals {
  _parent?: ActorWithInternals;
  _actorScope: { sessionId: string; actionExecutor: (action: ExecutableAction) => void };
  _snapshot: { status: string; children?: Record<string, AnyActorRef> };
  _processingStatus: 0 | 1 | 2;
  _send(event: AnyEventObject): void;
  _stop(): void;
  update(snapshot: object, event: AnyEventObject): void;
}
type ActorWithInternals = AnyActorRef &
  Internals & { logic: AnyActorLogic; options: { input?: unknown }; id: string; sessionId: string };
interface ExecutableAction {
  type: string;
  info: unknown;
  params: unknown;
  exec: ((info: unknown, params: unknown) => unknown) | undefined;
}
// Closures over the system, not methods: they are replaced one by one.
interface SystemInternals {
  _bookId: () => string;
  _unregister: (actor: AnyActorRef) => void;
  _relay: (source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject) => void;
  _sendInspectionEvent: (event: { type: string; actorRef: AnyActorRef }) => void;
  scheduler: {
    schedule(
      source: AnyActorRef,
      target: AnyActorRef,
      event: AnyEventObject,
      delay: number,
      id: string | undefined,
    ): void;
    cancel(source: AnyActorRef, id: string): void;
    cancelAll(source: AnyActorRef): void;
  };
}
const RUNNING = 1;
const STOPPED = 2;
const STOP = 'xstate.stop';
const DERIVING_ACTIONS = new Set([
  'xstate.raise',
  'xstate.sendTo',
  'xstate.spawnChild',
  'xstate.stopChild',
  'xstate.cancel',
]);
const inside = (actor: AnyActorRef): ActorWithInternals => actor as ActorWithInternals;

export interface Leaf {
  readonly key: string;
  readonly source: string;
  readonly actor: AnyActorRef;
  readonly policy: LeafPolicy;
  /** As recorded: actor references stand in it as their keys. */
  readonly input: unknown;
  /** The seq whose delivery wanted it. */
  readonly cause: number;
  /** How many times its begin is on record. */
  attempts: number;
  /** Its outcome has been said, or its state was left. */
  over: boolean;
  /** Runs in this process. */
  begun: boolean;
  /** Begun by an owner that is gone; its outcome is not known. */
  interrupted: boolean;
  /** Gives back what the gate has given; called when the leaf is over. */
  release: (() => void) | undefined;
}

/** What a leaf's logic says of itself; anything else is `idempotent` or what the definition says. */
export interface LeafPolicy {
  effect: Effect;
  /** Asked by the gate before each begin; resolves with the leaf's release. May throw: refused. */
  admit?: (leaf: Leaf) => Promise<() => void> | undefined;
}

export interface Timer {
  readonly key: string;
  readonly due: number;
  readonly cause: number;
}

/** Something that came in. */
export type Said<T extends EntryType = EntryType> = {
  [K in T]: { type: K; target: string; event: EntryEvents[K]; cause: number | null };
}[T];

export interface Host {
  readonly run: RunId;
  readonly effects: Readonly<Record<string, Effect>>;
  say(said: Said): void;
  want(leaf: Leaf): void;
  arm(timer: Timer): void;
  disarm(timer: Timer): void;
  /** Something of the user's threw where nobody listens. */
  report(error: unknown, where: string): void;
}

interface Node {
  readonly key: string;
  readonly system: DurableSystem;
  readonly actor: AnyActorRef;
  readonly parent: Node | undefined;
  leaf: (Leaf & { mailbox: AnyEventObject[]; recorded: unknown[] }) | undefined;
}
interface OwnTimer extends Timer {
  readonly source: AnyActorRef;
  readonly target: AnyActorRef;
  readonly event: AnyEventObject;
  readonly id: string;
}

const nodes = new WeakMap<AnyActorRef, Node>();
const policies = new WeakMap<AnyActorLogic, LeafPolicy>();
const wrapped = new WeakMap<AnyActorLogic, AnyActorLogic>();

/** Declares what a leaf's logic does to the world. */
export function declareLeaf<L extends AnyActorLogic>(logic: L, policy: LeafPolicy): L {
  policies.set(logic, policy);
  return logic;
}

/** What a source has emitted before a crash, in order; a source that skips these repeats nothing. */
export const recorded = (self: AnyActorRef): readonly unknown[] => nodes.get(self)?.leaf?.recorded ?? [];

/** Run and key of an actor. Outside a run the run is '' and the key XState's own session id. */
export function addressOf(self: AnyActorRef): { run: RunId | ''; key: string } {
  const node = nodes.get(self);
  return node === undefined ? { run: '', key: self.sessionId } : { run: node.system.host.run, key: node.key };
}

/** The address of the machine that a leaf works for. */
export const callOf = (self: AnyActorRef): ReturnType<typeof addressOf> => addressOf(inside(self)._parent ?? self);

const escapeSource = (name: string): string => name.replace(/[%/:@]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
const numbered = (name: string, ordinal: number): string => (ordinal === 1 ? name : `${name}:${ordinal}`);
const isMachine = (logic: AnyActorLogic): logic is AnyStateMachine => '__xstatenode' in logic;
const isLeaf = (logic: AnyActorLogic): boolean => !isMachine(logic) && typeof logic.start === 'function';

export class DurableSystem {
  readonly host: Host;
  readonly root: AnyActorRef;
  /** The journal's time: moves only when an entry is delivered. */
  now: number;
  #seq = 1;
  #delivering = false;
  #folding = true;
  readonly #nodes = new Map<string, Node>();
  readonly #ordinals = new Map<string, number>();
  readonly #timers = new Map<string, OwnTimer>();
  readonly #timersById = new Map<string, OwnTimer>();
  #sessions = 0;
  #relay: SystemInternals['_relay'] = () => {};

  constructor(machine: AnyStateMachine, input: unknown, host: Host, created: { at: number }) {
    this.host = host;
    this.now = created.at;
    // The system exists before the machine's first state does; its own `getInitialSnapshot` is the moment in between.
    const logic = Object.assign(Object.create(machine) as AnyStateMachine, {
      getInitialSnapshot: (scope: Parameters<AnyStateMachine['getInitialSnapshot']>[0], rootInput: unknown) => {
        this.#takeOver(scope.system as unknown as SystemInternals, scope.self);
        return machine.getInitialSnapshot(scope, rootInput);
      },
    });
    this.root = createActor(logic, { id: 'run', input });
    this.root.subscribe({ error: () => {} });
    this.root.start();
  }

  get live(): boolean {
    return !this.#folding;
  }

  actor(key: string): AnyActorRef | undefined {
    return this.#nodes.get(key)?.actor;
  }

  /** Live actors by key, parents before children. */
  *actors(): Iterable<[key: string, actor: AnyActorRef]> {
    for (const [key, node] of this.#nodes)
      if (inside(node.actor)._processingStatus !== STOPPED) yield [key, node.actor];
  }

  /** Leaves that are not over, in the order they were wanted. */
  *leaves(): Iterable<Leaf> {
    for (const { leaf, actor } of this.#nodes.values())
      if (leaf !== undefined && !leaf.over && inside(actor)._processingStatus === RUNNING) yield leaf;
  }

  leaf(key: string): Leaf | undefined {
    const leaf = this.#nodes.get(key)?.leaf;
    return leaf?.over === false ? leaf : undefined;
  }

  /** The fold is over: timers are armed, and what has no recorded end is wanted. */
  goLive(): void {
    this.#folding = false;
    for (const leaf of this.leaves()) this.host.want(leaf);
    for (const timer of this.#timers.values()) if (timer.due !== Infinity) this.host.arm(timer);
  }

  /** Runs a leaf's own `start`, then hands it what machines have sent it meanwhile. */
  begin(leaf: Leaf): void {
    const node = this.#node(leaf.key);
    if (node?.leaf !== leaf) return;
    const own = node.leaf;
    own.begun = true;
    own.interrupted = false;
    const actor = inside(leaf.actor);
    try {
      unwrap(actor.logic).start?.(actor._snapshot as never, actor._actorScope as never);
    } catch (error) {
      this.#end(own, { type: 'leaf.failed', target: own.key, event: { error: thrown(error) }, cause: null });
    }
    for (const event of own.mailbox.splice(0)) actor._send(event);
  }

  /** An event for the run machine that is not in the journal. */
  tell(event: AnyEventObject): void {
    this.#relay(undefined, this.root, event);
  }

  /** Stops every leaf that is left; XState does not reach the children of an actor that has thrown. */
  abort(): void {
    for (const leaf of Array.from(this.leaves())) inside(leaf.actor)._stop();
  }

  /** @throws ReplayDivergenceError when the entry does not fit the machines */
  deliver(entry: Entry): void {
    this.now = entry.at;
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
        return;
      case 'run.started':
        return this.#relay(undefined, this.root, { type: 'troupe.start' });
      case 'run.recovered':
        return this.#interrupt();
      case 'run.killed':
        return this.#relay(undefined, this.root, { type: 'troupe.kill', reason: entry.event.reason });
      case 'budget.exceeded':
        return this.#relay(undefined, this.root, {
          type: 'troupe.budgetExceeded',
          error: asFailure(exceeded(entry.event)),
        });
      case 'message.received':
        return this.#to(entry, (node) => this.#toActor(undefined, node.actor, entry.event.event));
      case 'action.failed':
        return this.#to(entry, ({ actor }) => this.#fail(actor, entry.event.error, entry.type));
      case 'timer.fired':
        return this.#fired(entry);
      case 'leaf.abandoned':
        return this.#to(entry, () => {});
      case 'leaf.started':
        return this.#to(entry, (node) => this.#started(node, entry));
      case 'leaf.emitted':
        return this.#to(entry, (node) => this.#emitted(node, entry.event.event));
      case 'leaf.succeeded':
        return this.#to(entry, (node) => {
          this.#over(node);
          const { actor } = node;
          inside(actor).update(
            { ...inside(actor)._snapshot, status: 'done', output: entry.event.output, input: undefined },
            { type: entry.type },
          );
        });
      case 'leaf.failed':
        return this.#to(entry, (node) => {
          this.#over(node);
          this.#fail(node.actor, entry.event.error, entry.type);
        });
    }
  }

  #takeOver(system: SystemInternals, root: AnyActorRef): void {
    const relay = system._relay;
    const unregister = system._unregister;
    const inspect = system._sendInspectionEvent;
    this.#relay = relay;
    // Session ids become derived too: unlike XState's process-wide counter, two folds of one journal agree on them.
    inside(root).sessionId = inside(root)._actorScope.sessionId = this.host.run;
    system._bookId = () => `${this.host.run}:${++this.#sessions}`;
    system._relay = (source, target, event) => this.#onRelay(source, target, event);
    system._unregister = (actor) => {
      unregister(actor);
      const node = nodes.get(actor);
      if (node !== undefined) this.#nodes.delete(node.key);
    };
    system._sendInspectionEvent = (event) => {
      // Sent from an actor's constructor, before its first state.
      if (event.type === '@xstate.actor') this.#adopt(inside(event.actorRef));
      inspect(event);
    };
    system.scheduler.schedule = (source, target, event, delay, id) => this.#schedule(source, target, event, delay, id);
    system.scheduler.cancel = (source, id) => this.#cancel(this.#timersById.get(`${source.sessionId}.${id}`));
    system.scheduler.cancelAll = (source) => {
      for (const timer of this.#timers.values()) if (timer.source === source) this.#cancel(timer);
    };
    this.#register(inside(root), 'run', undefined);
  }

  #adopt(actor: ActorWithInternals): void {
    const parent = actor._parent && nodes.get(actor._parent);
    if (parent === undefined) return;
    const source = typeof actor.src === 'string' ? actor.src : '(inline)';
    const name = `${parent.parent === undefined ? '' : `${parent.key}/`}${escapeSource(source)}`;
    const ordinal = (this.#ordinals.get(name) ?? 0) + 1;
    this.#ordinals.set(name, ordinal);
    const node = this.#register(actor, numbered(name, ordinal), parent);
    if (!isLeaf(actor.logic)) return;
    const { recordedInput, deliveredInput } = leafInput(actor.options.input);
    actor.options.input = deliveredInput;
    node.leaf = {
      key: node.key,
      source,
      actor,
      policy: policies.get(actor.logic) ?? { effect: this.host.effects[source] ?? 'idempotent' },
      input: recordedInput,
      cause: this.#seq,
      attempts: 0,
      over: false,
      begun: false,
      interrupted: false,
      mailbox: [],
      recorded: [],
      release: undefined,
    };
    actor.logic = wrap(actor.logic);
  }

  #register(actor: ActorWithInternals, key: string, parent: Node | undefined): Node {
    const node: Node = { key, system: this, actor, parent, leaf: undefined };
    nodes.set(actor, node);
    this.#nodes.set(key, node);
    if (isMachine(actor.logic)) this.#guardActions(actor, node);
    return node;
  }

  /** A custom action runs at most once; one that throws is journaled, so that live and fold agree on what comes of it. */
  #guardActions(actor: ActorWithInternals, node: Node): void {
    const scope = actor._actorScope;
    const execute = scope.actionExecutor;
    const failed = (error: unknown): void =>
      this.#say({ type: 'action.failed', target: node.key, event: { error: thrown(error) }, cause: this.#seq });
    scope.actionExecutor = (action) => {
      if (DERIVING_ACTIONS.has(action.type)) return execute(action);
      const { exec } = action;
      if (this.#folding || exec === undefined) return;
      execute({
        ...action,
        exec: (info, params) => {
          try {
            const result = exec(info, params);
            if (result instanceof Promise) result.catch(failed);
          } catch (error) {
            failed(error);
          }
        },
      });
    };
  }

  #onRelay(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const from = source && nodes.get(source);
    if (from === undefined || source === undefined) return this.#hear(target, event);
    const { leaf } = from;
    const own = inside(source)._snapshot;
    // What an actor's end tells its parent is derived from the entry that ended it.
    if (own.status === 'done' || own.status === 'error') {
      if (leaf === undefined && own.status === 'error') this.#stopChildren(from);
      return this.#toActor(source, target, event);
    }
    if (leaf === undefined || event.type === `xstate.snapshot.${source.id}`)
      return this.#toActor(source, target, event);
    if (leaf.over || this.#folding) return;
    try {
      if (source === target) this.#leafSays(leaf, event);
      else if (target === inside(source)._parent) this.#emit(leaf, { event: toData(event, 'event') });
      else this.#hear(target, event);
    } catch (error) {
      // It said something that cannot be kept.
      this.#end(leaf, { type: 'leaf.failed', target: leaf.key, event: { error: thrown(error) }, cause: null });
    }
  }

  #leafSays(leaf: NonNullable<Node['leaf']>, event: AnyEventObject): void {
    switch (event.type) {
      case 'xstate.promise.resolve':
      case 'xstate.observable.complete':
        return this.#end(leaf, {
          type: 'leaf.succeeded',
          target: leaf.key,
          event: { output: toData(event['data'], 'output') },
          cause: null,
        });
      case 'xstate.promise.reject':
      case 'xstate.observable.error':
        return this.#end(leaf, {
          type: 'leaf.failed',
          target: leaf.key,
          event: { error: thrown(event['data']) },
          cause: null,
        });
      case 'xstate.observable.next':
        return this.#emit(leaf, { data: toData(event['data'], 'data') });
      default:
        return this.#emit(leaf, { own: toData(event, 'event') });
    }
  }

  #emit(leaf: Leaf, event: unknown): void {
    this.#say({ type: 'leaf.emitted', target: leaf.key, event: { event }, cause: null });
  }

  #end(leaf: NonNullable<Node['leaf']>, said: Said): void {
    if (leaf.over) return;
    leaf.over = true;
    leaf.release?.();
    this.#say(said);
  }

  /** An event from outside. Its sender is told at once when it cannot be kept. */
  #hear(target: AnyActorRef, event: AnyEventObject): void {
    const to = nodes.get(target);
    if (to?.system !== this) {
      if (!this.#folding) target.send(event as never);
      return;
    }
    if (this.#folding) return;
    const data = toData(event, 'event') as { type: string };
    // Sent by an action: the entry that is being delivered led to it. Sent by anybody else: nobody knows.
    const cause = this.#delivering ? this.#seq : null;
    this.#say({ type: 'message.received', target: to.key, event: { event: data }, cause });
  }

  #say(said: Said): void {
    if (!this.#folding) this.host.say(said);
  }

  #toActor(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const to = nodes.get(target);
    if (to?.system !== this) {
      if (!this.#folding) target.send(event as never);
      return;
    }
    if (to.leaf === undefined || to.leaf.begun) return this.#relay(source, target, event);
    // Not begun: it hears when it begins. What it heard before a crash it does not hear again.
    if (!this.#folding && !to.leaf.over) to.leaf.mailbox.push(event);
  }

  #node(key: string): Node | undefined {
    const node = this.#nodes.get(key);
    return node !== undefined && inside(node.actor)._processingStatus !== STOPPED ? node : undefined;
  }

  /** To an actor that has stopped since, an entry is a recorded no-op; to one that never was, it is divergence. */
  #to(entry: Entry, then: (node: Node) => void): void {
    const node = this.#node(entry.target);
    if (node !== undefined) return then(node);
    this.#mustHaveExisted(entry);
  }

  #mustHaveExisted(entry: Entry): void {
    const [, name = '', ordinal] = /^(.*?)(?::(\d+))?$/s.exec(entry.target) ?? [];
    if (entry.target === 'run' || (this.#ordinals.get(name) ?? 0) >= Number(ordinal ?? 1)) return;
    throw this.#diverged(entry, `an actor or timer '${entry.target}'`, [...this.#nodes.keys()].slice(-10));
  }

  #diverged(entry: Entry, expected: unknown, got: unknown): ReplayDivergenceError {
    const { run } = this.host;
    return new ReplayDivergenceError(
      `Run ${run}: entry ${entry.seq} (${entry.type} for '${entry.target}') does not fit this machine: the journal has ${show(expected)}, the machine ${show(got)}. Nothing was executed; run it with the definition that wrote it.`,
      { run, seq: entry.seq, expected, got },
    );
  }

  #started(node: Node, entry: Entry & { type: 'leaf.started' }): void {
    const { leaf } = node;
    if (leaf === undefined) throw this.#diverged(entry, 'a call', 'a machine');
    leaf.attempts = entry.event.attempt;
    leaf.interrupted = false;
    if (this.#folding && Buffer.compare(encode(entry.event.input), encode(leaf.input)) !== 0)
      throw this.#diverged(entry, entry.event.input, leaf.input);
    this.#tellParent(node, { type: 'troupe.admitted', call: leaf.key, attempt: leaf.attempts });
  }

  #emitted(node: Node, said: unknown): void {
    const { leaf, actor } = node;
    if (leaf === undefined) return;
    const emission = said as { event?: AnyEventObject; data?: unknown; own?: AnyEventObject };
    if (this.#folding) leaf.recorded.push(emission.event ?? emission.own ?? emission.data);
    if (emission.event !== undefined) {
      const parent = inside(actor)._parent;
      if (parent !== undefined) this.#toActor(actor, parent, emission.event);
    } else this.#relay(actor, actor, emission.own ?? { type: 'xstate.observable.next', data: emission.data });
  }

  /** The owner that had begun these is gone. A machine that handles `troupe.interrupted` decides itself what that means. */
  #interrupt(): void {
    for (const leaf of Array.from(this.leaves())) {
      const node = this.#node(leaf.key);
      if (leaf.attempts === 0 || node === undefined) continue;
      leaf.interrupted = true;
      this.#tellParent(node, { type: 'troupe.interrupted', call: leaf.key });
    }
  }

  #tellParent(node: Node, event: AnyEventObject): void {
    const parent = node.parent?.actor;
    if (parent === undefined) return;
    const { logic } = inside(parent);
    if (isMachine(logic) && logic.events.includes(event.type)) this.#relay(undefined, parent, event);
  }

  #fail(actor: AnyActorRef, error: unknown, type: string): void {
    inside(actor).update({ ...inside(actor)._snapshot, status: 'error', error, input: undefined }, { type });
  }

  #stopChildren(parent: Node): void {
    for (const node of Array.from(this.#nodes.values())) if (node.parent === parent) inside(node.actor)._stop();
  }

  #over(node: Node): void {
    if (node.leaf === undefined) return;
    node.leaf.over = true;
    node.leaf.release?.();
    this.#nodes.delete(node.key);
  }

  /** A receiver of the user's threw: the leaf has failed. Called by the wrapped logic. */
  threw(node: Node, error: unknown): void {
    if (node.leaf === undefined) return;
    this.#end(node.leaf, { type: 'leaf.failed', target: node.key, event: { error: thrown(error) }, cause: null });
  }

  /** Its actor was stopped. Called by the wrapped logic. */
  stopped(node: Node): void {
    const { leaf } = node;
    if (leaf === undefined) return;
    const abandoned = leaf.attempts > 0 || leaf.begun;
    if (!leaf.over && abandoned) this.#say({ type: 'leaf.abandoned', target: leaf.key, event: null, cause: this.#seq });
    this.#over(node);
  }

  #schedule(
    source: AnyActorRef,
    target: AnyActorRef,
    event: AnyEventObject,
    delay: number,
    id: string | undefined,
  ): void {
    const from = nodes.get(source);
    if (from === undefined) return;
    const name = `${from.key}@${escapeSource(event.type)}`;
    const ordinal = (this.#ordinals.get(name) ?? 0) + 1;
    this.#ordinals.set(name, ordinal);
    const key = numbered(name, ordinal);
    // NaN is what `setTimeout` takes for 0; Infinity never comes.
    const due = this.now + Math.max(0, Number.isNaN(delay) ? 0 : delay);
    const timer: OwnTimer = {
      key,
      due,
      cause: this.#seq,
      source,
      target,
      event,
      id: `${source.sessionId}.${id ?? key}`,
    };
    this.#timers.set(key, timer);
    this.#timersById.set(timer.id, timer);
    if (!this.#folding && due !== Infinity) this.host.arm(timer);
  }

  #cancel(timer: OwnTimer | undefined): void {
    if (timer === undefined) return;
    this.#timers.delete(timer.key);
    if (this.#timersById.get(timer.id) === timer) this.#timersById.delete(timer.id);
    if (!this.#folding) this.host.disarm(timer);
  }

  #fired(entry: Entry): void {
    const timer = this.#timers.get(entry.target);
    if (timer === undefined) return this.#mustHaveExisted(entry);
    this.#cancel(timer);
    this.#toActor(timer.source, timer.target, timer.event);
  }
}

function wrap(logic: AnyActorLogic): AnyActorLogic {
  const known = wrapped.get(logic);
  if (known !== undefined) return known;
  const own = Object.create(logic) as AnyActorLogic;
  own.start = (_state, scope) => {
    const node = nodes.get(scope.self);
    if (node?.leaf !== undefined && node.system.live) node.system.host.want(node.leaf);
  };
  own.transition = (state, event: AnyEventObject, scope) => {
    const node = nodes.get(scope.self);
    if (node === undefined) return logic.transition(state, event, scope);
    if (event.type !== STOP) {
      try {
        return logic.transition(state, event, scope);
      } catch (error) {
        node.system.threw(node, error);
        return state;
      }
    }
    const begun = node.leaf?.begun === true;
    node.system.stopped(node);
    try {
      if (begun) return logic.transition(state, event, scope);
    } catch (error) {
      node.system.host.report(error, `stopping '${node.key}'`);
    }
    return { ...state, status: 'stopped', input: undefined };
  };
  wrapped.set(logic, own);
  return own;
}

/** Actor references may be passed to a leaf: they are given as they are and recorded by key. */
function leafInput(input: unknown): { recordedInput: unknown; deliveredInput: unknown } {
  let references = false;
  const recordedInput = toData(input, 'input', (value) => {
    if (!(value instanceof Actor)) return undefined;
    references = true;
    return { actor: nodes.get(value)?.key ?? value.id };
  });
  const deliveredInput = references
    ? toData(input, 'input', (value) => (value instanceof Actor ? value : undefined))
    : recordedInput;
  return { recordedInput, deliveredInput };
}

const exceeded = ({
  resource,
  spent,
  limit,
}: {
  resource: string;
  spent: number;
  limit: number;
}): BudgetExceededError =>
  new BudgetExceededError(
    `The budget of ${limit} ${resource} is spent (${spent}); raise it and fork the run, or start another.`,
    {
      resource,
      spent,
      limit,
    },
  );

const show = (value: unknown): string => {
  const text =
    typeof value === 'string'
      ? value
      : JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item));
  return text === undefined ? 'nothing' : text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

const unwrap = (logic: AnyActorLogic): AnyActorLogic => Object.getPrototypeOf(logic) as AnyActorLogic;

/** Shows a system to an XState inspection observer, which may throw as it likes. Actors that live already are registered with it first. */
export function attachInspector(
  system: DurableSystem,
  inspect: (event: InspectionEvent) => void,
  report: Host['report'],
): void {
  const guarded = (event: InspectionEvent): void => {
    try {
      inspect(event);
    } catch (error) {
      report(error, `run ${system.host.run}: an inspection observer`);
    }
  };
  const rootId = system.root.sessionId;
  for (const [, actorRef] of system.actors()) guarded({ type: '@xstate.actor', actorRef, rootId });
  system.root.system.inspect(guarded);
}
