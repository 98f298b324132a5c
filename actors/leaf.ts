import type { AnyActorLogic, AnyActorRef } from 'xstate';
import type { Effect, Limits } from '../src/protocol/entry.ts';
import type { CallEnd } from '../src/protocol/exit.ts';

/** What the gate and the calls of a run know of a leaf. */
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
   * What it may cost besides its step and, unless it begins a run, the tool call that it is: held back until it has ended; for a run that it begins, all that this
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

const policies = new WeakMap<AnyActorLogic, LeafPolicy>();

/** Declares what a leaf's logic does to the world. */
export function declareLeaf<L extends AnyActorLogic>(logic: L, policy: LeafPolicy): L {
  policies.set(logic, policy);
  return logic;
}

/** As it was declared; undefined: its definition may say something of it. */
export const declaredOf = (logic: AnyActorLogic): LeafPolicy | undefined => policies.get(logic);
