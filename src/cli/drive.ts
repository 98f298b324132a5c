import type { Resource } from '../protocol/entry.ts';
import type { Approval } from '../protocol/spec.ts';
import type { CallInDoubt } from '../handle.ts';
import type { RunHandle } from '../run.ts';
import type { Summary } from '../summary.ts';
import { driving, type Signal } from './driving.ts';
import { orIdle } from './idle.ts';
import type { Progress } from './progress.ts';

export interface Outcome {
  summary: Summary;
  /** Where the run has not ended: the calls that stand in its way. None of both, and not paused: it waits for a message. */
  inDoubt: readonly CallInDoubt[];
  approvals: readonly Approval[];
  /** Where that has paused it: the limit that was reached. */
  exhausted?: Resource;
  /** It was let go of before that, and goes on where it is recovered. */
  interrupted?: Signal;
}

const NONE = { inDoubt: [], approvals: [] };

/**
 * Until the run has ended or, living here, only waits for somebody, or is to be let go of. `first`: what it is not left before, where it waits itself.
 * @throws what this process lost it by
 */
export async function drive(
  run: RunHandle,
  progress: Progress,
  letGo: Promise<Signal>,
  first?: Promise<void>,
): Promise<Outcome> {
  const seen: Seen = {};
  const shown = show(run, progress, seen);
  shown.catch(() => {});
  try {
    const over = Promise.race([first === undefined ? run.settled() : first.then(() => run.settled()), letGo]);
    let how = await orIdle(over);
    if (how === 'idle') {
      const waiting = await waitingFor(run, seen);
      if (waiting !== undefined) return waiting;
      how = await over;
    }
    if (how === 'waiting') return await standing(run, seen);
    if (how !== 'ended') return { summary: await run.summary(), ...NONE, interrupted: how };
    await shown;
    const summary = await run.summary();
    if (summary.status === 'killed') driving.killed = true;
    return { summary, ...NONE };
  } finally {
    progress.end();
  }
}

/** What was shown of a run. */
interface Seen {
  exhausted?: Resource;
}

async function standing(run: RunHandle, seen: Seen): Promise<Outcome> {
  const { inDoubt, approvals } = await run.pending();
  return { summary: await run.summary(), inDoubt, approvals, ...seen };
}

/** Nothing is under way in this process: what it waits for is with people or in other processes. Undefined: it is not to be told what that is. */
async function waitingFor(run: RunHandle, seen: Seen): Promise<Outcome | undefined> {
  const outcome = await standing(run, seen);
  const { summary, inDoubt, approvals } = outcome;
  return summary.status === 'paused' || inDoubt.length + approvals.length > 0 ? outcome : undefined;
}

async function show(run: RunHandle, progress: Progress, seen: Seen): Promise<void> {
  for await (const entry of run.entries()) {
    if (entry.type === 'run.resumed') delete seen.exhausted;
    else if (entry.type === 'budget.exceeded' && entry.event.onExhausted === 'pause')
      seen.exhausted = entry.event.resource;
    progress.entry(entry);
  }
}
