import { systemClock } from '../clock.ts';
import { StaleOwnerError } from '../protocol/errors.ts';
import type { CallInDoubt, RunHandle } from '../run.ts';
import type { Summary } from '../summary.ts';
import type { Progress } from './progress.ts';
import { onlyWaits } from './waits.ts';

export interface Outcome {
  summary: Summary;
  /** Where the run has not ended: the calls that stand in its way. None: it waits for a message. */
  inDoubt: CallInDoubt[];
}

/** What machines send themselves from a callback of their own comes after a moment. */
const SETTLE_MS = 50;
/** A run that was lost without its end does not say so. */
const LOOK_MS = 1_000;

/** Until the run has ended or, living here, only waits for somebody. @throws StaleOwnerError when this process has lost it */
export async function drive(run: RunHandle, progress: Progress): Promise<Outcome> {
  const waiting = watch(run);
  try {
    const inDoubt = await Promise.race([follow(run, progress), waiting.promise]);
    return { summary: await run.summary(), inDoubt };
  } finally {
    waiting.stop();
    progress.end();
  }
}

async function follow(run: RunHandle, progress: Progress): Promise<CallInDoubt[]> {
  for await (const entry of run.entries()) progress.entry(entry);
  return [];
}

/** Settles when a run that lives here can do nothing more by itself. */
function watch(run: RunHandle): { promise: Promise<CallInDoubt[]>; stop: () => void } {
  const clock = systemClock();
  let timer: unknown;
  let stopped = false;
  let off = (): void => {};
  const promise = new Promise<CallInDoubt[]>((resolve, reject) => {
    const arm = (ms: number): void => {
      clock.clearTimeout(timer);
      if (!stopped) timer = clock.setTimeout(() => void look().then(() => arm(LOOK_MS), reject), ms);
    };
    const look = async (): Promise<void> => {
      const snapshot = run.getSnapshot() as Parameters<typeof onlyWaits>[0] | undefined;
      if (snapshot === undefined) return mustHaveEnded(run);
      const inDoubt = await run.inDoubt();
      if (onlyWaits(snapshot, new Set(inDoubt.map(({ call }) => call)))) resolve(inDoubt);
    };
    if (run.getSnapshot() === undefined) return;
    off = run.on('*', () => arm(SETTLE_MS));
    arm(SETTLE_MS);
  });
  promise.catch(() => {});
  const stop = (): void => {
    stopped = true;
    off();
    clock.clearTimeout(timer);
  };
  return { promise, stop };
}

async function mustHaveEnded(run: RunHandle): Promise<void> {
  const { status, endedAt } = await run.summary();
  if (endedAt === undefined)
    throw new StaleOwnerError(
      `This process has let go of run ${run.id}, which is ${status}: troupe recover ${run.id}`,
      {
        run: run.id,
      },
    );
}
