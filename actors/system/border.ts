import type { AnyActorRef, AnyEventObject } from 'xstate';
import { toEvent } from '../../src/codec.ts';
import type { Entry, Origin } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import { takerOf } from '../../src/protocol/origin.ts';
import { isMachine, logicOf, type Hooks } from '../durable.ts';
import { nodeOf, type Within } from './node.ts';
import type { Outside } from './ownLeaf.ts';
import type { Said } from '../said.ts';

interface Host {
  readonly run: RunId;
  readonly origins: readonly Origin[];
  say(said: Said): void;
  report(error: unknown, where: string): void;
}

/**
 * Between the machines of a run and all that is not them, and where its journal stands.
 *
 * S1. What comes from outside is said, not delivered; it comes back by an entry. What machines say to each other passes: it is derived.
 * S2. While folding nothing outside is touched: nothing is said, and sends from outside are not heard.
 */
export class Border implements Outside {
  readonly host: Host;
  readonly #system: Within;
  #root: AnyActorRef | undefined;
  /** XState's own: what it is given is delivered at once. Nothing passes before the root has started. */
  #relay: Hooks['relay'] = () => {};
  #now: number;
  #seq: number;
  #delivering = false;
  #folding = true;

  constructor(system: Within, host: Host, since: { at: number; seq: number }) {
    this.#system = system;
    this.host = host;
    this.#now = since.at;
    this.#seq = since.seq;
  }

  /** The root has started. */
  open(root: AnyActorRef, relay: Hooks['relay']): void {
    this.#root = root;
    this.#relay = relay;
  }

  /** The journal's time: moves only when an entry is delivered. */
  get now(): number {
    return this.#now;
  }

  get seq(): number {
    return this.#seq;
  }

  /** Whose run took what is being delivered. */
  get run(): RunId {
    return takerOf(this.host.run, this.host.origins, this.#seq);
  }

  get folding(): boolean {
    return this.#folding;
  }

  /** The fold is over. */
  goLive(): void {
    this.#folding = false;
  }

  /** From now on machines do what they do because of this entry. */
  enter({ at, seq }: Entry): void {
    this.#now = at;
    this.#seq = seq;
    this.#delivering = true;
  }

  leave(): void {
    this.#delivering = false;
  }

  say(said: Said): void {
    if (!this.#folding) this.host.say(said);
  }

  /** An event from outside. Its sender is told at once when it cannot be kept. */
  hear(target: AnyActorRef, event: AnyEventObject): void {
    if (this.#folding) return;
    const to = nodeOf(target);
    if (to?.system !== this.#system) return target.send(event as never);
    const data = toEvent(event);
    // Sent by an action: the entry that is being delivered led to it. Sent by anybody else: nobody knows.
    const cause = this.#delivering ? this.#seq : null;
    this.say({ type: 'message.received', target: to.key, event: { event: data }, cause });
  }

  /** An event that follows from an entry. */
  pass(source: AnyActorRef | undefined, target: AnyActorRef, event: AnyEventObject): void {
    const to = nodeOf(target);
    if (to?.system !== this.#system) {
      if (!this.#folding) target.send(event as never);
      return;
    }
    // While folding a leaf does not begin: a logic of its own may keep in its state what it hears, others make nothing of it.
    if (to.leaf === undefined || to.leaf.begun || this.#folding) return this.#relay(source, target, event);
    to.leaf.keep(event);
  }

  /** What an actor's own logic says to itself. */
  passToItself(actor: AnyActorRef, event: AnyEventObject): void {
    this.#relay(actor, actor, event);
  }

  /** An event for the run machine that is not in the journal. */
  tell(event: AnyEventObject): void {
    if (this.#root !== undefined) this.#relay(undefined, this.#root, event);
  }

  /** A machine that takes it. */
  inform(actor: AnyActorRef, event: AnyEventObject): void {
    const logic = logicOf(actor);
    if (isMachine(logic) && logic.events.includes(event.type)) this.#relay(undefined, actor, event);
  }
}
