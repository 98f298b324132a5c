import type { AnyActorLogic, AnyActorRef, AnyEventObject, AnyStateMachine } from 'xstate';
import type { Deadline } from '../src/clock.ts';
import { costOf, limitsOf } from '../src/protocol/amount.ts';
import type { Cost, Effect, Entry, Origin } from '../src/protocol/entry.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { Actions } from './system/actions.ts';
import { Border } from './system/border.ts';
import { Delivery } from './system/delivery.ts';
import * as xstate from './durable.ts';
import { declaredOf, type Leaf, type LeafPolicy } from './leaf.ts';
import { leafInput } from './system/leafInput.ts';
import { isBroken, nodeOf, type Within } from './system/node.ts';
import { Nodes } from './system/nodes.ts';
import { OwnLeaf } from './system/ownLeaf.ts';
import type { Said } from './said.ts';
import { Timers, type Alarm } from './timers.ts';
import { Work } from './system/work.ts';

/** What a system asks of its run. */
export interface SystemHost extends Alarm {
  readonly run: RunId;
  readonly origins: readonly Origin[];
  readonly effects: Readonly<Record<string, Effect>>;
  /** What plain sources may cost, by name. */
  readonly costs: Readonly<Record<string, (input: unknown) => Cost>>;
  say(said: Said): void;
  want(leaf: Leaf): void;
  charge: Within['host']['charge'];
  child: Within['host']['child'];
  /** Something of the user's threw where nobody listens. */
  report(error: unknown, where: string): void;
}

/**
 * A run's actor system, driven by its journal.
 *
 * Owner: one run. Border: `say` (what came in from outside), `want` (a leaf that may begin), `arm` / `disarm` (timers), `deliver`.
 *
 * S1. What comes from outside is said, not delivered (border.ts).
 * S2. While folding nothing outside is touched: leaves are wanted but not begun, timers are kept but not armed; custom actions are
 *     skipped (actions.ts), and sends from outside are not heard (border.ts).
 * S3. Keys are derived (nodes.ts).
 * S4. After an action has thrown, its actor does nothing more (actions.ts): none of the leaves below it is wanted.
 */
export class DurableSystem implements xstate.Hooks, Within {
  readonly host: SystemHost;
  readonly root: AnyActorRef;
  readonly nodes: Nodes;
  readonly work = new Work();
  readonly #border: Border;
  readonly actions: Actions;
  readonly #delivery: Delivery;
  /** Few runs have any. */
  #rings = false;
  #timers: Timers | undefined;

