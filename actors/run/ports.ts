import type { AnyActorRef, AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { Journal } from '../../src/backend.ts';
import type { Clock, Deadlines } from '../../src/clock.ts';
import type { Budget, Cost, Effect, EntryEvents, Spent } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Outcome } from '../end.ts';
import type { ChildAsked } from '../system/node.ts';
import type { Run } from '../run.ts';

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

export interface Children {
  /** Begins it, or goes on with it. Resolves to its output, rejects with how it failed. */
  run(parent: Run, call: string, input: unknown, asked: ChildAsked): Promise<unknown>;
  /** How it has ended; undefined: it has not. */
  end(child: RunId): Promise<Outcome | undefined>;
  /** How it was begun; undefined: it is not there yet, or has ended. */
  begun(child: RunId): Promise<EntryEvents['run.created'] | undefined>;
  /** Of its budget, by its end. */
  spent(child: RunId): Promise<Spent>;
  /** It waits for somebody. `here`: what is said of one that is not in this process. */
  waits(child: RunId, here: boolean): boolean;
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
  /** Asked before it goes on with another budget: there is to be room for that in its tenant's. @throws BudgetExceededError, ValidationError */
  readonly raise?: (run: RunId, budget: Budget) => Promise<{ budget: Budget; undo(): Promise<void> }>;
  /** It has ended, or this process has let go of it. */
  readonly over?: (run: Run) => void;
  /** Entries since its last beginning from which a run that can continue does; 1,000 by default. */
  readonly continueAfter?: number;
}
