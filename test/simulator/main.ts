import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { SeedTold } from './sweep.ts';

/**
 * Many seeds: `npm run test:simulate`. SIMULATE_SEEDS (100000), SIMULATE_FROM (1) and SIMULATE_WORKERS (2, or fewer processors) say which.
 * Says what was found and how each is told again; fails when anything was.
 */

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const seeds = number('SIMULATE_SEEDS', 100_000);
const from = number('SIMULATE_FROM', 1);
const workers = Math.min(seeds, number('SIMULATE_WORKERS', Math.min(2, availableParallelism())));

const found: SeedTold[] = [];
const faults = new Map<string, number>();
const total = { seeds: 0, events: 0, entries: 0 };

const heard = (told: SeedTold): void => {
  total.seeds += 1;
  total.events += told.events;
  total.entries += told.entries;
  for (const [kind, count] of Object.entries(told.faults)) faults.set(kind, (faults.get(kind) ?? 0) + count);
  if (told.unlike || told.violations.length > 0) {
    found.push(told);
    show(told);
  }
};

function show({ seed, unlike, violations }: SeedTold): void {
  for (const { promise, run, what } of violations) console.log(`seed ${seed}: ${promise} broken by ${run}: ${what}`);
  if (unlike) console.log(`seed ${seed}: run twice, it left two traces`);
  console.log(`  again: npm run simulate -- --seed ${seed} --shrink`);
}

const worker = (at: number): Promise<number> =>
  new Promise((resolve) => {
    const count = Math.floor((seeds - at + workers - 1) / workers);
    const given = [from + at, count, workers].map(String);
    const child = fork(fileURLToPath(new URL('sweep.ts', import.meta.url)), given);
    child.on('message', (told) => heard(told as SeedTold));
    child.on('exit', (code) => resolve(code ?? 1));
  });

const begun = performance.now();
const codes = await Promise.all(Array.from({ length: workers }, (_, at) => worker(at)));
const seconds = (performance.now() - begun) / 1_000;
const each = (sum: number): string => (sum / Math.max(1, total.seeds)).toFixed(0);
console.log(
  `${total.seeds} seeds from ${from} in ${seconds.toFixed(1)} s: ${((total.seeds / seconds) * 60).toFixed(0)} a minute by ${workers} processes; ` +
    `${each(total.events)} events and ${each(total.entries)} entries each`,
);
console.log(`faults: ${[...faults].map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
console.log(found.length === 0 ? 'no promise was broken' : `${found.length} seeds broke a promise`);
process.exitCode = found.length === 0 && total.seeds === seeds && codes.every((code) => code === 0) ? 0 : 1;
