import type { AnyActorRef, DoneActorEvent, ErrorActorEvent } from 'xstate';
import { failure, toFailure, type Exit, type Failure } from '../src/protocol/exit.ts';

/** What a machine that makes calls hears of them, and says of them to its own parent. */

export type CallEvent =
  | DoneActorEvent<Exit>
  | ErrorActorEvent
  /** All that this child still waits for are calls in doubt: it gives its place up. It may be said again. */
  | { type: 'troupe.inDoubt'; actorId: string };

/** How a child ended, if that is what the event says. */
export function endOf(event: CallEvent): Exit | undefined {
  if ('output' in event) return event.output;
  return 'error' in event ? { status: 'failed', error: toFailure(event.error) } : undefined;
}

export const failureOf = (exit: Exclude<Exit, { status: 'succeeded' }>): Failure =>
  exit.status === 'failed' ? exit.error : failure('KillSwitchTriggeredError', 'KILLED', 'killed');

/** Nothing is under way but calls in doubt. */
export const onlyDoubts = ({ running, inDoubt }: { running: number; inDoubt: number }): boolean =>
  running > 0 && running === inDoubt;

type Said = Extract<CallEvent, { type: 'troupe.inDoubt' }>;
interface Saying {
  self: AnyActorRef;
}
export const inDoubt = ({ self }: Saying): Said => ({ type: 'troupe.inDoubt', actorId: self.id });

/** Whom a machine tells: the one around it. One that runs by itself has nobody to tell. */
export const listener = ({ self }: Saying): AnyActorRef => self._parent ?? self;
