/** `npm run bench`: each variant in a process of its own, in rounds of shuffled order; medians and ratios within a round. */
import { execFileSync } from 'node:child_process';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const VARIANTS = ['xstate', 'sqlite', 'memory', 'process', 'disk', 'process-irreversible'] as const;
type Variant = (typeof VARIANTS)[number];
type Round = Record<Variant, number>;

const run = (variant: Variant): number =>
  Number(
    execFileSync(
      process.execPath,
      ['--expose-gc', '--conditions=troupe-source', new URL('step.ts', import.meta.url).pathname, variant],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    ),
  );

function round(): Round {
  const order = VARIANTS.map((variant) => ({ variant, at: Math.random() })).sort((a, b) => a.at - b.at);
  return Object.fromEntries(order.map(({ variant }) => [variant, run(variant)])) as Round;
}

const spread = (values: readonly number[]): string => {
  const sorted = values.toSorted((a, b) => a - b);
  const show = (value: number | undefined): string => (value ?? NaN).toFixed(value !== undefined && value < 10 ? 2 : 1);
  return `${show(sorted[Math.floor(sorted.length / 2)])} [${show(sorted[0])}–${show(sorted.at(-1))}]`;
};

const rounds = Array.from({ length: ROUNDS }, (_, index) => {
  process.stderr.write(`round ${index + 1} of ${ROUNDS}\n`);
  return round();
});
const row = (what: string, value: (one: Round) => number, bar = ''): void =>
  console.log(`${what.padEnd(76)}${spread(rounds.map(value)).padEnd(26)}${bar}`);

console.log(
  `\nµs per step of a run of ten, one run at a time: median [min–max] of ${ROUNDS} rounds, Node ${process.version}\n`,
);
row('raw XState, an invoked promise', (r) => r.xstate);
row('raw node:sqlite, WAL, synchronous=NORMAL, an autocommitted insert', (r) => r.sqlite);
row('troupe, in memory (survives nothing)', (r) => r.memory);
row('troupe, level process, idempotent (survives kill -9)', (r) => r.process);
row('troupe, level disk, idempotent (survives power loss)', (r) => r.disk);
row('troupe, level process, irreversible (its intent is on disk before it begins)', (r) => r['process-irreversible']);
console.log('\nratios, within a round\n');
row('in memory / raw XState', (r) => r.memory / r.xstate, 'bar: 2');
row('level process / (raw XState + raw insert)', (r) => r.process / (r.xstate + r.sqlite), 'bar: 1.75');
