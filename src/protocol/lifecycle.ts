import { InvalidStateTransitionError } from './errors.ts';
import type { RunId } from './ids.ts';

/** Where the lifecycle of a run stands, and what may be asked of it there. */

export const RUN_STATUSES = ['created', 'running', 'paused', 'wrappingUp', 'completed', 'failed', 'killed'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export type Command = 'send' | 'kill' | 'pause' | 'resume' | 'resolve' | 'approve' | 'deny' | 'checkpoint';

const ALWAYS: readonly Command[] = ['send', 'kill', 'resolve', 'approve', 'deny', 'checkpoint'];
const ALLOWED: Readonly<Record<string, readonly Command[]>> = {
  completed: [],
  failed: [],
  killed: [],
  killing: ['kill'],
  running: [...ALWAYS, 'pause'],
  paused: [...ALWAYS, 'resume'],
};

export const allowedIn = (status: string): readonly Command[] => ALLOWED[status] ?? ALWAYS;

/** A command that does not fit where the run stands. */
export function illegal(run: RunId, state: string, event: string): InvalidStateTransitionError {
  const allowed = allowedIn(state);
  return new InvalidStateTransitionError(
    `Run ${run} is ${state}: it takes ${allowed.join(', ') || 'nothing more'}, not ${event}.`,
    { run, state, event, allowed },
  );
}
