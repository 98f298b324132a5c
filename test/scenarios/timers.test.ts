import { describe, expect, test } from 'vitest';
import { assign, createActor, raise, setup } from 'xstate';
import { durable, type Troupe } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';
import { opened } from '../support/opened.ts';

/** Timers due in the same ms: more than ten, so that their keys in alphabetical order are another order. */

const IN_ORDER = Array.from({ length: 12 }, (_, index) => index + 1);

type Ring = { type: 'RING'; n: number };
const base = setup({
  types: { context: {} as { seen: number[] }, events: {} as Ring, output: {} as number[] },
  actions: { note: assign({ seen: ({ context, event }) => [...context.seen, event.n] }) },
});
const machine = base.createMachine({
  context: { seen: [] },
  entry: IN_ORDER.map((n) =>
    raise<{ seen: number[] }, Ring, Ring, undefined, never>({ type: 'RING', n }, { delay: 20 }),
  ),
  on: { RING: { actions: 'note' } },
  initial: 'ringing',
  states: {
    ringing: { always: { guard: ({ context }) => context.seen.length === IN_ORDER.length, target: 'done' } },
    done: { type: 'final' },
  },
  output: ({ context }) => context.seen,
});
const definition = durable(machine, { name: 'ringing', version: '1' });

const troupeOn = (clock: SimulatedClock, backend = new FaultyStore()): Promise<Troupe> =>
  opened({ clock, backend, definitions: [definition] });

describe('timers that are due at once', () => {
  test('fire as they were scheduled: plain XState', () => {
    const clock = new SimulatedClock();
    const actor = createActor(machine, { clock: clock as never }).start();
    clock.increment(20);
    expect(actor.getSnapshot().output).toEqual(IN_ORDER);
  });

  test('fire as they were scheduled: live, and in replay', async () => {
    const clock = new SimulatedClock();
    const troupe = await troupeOn(clock);
    const run = await troupe.start(definition);
    clock.increment(20);
    expect(await run.result()).toMatchObject({ success: true, data: IN_ORDER });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, summary: { output: IN_ORDER } });
  });

  test('fire as they were scheduled: overdue when the run is recovered', async () => {
    const [clock, store] = [new SimulatedClock(), new FaultyStore()];
    const first = await troupeOn(clock, store);
    await first.start(definition, undefined, { id: 'x' });
    await first.close();
    clock.jump(1_000);
    const second = await troupeOn(clock, store);
    expect(await (await second.attach('x')).result()).toMatchObject({ success: true, data: IN_ORDER });
  });

  test('fire as they were scheduled: not yet due when the run is recovered', async () => {
    const [clock, store] = [new SimulatedClock(), new FaultyStore()];
    const first = await troupeOn(clock, store);
    await first.start(definition, undefined, { id: 'x' });
    await first.close();
    const second = await troupeOn(clock, store);
    clock.increment(20);
    expect(await (await second.attach('x')).result()).toMatchObject({ success: true, data: IN_ORDER });
  });
});
