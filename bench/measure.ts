import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STEPS } from './workload.ts';

/** What every variant stands on: it is a process of its own, which is given its name and prints one line of JSON. */

export type Figures = Record<string, number>;

/** How long a window is; its warm-up is half as long. */
export const FOR_MS = Number(process.env['BENCH_MS'] ?? 1_500);
/** Below 1: fewer runs and entries than the rows say, to see whether a bench works. Its figures mean nothing then. */
const SCALE = Number(process.env['BENCH_SCALE'] ?? 1);
export const scaled = (count: number): number => Math.max(10, Math.round(count * SCALE));

export async function answer(variants: Record<string, () => Promise<Figures>>): Promise<void> {
  const [, , name = ''] = process.argv;
  const variant = variants[name];
  if (variant === undefined) throw new Error(`Which one? ${Object.keys(variants).join(', ')}`);
  console.log(JSON.stringify(await variant()));
}

/** A bench that measures something else than it says is a defect. */
export function must(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(`The bench does not measure what it says: ${what}.`);
}

/** A directory that is gone when the process is. */
export function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-bench-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function collectGarbage(): void {
  must(globalThis.gc !== undefined, 'node was started without --expose-gc');
  globalThis.gc();
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** A window is bounded in runs too: what is kept of them in memory would otherwise be measured as well. */
const MAX_RUNS = 10_000;
/** A variant that waits for a disk is as warm as the others before it is measured. */
const WARM_RUNS = 1_500;
const WARM_UP_AT_MOST_MS = 8_000;

export interface Load {
  /** Runs under way at once. */
  inFlight?: number;
  steps?: number;
  warmUpMs?: number;
}

/** Runs `one` for a while: µs per step, and from when to when on the monotonic clock, in µs. Every run that is begun in the window is waited for, and counts. */
export async function measure(
  one: (index: number) => Promise<void>,
  { inFlight = 1, steps = STEPS, warmUpMs = FOR_MS / 2 }: Load = {},
): Promise<Figures> {
  let index = 0;
  const window = async (forMs: number, least = 0): Promise<number> => {
    const begin = performance.now();
    const end = begin + forMs;
    const before = index;
    const worker = async (): Promise<void> => {
      do await one((index += 1));
      while (
        (performance.now() < end || (index - before < least && performance.now() < begin + WARM_UP_AT_MOST_MS)) &&
        index - before < MAX_RUNS
      );
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    return index - before;
  };
  await window(warmUpMs, scaled(WARM_RUNS));
  collectGarbage();
  const from = process.hrtime.bigint();
  const runs = await window(FOR_MS);
  const to = process.hrtime.bigint();
  const ns = Number(to - from);
  return {
    us: ns / 1_000 / runs / steps,
    runs,
    steps: runs * steps,
    from: Number(from / 1_000n),
    to: Number(to / 1_000n),
  };
}
