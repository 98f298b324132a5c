import type { Origin } from './entry.ts';
import type { RunId } from './ids.ts';

/**
 * Whose run took entry `seq`: its own, or of a fork, up to where it was forked, the run it comes from.
 * A fork may itself be forked before the place where it began to be one.
 */
export function takerOf(run: RunId, origins: readonly Origin[], seq: number): RunId {
  let taker = run;
  for (let nearest = origins.length - 1; nearest >= 0; nearest -= 1) {
    const origin = origins[nearest];
    if (origin === undefined || seq > origin.at) break;
    taker = origin.run;
  }
  return taker;
}
