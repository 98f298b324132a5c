import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SeedTold } from '../sweep.ts';
import { planted, type Planted } from './planted.ts';

/** Every planted bug must be found within 5,000 seeds: `npm run test:planted [-- name …]`. Two at a time. */

const SEEDS = Number(process.env['PLANTED_SEEDS'] ?? 5_000);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const names = process.argv.slice(2);
const waiting = planted.filter(({ name }) => names.length === 0 || names.includes(name));
let missed = 0;

const find = ({ name }: Planted): Promise<SeedTold | undefined> =>
  new Promise((resolve) => {
    let found: SeedTold | undefined;
    const child = fork(here('../sweep.ts'), ['1', String(SEEDS), '1'], {
      execArgv: [...process.execArgv, '--import', here('plant.ts')],
      env: { ...process.env, PLANTED: name, SIMULATE_STOP: 'first' },
    });
    child.on('message', (told) => {
      if ((told as SeedTold).violations.length > 0) found ??= told as SeedTold;
    });
    child.on('exit', (code) => {
      // A bug that keeps the sources from being loaded shows nothing.
      if (found === undefined && code !== 0) console.log(`${name}: its process ended with ${String(code)}`);
      resolve(found);
    });
  });

async function work(): Promise<void> {
  for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
    const begun = performance.now();
    const found = await find(bug);
    const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
    const [first] = found?.violations ?? [];
    if (found === undefined) missed += 1;
    const how =
      first === undefined
        ? `NOT FOUND in ${SEEDS}`
        : `seed ${found?.seed}: ${first.promise} ${first.what.slice(0, 90)}`;
    console.log(`${bug.name.padEnd(34)} ${bug.promise.padEnd(6)} ${seconds.padStart(6)} s  ${how}`);
  }
}

await Promise.all([work(), work()]);
console.log(missed === 0 ? 'all were found' : `${missed} were not found`);
process.exitCode = missed === 0 ? 0 : 1;
