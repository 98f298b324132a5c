import { pathToFileURL } from 'node:url';
import { assign, fromPromise, setup } from 'xstate';
import { addressOf, createTroupe, durable, embedded, type AnyDefinition } from '../../src/index.ts';
import { list } from './list.ts';

/** A process of its own that owns runs: forked with a directory and what it starts (`definition:run`), it tells its parent what happens. */

export interface Fact {
  /** `rests`: all of its runs are parked. */
  what: 'ready' | 'rests' | 'begun' | 'aborted';
  run?: string;
  /** In ms since the epoch. */
  at: number;
}
const tell = (what: Fact['what'], run?: string): void => void process.send?.({ what, run, at: Date.now() });

/** A call that never ends by itself, and records nothing meanwhile. */
const work = fromPromise(({ signal, self }) => {
  const { run } = addressOf(self);
  tell('begun', run);
  signal.addEventListener('abort', () => tell('aborted', run));
  return new Promise<never>(() => {});
});
const working = setup({ actors: { work } }).createMachine({
  initial: 'working',
  states: { working: { invoke: { src: 'work' } } },
});

/** Goes on by itself, an entry now and then. */
const ticking = setup({ types: { context: {} as { ticks: number } } }).createMachine({
  context: { ticks: 0 },
  initial: 'on',
  states: {
    on: {
      always: { guard: ({ context }) => context.ticks === 9, target: 'off' },
      after: {
        70: { target: 'on', reenter: true, actions: assign({ ticks: ({ context }) => context.ticks + 1 }) },
      },
    },
    off: { type: 'final' },
  },
});

export const definitions = {
  list,
  working: durable(working, { name: 'working', version: '1' }),
  ticking: durable(ticking, { name: 'ticking', version: '1' }),
} satisfies Record<string, AnyDefinition>;

async function main([dir = '', parkAfter = '', ...runs]: string[]): Promise<void> {
  const troupe = await createTroupe({
    backend: embedded({ dir }),
    definitions: Object.values(definitions),
    recover: false,
    parkAfter: parkAfter === '' ? false : Number(parkAfter),
  });
  for (const [name = '', id = ''] of runs.map((run) => run.split(':')))
    await troupe.start(definitions[name as 'list'], undefined, { id });
  tell('ready');
  for (;;) {
    if (troupe.counts.parked === runs.length) tell('rests');
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2));
