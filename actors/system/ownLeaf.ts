import type { AnyActorRef, AnyEventObject } from 'xstate';
import { thrown, toData } from '../../src/codec.ts';
import type { Effect } from '../../src/protocol/entry.ts';
import * as xstate from '../durable.ts';
import type { Admission, Leaf, LeafPolicy } from '../leaf.ts';
import type { Said } from '../said.ts';

/** Where what a leaf says goes. */
export interface Outside {
  /** The seq that was delivered last. */
  readonly seq: number;
  say(said: Said): void;
  /** An event for another actor. */
  hear(target: AnyActorRef, event: AnyEventObject): void;
  /** Something of the user's threw where nobody listens. */
  readonly host: { report(error: unknown, where: string): void };
}

/**
 * A leaf within its run: what machines send it before it begins, what it says, how it breaks.
 *
 * L1. Of its outcomes the first one is said, and nothing after it.
 * L2. What it says that cannot be kept is its failure.
 */
export class OwnLeaf implements Leaf {
  readonly key: string;
  readonly source: string;
  readonly actor: AnyActorRef;
  readonly policy: LeafPolicy;
  readonly input: unknown;
  readonly cause: number;
  effect: Effect;
  attempts = 0;
  over = false;
  begun = false;
  interrupted = false;
  admission: Admission | undefined;
  /** What it had emitted before a crash. */
  readonly recorded: unknown[] = [];
  readonly #outside: Outside;
  /** What machines sent it before it began. */
  readonly #mailbox: AnyEventObject[] = [];
  #beginning = false;
  #broken = false;

  constructor(key: string, source: string, actor: AnyActorRef, policy: LeafPolicy, input: unknown, outside: Outside) {
    this.key = key;
    this.source = source;
    this.actor = actor;
    this.policy = policy;
    this.effect = policy.effect;
    this.input = input;
    this.cause = outside.seq;
    this.#outside = outside;
  }

  /** Runs its own `start`, then hands it what machines have sent it meanwhile. */
  begin(): void {
    this.begun = true;
    this.interrupted = false;
    this.#beginning = true;
    try {
      xstate.begin(this.actor);
    } catch (error) {
      this.#breakOff(error);
    }
    this.#beginning = false;
    // What it said while it began could not be kept; only now is there something to dispose of.
    if (this.#broken) this.#dispose();
    for (const event of this.#mailbox.splice(0)) xstate.push(this.actor, event);
  }

  /** It hears when it begins. What a callback heard before a crash it does not hear again. */
  keep(event: AnyEventObject): void {
    if (!this.over) this.#mailbox.push(event);
  }

  says(saying: Exclude<xstate.Saying, { type: 'derived' }>, target: AnyActorRef, event: AnyEventObject): void {
    try {
      this.#say(saying, target, event);
    } catch (error) {
      // L2.
      this.#breakOff(error);
    }
  }

  #say(saying: Exclude<xstate.Saying, { type: 'derived' }>, target: AnyActorRef, event: AnyEventObject): void {
    switch (saying.type) {
      case 'succeeded':
        return this.#outcome({
          type: 'leaf.succeeded',
          target: this.key,
          event: { output: toData(saying.output, 'output') },
          cause: null,
        });
      case 'failed':
        return this.#outcome({
          type: 'leaf.failed',
          target: this.key,
          event: { error: thrown(saying.error) },
          cause: null,
        });
      case 'emitted':
        return this.#outside.say({
          type: 'leaf.emitted',
          target: this.key,
          event: { event: toData(saying.emission, 'emission') },
          cause: null,
        });
      case 'sent':
        return this.#outside.hear(target, event);
    }
  }

  /** Its own logic threw. */
  threw(error: unknown, stopping: boolean): void {
    if (!this.begun) return;
    if (stopping) this.#outside.host.report(error, `stopping '${this.key}'`);
    else this.#breakOff(error);
  }

  /** Its state was left, whether it has begun or not. */
  leave(): void {
    if (!this.over)
      this.#outside.say({ type: 'leaf.abandoned', target: this.key, event: null, cause: this.#outside.seq });
    this.finish();
  }

  /** Whatever it holds still is given back. */
  finish(): void {
    this.over = true;
    this.admission?.release({ status: 'abandoned' });
  }

  /** L1. */
  #outcome(said: Said<'leaf.succeeded' | 'leaf.failed'>): void {
    if (this.over) return;
    this.over = true;
    this.admission?.release(
      said.type === 'leaf.failed' ? { status: 'failed', error: said.event.error } : { status: 'succeeded' },
    );
    this.#outside.say(said);
  }

  /** It has failed without knowing it: its own logic still runs and is told to stop. */
  #breakOff(error: unknown): void {
    this.#outcome({ type: 'leaf.failed', target: this.key, event: { error: thrown(error) }, cause: null });
    this.#broken = true;
    if (!this.#beginning) this.#dispose();
  }

  #dispose(): void {
    this.begun = false;
    try {
      xstate.dispose(this.actor);
    } catch (second) {
      this.#outside.host.report(second, `stopping '${this.key}'`);
    }
  }
}
