import type { Approval } from '../protocol/spec.ts';
import type { CallInDoubt } from '../handle.ts';
import type { RunHandle } from '../run.ts';
import type { Summary } from '../summary.ts';
import type { Signal } from './driving.ts';
import type { Progress } from './progress.ts';

export interface Outcome {
  summary: Summary;
  /** Where the run has not ended: the calls that stand in its way. None of both, and not paused: it waits for a message. */
  inDoubt: readonly CallInDoubt[];
  approvals: readonly Approval[];
  /** It was let go of before that, and goes on where it is recovered. */
  interrupted?: Signal;
}

const NONE = { inDoubt: [], approvals: [] };

/** Until the run has ended or, living here, only waits for somebody, or is to be let go of. @throws what this process lost it by */
export async function drive(run: RunHandle, progress: Progress, letGo: Promise<Signal>): Promise<Outcome> {
  const shown = show(run, progress);
  shown.catch(() => {});
  try {
    const how = await Promise.race([run.settled(), letGo]);
    if (how === 'SIGINT' || how === 'SIGTERM') return { summary: await run.summary(), ...NONE, interrupted: how };
    if (how === 'ended') await shown;
    if (how === 'ended') return { summary: await run.summary(), ...NONE };
    const { inDoubt, approvals } = await run.pending();
    return { summary: await run.summary(), inDoubt, approvals };
  } finally {
    progress.end();
  }
}

async function show(run: RunHandle, progress: Progress): Promise<void> {
  for await (const entry of run.entries()) progress.entry(entry);
}
