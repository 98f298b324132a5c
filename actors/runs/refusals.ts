import { InvalidStateTransitionError, KillSwitchTriggeredError, StaleOwnerError } from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { KillSwitch, Width } from '../../src/protocol/receipt.ts';

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

export const switchedOff = (run: RunId, { reason, by, ...of }: KillSwitch): KillSwitchTriggeredError =>
  new KillSwitchTriggeredError(
    `Run ${run} was not begun: ${by} has killed ${nameOf(of)} (${reason}), and that has not been lifted. To lift it: ${liftOf(of)}; then begin it under another id, as this one is recorded as killed.`,
    { run, reason, by },
  );

function nameOf(width: Width): string {
  if ('tenant' in width) return `all of tenant ${width.tenant}`;
  return 'definition' in width ? `all of definition ${width.definition}` : 'everything';
}

function liftOf(width: Width): string {
  if ('tenant' in width) return `troupe lift --tenant ${width.tenant}, or troupe.lift({ tenant: '${width.tenant}' })`;
  if ('definition' in width)
    return `troupe lift --definition ${width.definition}, or troupe.lift({ definition: '${width.definition}' })`;
  return 'troupe lift --all, or troupe.lift({ all: true })';
}
