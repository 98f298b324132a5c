import type { AnyActorRef } from 'xstate';
import type { AnyDefinition } from '../../src/define/definition.ts';
import type { Budget, Cost } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import { ownOf } from '../durable.ts';
import type { OwnLeaf } from './ownLeaf.ts';

/** What a call wants a run of. */
export interface ChildAsked {
  definition: AnyDefinition;
  budget: Budget | null;
  /** The call does not want to know any more. */
  signal: AbortSignal;
}

/** What an actor may ask of the run that it is of. */
export interface Within {
  /** Whose run took what is being delivered: of a fork, up to where it was forked, the one that it comes from. */
  readonly run: RunId;
  readonly work: { add(key: string, done: Promise<unknown>): void };
  readonly host: {
    /** A call says that it has cost so much more. @throws ValidationError, BudgetExceededError */
    charge(call: string, cost: Cost): void;
    /** How the run that a call has begun ends; it is begun if it is not there. Rejects with how it failed. */
    child(call: string, input: unknown, asked: ChildAsked): Promise<unknown>;
  };
}

/** One actor of a run. */
export interface Node {
  readonly key: string;
  readonly system: Within;
  readonly actor: AnyActorRef;
  readonly parent: Node | undefined;
  leaf: OwnLeaf | undefined;
  /** An action of it has thrown: it does nothing more until that is delivered. */
  broken: boolean;
}

/** Undefined outside a run. */
export const nodeOf = (actor: AnyActorRef): Node | undefined => ownOf(actor) as Node | undefined;

export const isBroken = ({ broken, parent }: Node): boolean => broken || (parent !== undefined && isBroken(parent));
