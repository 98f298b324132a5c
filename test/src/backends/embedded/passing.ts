import { setImmediate as turn } from 'node:timers/promises';
import type { SimulatedClock } from '../../../support/simulatedClock.ts';

const STEP_MS = 10;

/** Lets time pass in small steps; after each what came due is done. */
export const passing =
  (clock: SimulatedClock) =>
  async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= STEP_MS) {
      clock.increment(Math.min(STEP_MS, left));
      do await turn();
      while (clock.pendingTurns > 0);
    }
  };
