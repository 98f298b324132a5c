import type { CallInDoubt, RunHandle } from 'troupe';

const STILL_MS = 500;

/** Calls `leave` when all that a run still waits for is a person: calls in doubt, and nothing else has moved for a while. */
export function whenInDoubt(run: RunHandle, leave: (calls: readonly CallInDoubt[]) => void): void {
  const underWay = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const calls = await run.inDoubt();
    if (calls.length > 0 && underWay.size === 0) leave(calls);
  };
  run.on('*', ({ type, target }) => {
    if (type === 'leaf.started') underWay.add(target);
    else underWay.delete(target);
    clearTimeout(timer);
    // it may have been closed meanwhile
    timer = setTimeout(() => void look().catch(() => {}), STILL_MS).unref();
  });
}
