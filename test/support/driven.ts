import type { RunHandle } from '../../src/index.ts';
import { until, type SimulatedClock } from './simulatedClock.ts';

/** Lets time pass to whatever is due next until it ends. */
export async function driven(clock: SimulatedClock, run: RunHandle): Promise<Awaited<ReturnType<RunHandle['result']>>> {
  let result: Awaited<ReturnType<RunHandle['result']>> | undefined;
  void run.result().then((own) => (result = own));
  await until(() => {
    const { nextDue } = clock;
    if (result === undefined && nextDue !== undefined && nextDue - clock.now() < 60_000)
      clock.increment(Math.max(0, nextDue - clock.now()));
    return result !== undefined;
  }, 'it has ended');
  return result as Awaited<ReturnType<RunHandle['result']>>;
}
