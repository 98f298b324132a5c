import { setTimeout as later } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { createActor } from 'xstate';
import { createTroupe, durable, embedded, type EmbeddedOptions, type Troupe } from '../src/index.ts';
import { answer, collectGarbage, must, scaled, scratch, type Figures } from './measure.ts';
import { idle } from './workload.ts';

/** What does a run weigh that does nothing? In bytes each, beyond what the first ones took. */

// Otherwise V8 lets go, at some time, of code that ran once: Node's type stripping alone is 5 MB, 50 bytes for each of 100,000 runs.
setFlagsFromString('--no-flush-bytecode');

const waits = durable(idle, { name: 'waits', version: '1' });
const first = (count: number): number => Math.ceil(count / 5);
const IN_FLIGHT = 100;
const PARKED_MS = 300_000;

async function weigh(count: number, make: (count: number) => Promise<void>): Promise<Figures> {
  const weight = async (): Promise<{ heap: number; rss: number }> => {
    for (let i = 0; i < 3; i += 1) {
      collectGarbage();
      await later(30);
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    // What array buffers take is part of `external`.
    return { heap: heapUsed + external, rss };
  };
  await make(first(count));
  const before = await weight();
  await make(count);
  const after = await weight();
  return { heap: (after.heap - before.heap) / count, rss: (after.rss - before.rss) / count, count };
}

async function xstate(count: number): Promise<Figures> {
  const kept: { send(event: { type: 'NEXT' }): void; getSnapshot(): { value: unknown } }[] = [];
  const figures = await weigh(count, async (more) => {
    for (let i = 0; i < more; i += 1) kept.push(createActor(idle).start());
  });
  must(kept.length === count + first(count), 'an actor is missing');
  const [one] = kept;
  one?.send({ type: 'NEXT' });
  must(one?.getSnapshot().value === 'planning', 'it is not alive');
  return figures;
}

async function troupe(count: number, parks: boolean, options: EmbeddedOptions): Promise<Figures> {
  const backend = embedded(options);
  const own = await createTroupe({ backend, definitions: [waits], parkAfter: parks ? 0 : false });
  let started = 0;
  const figures = await weigh(count, async (more) => {
    const goal = started + more;
    const starter = async (): Promise<void> => {
      while (started < goal)
        await own.start(waits, undefined, { id: `idle-${String((started += 1)).padStart(11, '0')}` });
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, starter));
    await until(own, parks ? { live: 0, parked: goal } : { live: goal, parked: 0 });
  });
  const run = await own.attach('idle-00000000001', waits);
  await run.send({ type: 'NEXT' });
  // A run that was woken and waits again may rest before it is looked at: its journal says the same.
  const { actors } = await own.replay(run.id);
  must(JSON.stringify(actors).includes('planning'), 'it is not alive');
  await own.close();
  return figures;
}

/** @throws when it takes too long */
async function until(own: Troupe, { live, parked }: Troupe['counts']): Promise<void> {
  for (let waited = 0; own.counts.live !== live || own.counts.parked !== parked; waited += 10) {
    must(waited < PARKED_MS, `${JSON.stringify(own.counts)} runs, not ${JSON.stringify({ live, parked })}`);
    await later(10);
  }
}

await answer({
  xstate: () => xstate(scaled(20_000)),
  live: () => troupe(scaled(20_000), false, {}),
  parked: () => troupe(scaled(100_000), true, { dir: scratch() }),
});
