import type { CallInDoubt, RunHandle } from '../run.ts';
import type { Summary } from '../summary.ts';
import type { Signal } from './driving.ts';
import type { Progress } from './progress.ts';

export interface Outcome {
  summary: Summary;
  /** Where the run has not ended: the calls that stand in its way. None: it waits for a message. */
  inDoubt: CallInDoubt[];
  /** It was let go of before that, and goes on where it is recovered. */
  interrupted?: Signal;
}

/** Until the run has ended or, living here, only waits for somebody, or is to be let go of. @throws what this process lost it by */
export async function drive(run: RunHandle, progress: Progress, letGo: Promise<Signal>): Promise<Outcome> {
  const shown = show(run, progress);
  shown.catch(() => {});
  try {
    const how = await Promise.race([run.settled(), letGo]);
    if (how === 'SIGINT' || how === 'SIGTERM') return { summary: await run.summary(), inDoubt: [], interrupted: how };
    if (how === 'ended') await shown;
    return { summary: await run.summary(), inDoubt: how === 'ended' ? [] : await run.inDoubt() };
  } finally {
    progress.end();
  }
}

async function show(run: RunHandle, progress: Progress): Promise<void> {
  for await (const entry of run.entries()) progress.entry(entry);
}
