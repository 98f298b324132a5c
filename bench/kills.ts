import { fromPromise, setup, spawnChild, type AnyStateMachine } from 'xstate';
import {
  childRun,
  createTroupe,
  durable,
  embedded,
  type DurableDefinition,
  type Receipt,
  type Troupe,
} from '../src/index.ts';
import { must, scaled, scratch, type Figures } from './measure.ts';

/** Ms until a kill's receipt is complete, of a tree of a thousand actors. */

const KILLS = scaled(100);
/** The first ones run code that is not compiled yet. */
const WARM_UP = 5;

const work = fromPromise<unknown>(() => new Promise(() => {}));

/** Machines in one run, five levels deep: 2 + 10 + 100 + 400 + 400 and more actors. */
function oneRun(): DurableDefinition {
  const below = (count: number, child: AnyStateMachine): AnyStateMachine =>
    setup({ actors: { child } }).createMachine({
      entry: Array.from({ length: count }, (_, index) => spawnChild('child', { id: `c${index}` })),
    });
  const last = setup({ actors: { work } }).createMachine({ invoke: { src: 'work' } });
  return durable(below(10, below(10, below(5, last))), { name: 'one', version: '1' });
}

/** Runs that begin runs: one begins 3, these 9 each, and these 8 each: 247 runs, each with a call of its own. */
function manyRuns(): DurableDefinition {
  const level = (name: string, count: number, below?: DurableDefinition): DurableDefinition => {
    const child = below === undefined ? work : childRun(below);
    const children = Array.from({ length: count }, (_, index) => ({ src: 'child' as const, id: `c${index}` }));
    const machine = setup({ actors: { work, child } }).createMachine({ invoke: [{ src: 'work' }, ...children] });
    return durable(machine, { name, version: '1' });
  };
  return level('first', 3, level('second', 9, level('third', 8, level('fourth', 0))));
}

async function kills(
  begin: (troupe: Troupe, index: number) => Promise<() => Promise<Receipt>>,
  dir?: string,
): Promise<Figures> {
  const took: number[] = [];
  let actors = 0;
  for (let index = 0; index < WARM_UP + KILLS; index += 1) {
    const troupe = await createTroupe({ backend: embedded(dir === undefined ? {} : { dir }) });
    const kill = await begin(troupe, index);
    const since = performance.now();
    const receipt = await kill();
    if (index >= WARM_UP) took.push(performance.now() - since);
    actors = receipt.runs.reduce((sum, { stopped }) => sum + stopped.length, 0);
    must(receipt.unanswered.length === 0 && troupe.counts.live === 0, 'something lives on');
    await troupe.close();
  }
  const sorted = took.toSorted((a, b) => a - b);
  // By nearest rank: so large a share of them took no longer.
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? NaN;
  return { median: at(0.5), p99: at(0.99), actors };
}

/** Resolves when its tree is there. */
async function grown(troupe: Troupe, runs: number): Promise<void> {
  while (troupe.counts.live < runs) await new Promise((resolve) => setImmediate(resolve));
  // The last of them begin their calls.
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

const killed = (definition: DurableDefinition, runs: number) => async (troupe: Troupe, index: number) => {
  const run = await troupe.start(definition, undefined, { id: `run-${index}` });
  await grown(troupe, runs);
  return () => run.kill('bench');
};

export const KILL_VARIANTS = {
  'kill-one': () => kills(killed(oneRun(), 1)),
  'kill-many': () => kills(killed(manyRuns(), 247)),
  'kill-many-disk': () => kills(killed(manyRuns(), 247), scratch()),
};
