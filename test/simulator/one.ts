import { parseArgs } from 'node:util';
import { planOf, shrink, simulate, only, namesIn } from '../../src/testing.ts';
import { workload } from './workload/index.ts';

/** One seed, told in full: `npm run simulate -- --seed 7 [--shrink] [--keep r0,f1] [--quiet]`. */

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    keep: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
const whole = planOf(Number(values.seed ?? 1), workload);
let plan = values.keep === undefined ? whole : only(whole, new Set(values.keep.split(',')));
let outcome = await simulate(plan, workload);
const [first] = outcome.violations;
if (values.shrink && first !== undefined) {
  const shrunk = await shrink(plan, first.promise, (smaller) => simulate(smaller, workload));
  plan = shrunk.plan;
  outcome = await simulate(plan, workload);
  console.log(`shrunk in ${shrunk.tries} tries to --keep ${namesIn(plan).join(',')}`);
}
const { runs, acts, faults, ...rest } = plan;
console.log(JSON.stringify(rest));
for (const part of [...runs, ...acts, ...faults]) console.log(`  ${JSON.stringify(part)}`);
if (!values.quiet) console.log(outcome.trace.join('\n'));
console.log(`seed ${outcome.seed}: ${outcome.events} events, ${outcome.entries} entries, trace ${outcome.digest}`);
for (const { promise, run, what, at } of outcome.violations)
  console.log(`${promise} broken by ${run} at ${at.toFixed(0)} ms: ${what}`);
process.exitCode = outcome.violations.length === 0 ? 0 : 1;
