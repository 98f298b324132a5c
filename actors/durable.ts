import {
  Actor,
  createActor,
  type AnyActorLogic,
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
  type InspectionEvent,
} from 'xstate';

/**
 * The one file that knows XState beyond its documented API (5.33, held by test/actors/xstate.contract.test.ts).
 *
 * D1. Whatever enters an actor system passes `_relay`, `scheduler.schedule` or a leaf's `start`; all three are ours, for each system alone.
 * D2. A leaf keeps its own logic and snapshot. Only how it begins and how what it says enters are replaced.
 */

/** What one system asks of whoever journals it. */
export interface Hooks {
  /** Names the sessions: unlike XState's process-wide counter, two folds of one journal agree on them. */
  readonly run: string;
  /** An actor is being made; it has no state yet. */
  adopt(actor: AnyActorRef, parent: AnyActorRef | undefined): void;
  /** It has ended, or is about to be stopped. */
  gone(actor: AnyActorRef): void;
  /** An event on its way. `source` is undefined when no actor sent it. */
  relay(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void;
  /** A machine's custom action, `emit` or `log` is to run. */
  act(actor: AnyActorRef, action: () => unknown): void;
  leafStarts(leaf: AnyActorRef): void;
  /** True when its own logic has begun here, and so must be told. */
  leafStops(leaf: AnyActorRef): boolean;
  /** Its logic threw when it was given an event, or while it stopped. */
  leafThrew(leaf: AnyActorRef, error: unknown, stopping: boolean): void;
  schedule(
    source: AnyActorRef,
    target: AnyActorRef,
    event: AnyEventObject,
    delay: number,
    id: string | undefined,
  ): void;
  cancel(source: AnyActorRef, id: string): void;
  cancelAll(source: AnyActorRef): void;
}

type Relay = Hooks['relay'];

interface Internals {
  _parent?: AnyActorRef;
  _actorScope: { sessionId: string; actionExecutor: (action: ExecutableAction) => void };
  _snapshot: { status: string };
  _processingStatus: 0 | 1 | 2;
  _send(event: AnyEventObject): void;
  _stop(): void;
  update(snapshot: object, event: AnyEventObject): void;
  logic: AnyActorLogic;
  options: { input?: unknown };
  sessionId: string;
}
interface ExecutableAction {
  type: string;
  exec: ((info: unknown, params: unknown) => unknown) | undefined;
}
// Closures over the system, not methods: they are replaced one by one.
interface SystemInternals {
  _bookId: () => string;
  _unregister: (actor: AnyActorRef) => void;
  _relay: Relay;
  _sendInspectionEvent: (event: { type: string; actorRef: AnyActorRef }) => void;
  scheduler: Pick<Hooks, 'schedule' | 'cancel' | 'cancelAll'>;
}

const RUNNING = 1;
const STOPPED = 2;
const STOP = 'xstate.stop';
const DERIVING_ACTIONS: ReadonlySet<string> = new Set([
  'xstate.raise',
  'xstate.sendTo',
  'xstate.spawnChild',
  'xstate.stopChild',
  'xstate.cancel',
]);

// The border: XState's types do not show these members.
const inside = (actor: AnyActorRef): AnyActorRef & Internals => actor as AnyActorRef & Internals;

// A property of the actor: a WeakMap of as many short-lived actors costs the garbage collector a third more per step.
const OWN = Symbol('troupe');
export const setOwn = (actor: AnyActorRef, value: object): void => {
  (actor as { [OWN]?: object })[OWN] = value;
};
export const ownOf = (actor: AnyActorRef): object | undefined => (actor as { [OWN]?: object })[OWN];

export const isMachine = (logic: AnyActorLogic): logic is AnyStateMachine => '__xstatenode' in logic;
export const logicOf = (actor: AnyActorRef): AnyActorLogic => inside(actor).logic;
export const inputOf = (actor: AnyActorRef): unknown => inside(actor).options.input;
export const parentOf = (actor: AnyActorRef): AnyActorRef | undefined => inside(actor)._parent;
export const isRunning = (actor: AnyActorRef): boolean => inside(actor)._processingStatus === RUNNING;
export const isStopped = (actor: AnyActorRef): boolean => inside(actor)._processingStatus === STOPPED;
export const isActor = (value: unknown): value is AnyActorRef => value instanceof Actor;
export const stop = (actor: AnyActorRef): void => inside(actor)._stop();
/** Stops a machine whose children have been stopped: XState would copy the map of them once for each. */
export function halt(actor: AnyActorRef): void {
  const own = inside(actor);
  if (isMachine(own.logic)) own._snapshot = { ...own._snapshot, children: {} } as Internals['_snapshot'];
  own._stop();
}
/** To its mailbox, past everybody. */
export const push = (actor: AnyActorRef, event: AnyEventObject): void => inside(actor)._send(event);

/** Starts the root of a system of its own. The relay is XState's: what it is given is delivered at once. */
export function startSystem(
  machine: AnyStateMachine,
  input: unknown,
  hooks: Hooks,
): { root: AnyActorRef; relay: Relay } {
  let relay: Relay = () => {};
  // The system exists before the machine's first state does; its own `getInitialSnapshot` is the moment in between.
  const logic = Object.assign(Object.create(machine) as AnyStateMachine, {
    getInitialSnapshot: (scope: Parameters<AnyStateMachine['getInitialSnapshot']>[0], rootInput: unknown) => {
      relay = takeOver(scope.system as unknown as SystemInternals, scope.self, hooks);
      return machine.getInitialSnapshot(scope, rootInput);
    },
  });
  const root = createActor(logic, { id: 'run', input });
  // Without an observer of errors one in the root would end the process.
  root.subscribe({ error: () => {} });
  root.start();
  return { root, relay };
}

const hooksOf = new WeakMap<object, Hooks>();

function takeOver(system: SystemInternals, root: AnyActorRef, hooks: Hooks): Relay {
  const { _relay: relay, _unregister: unregister, _sendInspectionEvent: inspect } = system;
  let sessions = 0;
  hooksOf.set(system, hooks);
  inside(root).sessionId = inside(root)._actorScope.sessionId = hooks.run;
  system._bookId = () => `${hooks.run}:${(sessions += 1)}`;
  system._relay = (source, target, event) => hooks.relay(source, target, event);
  system._unregister = (actor) => {
    unregister(actor);
    hooks.gone(actor);
  };
  system._sendInspectionEvent = (event) => {
    // Sent from an actor's constructor, before its first state.
    if (event.type === '@xstate.actor') adopt(event.actorRef, hooks);
    inspect(event);
  };
  Object.assign(system.scheduler, {
    schedule: hooks.schedule.bind(hooks),
    cancel: hooks.cancel.bind(hooks),
    cancelAll: hooks.cancelAll.bind(hooks),
  } satisfies SystemInternals['scheduler']);
  adopt(root, hooks);
  return relay;
}

function adopt(actor: AnyActorRef, hooks: Hooks): void {
  const own = inside(actor);
  hooks.adopt(actor, own._parent);
  if (!isMachine(own.logic)) return;
  const scope = own._actorScope;
  const execute = scope.actionExecutor;
  scope.actionExecutor = (action) => {
    const { exec } = action;
    if (exec === undefined || DERIVING_ACTIONS.has(action.type)) return execute(action);
    execute({ ...action, exec: (info, params) => hooks.act(actor, () => exec(info, params)) });
  };
}

/** An actor that is not a machine and does something when it starts: a promise, a callback, an observable. */
export const isLeaf = (logic: AnyActorLogic): boolean => !isMachine(logic) && typeof logic.start === 'function';

/** Turns an actor that is being made into a leaf of its system, with another input. */
export function makeLeaf(actor: AnyActorRef, input: unknown): void {
  const own = inside(actor);
  own.options.input = input;
  own.logic = wrap(own.logic);
}

const wrapped = new WeakMap<AnyActorLogic, AnyActorLogic>();
const unwrap = (logic: AnyActorLogic): AnyActorLogic => Object.getPrototypeOf(logic) as AnyActorLogic;

function wrap(logic: AnyActorLogic): AnyActorLogic {
  const known = wrapped.get(logic);
  if (known !== undefined) return known;
  const own = Object.create(logic) as AnyActorLogic;
  own.start = (_state, { self, system }) => hooksOf.get(system)?.leafStarts(self);
  own.transition = (state, event: AnyEventObject, scope) => {
    const { self, system } = scope;
    const stopping = event.type === STOP;
    // A leaf that never began has nothing to stop; its logic would stumble over what it has not set up.
    if (stopping && hooksOf.get(system)?.leafStops(self) !== true)
      return { ...state, status: 'stopped', input: undefined };
    try {
      return logic.transition(state, event, scope);
    } catch (error) {
      hooksOf.get(system)?.leafThrew(self, error, stopping);
      return stopping ? { ...state, status: 'stopped', input: undefined } : state;
    }
  };
  wrapped.set(logic, own);
  return own;
}

/** Runs a leaf's own `start`. Throws what it throws. */
export function begin(leaf: AnyActorRef): void {
  const { logic, _snapshot, _actorScope } = inside(leaf);
  unwrap(logic).start?.(_snapshot as never, _actorScope as never);
}

/** Lets a leaf's own logic clean up while its actor waits for its recorded end. */
export function dispose(leaf: AnyActorRef): void {
  const { logic, _snapshot, _actorScope } = inside(leaf);
  unwrap(logic).transition(_snapshot as never, { type: STOP } as never, _actorScope as never);
}

/** Ends an actor as if its own logic had; its parent hears of it. */
export function end(
  actor: AnyActorRef,
  how: { status: 'done'; output: unknown } | { status: 'error'; error: unknown },
  type: string,
): void {
  inside(actor).update({ ...inside(actor)._snapshot, ...how, input: undefined }, { type });
}

/** What a leaf says, in our words. */
export type Saying =
  /** Follows from an entry that is recorded already. */
  | { type: 'derived' }
  | { type: 'succeeded'; output: unknown }
  | { type: 'failed'; error: unknown }
  | { type: 'emitted'; emission: Emission }
  /** To an actor that is neither itself nor its parent. */
  | { type: 'sent' };
/** `event`: to its parent. `data`: an observable's next value. `own`: to a custom logic's own transition. */
export type Emission = { event: AnyEventObject } | { data: unknown } | { own: AnyEventObject };

export function understand(source: AnyActorRef, target: AnyActorRef, event: AnyEventObject): Saying {
  if (hasEnded(source) || event.type === `xstate.snapshot.${source.id}`) return { type: 'derived' };
  if (source !== target)
    return target === parentOf(source) ? { type: 'emitted', emission: { event } } : { type: 'sent' };
  switch (event.type) {
    case 'xstate.promise.resolve':
    case 'xstate.observable.complete':
      return { type: 'succeeded', output: event['data'] };
    case 'xstate.promise.reject':
    case 'xstate.observable.error':
      return { type: 'failed', error: event['data'] };
    case 'xstate.observable.next':
      return { type: 'emitted', emission: { data: event['data'] } };
    default:
      return { type: 'emitted', emission: { own: event } };
  }
}

/** The event that an emission is to XState, and who gets it. */
export function emissionOf(
  leaf: AnyActorRef,
  emission: Emission,
): { target: AnyActorRef | undefined; event: AnyEventObject } {
  if ('event' in emission) return { target: parentOf(leaf), event: emission.event };
  return {
    target: leaf,
    event: 'own' in emission ? emission.own : { type: 'xstate.observable.next', data: emission.data },
  };
}

/** Done or failed: what it says now, it says as its last. */
const hasEnded = (actor: AnyActorRef): boolean => {
  const { status } = inside(actor)._snapshot;
  return status === 'done' || status === 'error';
};
export const hasFailed = (actor: AnyActorRef): boolean => inside(actor)._snapshot.status === 'error';

/** Shows a system to an inspection observer, which may throw as it likes; actors that live already are registered with it first. */
export function attachInspector(
  root: AnyActorRef,
  actors: Iterable<AnyActorRef>,
  inspect: (event: InspectionEvent) => void,
  report: (error: unknown) => void,
): void {
  const guarded = (event: InspectionEvent): void => {
    try {
      inspect(event);
    } catch (error) {
      report(error);
    }
  };
  const rootId = root.sessionId;
  for (const actorRef of actors) guarded({ type: '@xstate.actor', actorRef, rootId });
  root.system.inspect(guarded);
}
