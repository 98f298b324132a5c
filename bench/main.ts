/**
 * `npm run bench`: each variant in a process of its own, in rounds of shuffled order; medians, and ratios within a round.
 * `npm run bench -- step replay` asks only these. BENCH_ROUNDS, BENCH_MS and BENCH_SCALE: see README.md.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { median } from './measure.ts';
import { run } from './run.ts';
import { QUESTIONS, type At, type Question, type Round, type Row, type Variant } from './table.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const RIVALS = fileURLToPath(new URL('rivals/node_modules', import.meta.url));

function asked(names: readonly string[]): [string, Question][] {
  const wrong = names.filter((name) => QUESTIONS[name] === undefined);
  if (wrong.length > 0) throw new Error(`Ask ${Object.keys(QUESTIONS).join(', ')}, not ${wrong.join(', ')}.`);
  if (names.includes('rivals') && !existsSync(RIVALS))
    throw new Error('The rivals are not installed: npm ci --ignore-scripts --prefix bench/rivals');
  // They are asked by name only: they are another 170 packages.
  const all = Object.entries(QUESTIONS);
  return all.filter(([name]) => (names.length === 0 ? name !== 'rivals' : names.includes(name)));
}

const shuffled = <T>(list: Iterable<T>): T[] =>
  [...list]
    .map((one) => ({ one, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);

function round(variants: ReadonlySet<Variant>): Round {
  const figures: Round = new Map();
  for (const variant of shuffled(variants)) {
    try {
      figures.set(variant, run(variant));
    } catch (error) {
      // The others are worth knowing all the same.
      process.exitCode = 1;
      console.error(`${variant}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return figures;
}

const shown = (value: number): string =>
  Math.abs(value) < 10 ? value.toFixed(2) : Math.abs(value) < 1_000 ? value.toFixed(1) : Math.round(value).toString();

function line(rounds: readonly Round[], { what, survives, of, bar }: Row): string {
  const values = rounds
    .map((figures) => of(((variant, figure = 'us') => figures.get(variant)?.[figure] ?? NaN) satisfies At))
    .filter((value) => Number.isFinite(value));
  const middle = median(values);
  const spread = `${shown(middle)} [${shown(Math.min(...values))}–${shown(Math.max(...values))}]`;
  const measured = values.length === 0 ? 'no figures' : spread;
  const missing = values.length < rounds.length ? `  ${values.length} of ${rounds.length} rounds` : '';
  return `${what.padEnd(67)}${(survives ?? '').padEnd(37)}${measured.padEnd(28)}${judged(middle, bar)}${missing}`;
}

function judged(middle: number, bar: Row['bar']): string {
  if (bar === undefined) return '';
  const [says, met] =
    'atMost' in bar
      ? [`at most ${bar.atMost}`, middle <= bar.atMost]
      : [`at least ${bar.atLeast}`, middle >= bar.atLeast];
  return `${says}: ${met ? 'met' : 'not met'}`;
}

const questions = asked(process.argv.slice(2));
const variants = new Set(questions.flatMap(([, question]) => question.variants));
const rounds = Array.from({ length: ROUNDS }, (_, index) => {
  console.error(`round ${index + 1} of ${ROUNDS}: ${variants.size} processes`);
  return round(variants);
});

console.log(`\nmedian [min–max] of ${ROUNDS} rounds, Node ${process.version}`);
if (process.env['BENCH_SCALE'] !== undefined)
  console.log('BENCH_SCALE is set: the counts that are named are not those that ran');
for (const [name, { says, figures, ratios }] of questions) {
  console.log(`\n${name}: ${says}\n`);
  for (const row of figures) console.log(line(rounds, row));
  if (ratios.length > 0) console.log('\nratios, within a round\n');
  for (const row of ratios) console.log(line(rounds, row));
}
