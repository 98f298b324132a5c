import { InvalidStateTransitionError, KillSwitchTriggeredError, StaleOwnerError } from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { KillSwitch } from '../../src/protocol/receipt.ts';

/** Why a run is not to be had, or takes nothing. */

export const ended = (run: RunId, state: string, event: string): InvalidStateTransitionError =>
  new InvalidStateTransitionError(`Run ${run} is ${state}: it takes nothing more.`, { run, state, event, allowed: [] });

export const taken = (run: RunId): StaleOwnerError =>
  new StaleOwnerError(`Run ${run} was taken over by somebody else at this moment; try again.`, { run });

export const elsewhere = (run: RunId, owner: OwnerId): StaleOwnerError =>
  new StaleOwnerError(
    `Run ${run} lives in another process, which is alive (owner ${owner}); do this there, or kill the run.`,
    { run, owner },
  );

export const switchedOff = (run: RunId, { reason, by }: KillSwitch): KillSwitchTriggeredError =>
  new KillSwitchTriggeredError(
    `Run ${run} was not begun: ${by} has killed all that is like it (${reason}); lift that first.`,
    { run, reason, by },
  );