  /** `since`: the entry it begins with; `before`: how many of a name there were before that. */
  constructor(
    machine: AnyStateMachine,
    input: unknown,
    host: SystemHost,
    since: { at: number; seq: number },
    before: { body?: number } = {},
  ) {
    this.host = host;
    this.nodes = new Nodes(before.body ?? 0);
    this.#border = new Border(this, host, since);
    this.actions = new Actions(this.#border);
    this.#delivery = new Delivery(this.nodes, this.#border, this.actions, (timer) => this.#timers?.take(timer));
    const { root, relay } = xstate.startSystem(machine, input, this);
    this.root = root;
    this.#border.open(root, relay);
  }

  get run(): RunId {
    return this.#border.run;
  }

  /** @throws ReplayDivergenceError when the entry does not fit the machines */
  deliver(entry: Entry): void {
    this.#delivery.deliver(entry);
  }

  /** The fold is over: what has no recorded end is wanted. */
  goLive(): void {
    this.#border.goLive();
    for (const leaf of this.nodes.leaves()) this.host.want(leaf);
    for (const [, actor] of Array.from(this.nodes.actors())) this.#border.inform(actor, { type: 'troupe.judge' });
  }

  /** From now on timers ring. */
  arm(): void {
    this.#rings = true;
    this.#timers?.goLive();
  }

  /** An event for the run machine that is not in the journal. */
  tell(event: AnyEventObject): void {
    this.#border.tell(event);
  }

  /** Runs a leaf's own `start`, unless it has stopped. */
  begin({ key }: Leaf): void {
    this.nodes.get(key)?.leaf?.begin();
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

  /** Whether the call of that key, a leaf or the machine of a tool, could have given this output, as far as its declaration tells. */
  accepts(key: string, output: unknown): boolean {
    const node = this.nodes.get(key);
    const policy = node && (node.leaf?.policy ?? attemptsOf(node.actor));
    return policy?.tool?.accepts?.(output) ?? true;
  }

  /** What the input of a call comes to is being found out, which may take a while. */
  get judging(): boolean {
    for (const key of this.work.underWay?.keys() ?? []) {
      const node = this.nodes.get(key);
      if (node !== undefined && node.leaf === undefined) return true;
    }
    return false;
  }

  /** The body knows of a last turn. */
  get canWrapUp(): boolean {
    const { bodyActor } = this.nodes;
    const logic = bodyActor && xstate.logicOf(bodyActor);
    return logic !== undefined && xstate.isMachine(logic) && logic.events.includes('troupe.wrapUp');
  }

  /** Some tool's call is under way, if only in backing off, in waiting for approval or in doubt; or a plain call is in doubt. */
  get calls(): boolean {
    for (const [, actor] of this.nodes.actors()) {
      const logic = xstate.logicOf(actor);
      if (xstate.isMachine(logic) && logic.events.includes('troupe.admitted')) return true;
    }
    for (const { attempts } of this.nodes.leaves()) if (attempts > 0) return true;
    return false;
  }

  // What XState asks of us (xstate.Hooks).

  adopt(actor: AnyActorRef, parent: AnyActorRef | undefined): void {
    const source = typeof actor.src === 'string' ? actor.src : '(inline)';
    const node = this.nodes.add(this, actor, source, parent);
    const logic = xstate.logicOf(actor);
    if (!xstate.isLeaf(logic)) return;
    const { kept, given } = leafInput(xstate.inputOf(actor));
    const policy = declaredOf(logic) ?? this.#policyOf(source);
    this.nodes.addLeaf(node, new OwnLeaf(node.key, source, actor, policy, kept, this.#border));
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
    if (node !== undefined) this.nodes.drop(node);
  }

  relay(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const from = source && nodeOf(source);
    if (source === undefined || from === undefined) return this.#border.hear(target, event);
    const { leaf } = from;
    if (leaf === undefined) {
      if (xstate.hasFailed(source)) this.nodes.stopChildren(from);
      // A body has no parent to talk to: the run machine hears its end, and commands from the journal alone.
      if (target === this.root && !event.type.startsWith('xstate.')) return;
      return this.#border.pass(source, target, event);
    }
    const saying = xstate.understand(source, target, event);
    if (saying.type === 'derived') return this.#border.pass(source, target, event);
    if (!leaf.over && !this.#border.folding) leaf.says(saying, target, event);
  }

  act(actor: AnyActorRef, action: () => unknown): void {
    const node = nodeOf(actor);
    if (node !== undefined) this.actions.run(node, action);
  }

  leafStarts(actor: AnyActorRef): void {
    const node = nodeOf(actor);
    if (node?.leaf !== undefined && !this.#border.folding && !isBroken(node)) this.host.want(node.leaf);
  }

  leafStops(actor: AnyActorRef): boolean {
    const node = nodeOf(actor);
    if (node?.leaf === undefined) return false;
    const { begun } = node.leaf;
    node.leaf.leave();
    this.nodes.drop(node);
    return begun;
  }

  leafThrew(actor: AnyActorRef, error: unknown, stopping: boolean): void {
    nodeOf(actor)?.leaf?.threw(error, stopping);
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
    const key = this.nodes.timerKey(from, event.type);
    const { now, seq: cause } = this.#border;
    // NaN is what `setTimeout` takes for 0; Infinity never comes.
    const due = now + Math.max(0, Number.isNaN(delay) ? 0 : delay);
    this.#timers ??= new Timers(this.host, this.#rings);
    this.#timers.add({ key, due, cause, source, target, event, id });
  }

  cancel(source: AnyActorRef, id: string): void {
    this.#timers?.cancel(source, id);
  }

  cancelAll(source: AnyActorRef): void {
    this.#timers?.cancelAll(source);
  }
}

/** What the attempts of a tool's call are declared as, from its machine; undefined for any other actor. */
function attemptsOf(actor: AnyActorRef): LeafPolicy | undefined {
  const logic = xstate.logicOf(actor);
  return xstate.isMachine(logic) ? declaredOf(logic.implementations.actors['attempt'] as AnyActorLogic) : undefined;
}
