import { setImmediate as turn } from 'node:timers/promises';
import { planOf, simulate } from '../../src/testing.ts';
import { workload } from './workload/index.ts';

/** Some of the seeds, in a process of its own: forked with `from` and `count`, it tells its parent of each. */

export interface SeedTold {
  seed: number;
  events: number;
  entries: number;
  ms: number;
  faults: Readonly<Record<string, number>>;
  violations: readonly { promise: string; run: string; what: string }[];
  /** It was run twice, and the traces differ. */
  unlike: boolean;
}

/** One in a hundred is run twice. */
export async function tell(seed: number): Promise<SeedTold> {
  const plan = planOf(seed, workload);
  const begun = performance.now();
  const { events, entries, faults, violations, digest } = await simulate(plan, workload);
  const ms = performance.now() - begun;
  const unlike = seed % 100 === 0 && (await simulate(plan, workload)).digest !== digest;
  return { seed, events, entries, ms, faults, violations: violations.slice(0, 3), unlike };
}

if (process.send !== undefined) {
  const [from = 1, count = 0, step = 1] = process.argv.slice(2).map(Number);
  for (let at = 0; at < count; at += 1) {
    const told = await tell(from + at * step);
    await turn();
    // Whoever has asked is gone.
    if (!process.connected) break;
    process.send(told);
    if (process.env['SIMULATE_STOP'] === 'first' && told.violations.length > 0) break;
  }
  if (process.connected) process.disconnect();
}
