import { expect, test } from 'vitest';
import { assign, cancel, createActor, raise, setup, type ActorLogic, type AnyEventObject, type Snapshot } from 'xstate';
import { durable } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';
import { opened } from '../support/opened.ts';

/** Logic that is neither a machine nor one of XState's own, and corners of XState that a run must share. */

type Count = Snapshot<number> & { n: number };

/** Begins something outside, and keeps in its own state what it hears. Done at the third GO. */
const counting = (begin: (send: () => void) => void): ActorLogic<Count, AnyEventObject, undefined> => ({
  transition: (state, event) => {
    if (event.type !== 'GO') return state;
    const n = state.n + 1;
    return n === 3 ? { status: 'done', n, output: n, error: undefined } : { ...state, n };
  },
  getInitialSnapshot: () => ({ status: 'active', n: 0, output: undefined, error: undefined }),
  getPersistedSnapshot: (state) => state,
  start: (_, { self }) => begin(() => self.send({ type: 'GO' })),
});

const counted = (begin: (send: () => void) => void) =>
  durable(
    setup({
      types: { context: {} as { n: number }, output: {} as number },
      actors: { own: counting(begin) },
    }).createMachine({
      context: { n: 0 },
      initial: 'counting',
      states: {
        counting: {
          invoke: { src: 'own', onDone: { target: 'end', actions: assign({ n: ({ event }) => event.output }) } },
        },
        end: { type: 'final' },
      },
      output: ({ context }) => context.n,
    }),
    { name: 'counted', version: '1' },
  );

test('what a logic of its own keeps in its state is there in a replay, and after a crash', async () => {
  const store = new FaultyStore();
  const clock = new SimulatedClock();
  let go!: () => void;
  const definition = counted((send) => (go = send));
  const first = await opened({ backend: store, clock, definitions: [definition] });
  const run = await first.start(definition, undefined, { id: 'x' });
  go();
  go();
  for await (const { seq, type } of run.entries()) if (type === 'message.received' && seq >= 4) break;
  await first.close();
  const second = await opened({ backend: store, clock, definitions: [definition] });
  go();
  expect((await (await second.attach('x', definition)).result()).data).toBe(3);
  expect(await second.replay('x')).toMatchObject({ status: 'completed' });
});

test('of two sends with one id the first that fires frees the id, as in XState', async () => {
  const machine = setup({
    types: { context: {} as { n: number }, events: {} as { type: 'T' }, output: {} as number },
  }).createMachine({
    context: { n: 0 },
    initial: 'waiting',
    entry: [raise({ type: 'T' }, { delay: 20, id: 'd' }), raise({ type: 'T' }, { delay: 40, id: 'd' })],
    on: { T: { actions: [assign({ n: ({ context }) => context.n + 1 }), cancel('d')] } },
    states: { waiting: { after: { 100: 'end' } }, end: { type: 'final' } },
    output: ({ context }) => context.n,
  });
  const plain = new SimulatedClock();
  const actor = createActor(machine, { clock: plain as never }).start();
  plain.increment(100);
  const clock = new SimulatedClock();
  const definition = durable(machine, { name: 'twice', version: '1' });
  const troupe = await opened({ clock, definitions: [definition] });
  const run = await troupe.start(definition);
  while (run.status === 'running') {
    clock.increment(20);
    await new Promise(setImmediate);
  }
  expect([actor.getSnapshot().output, (await run.result()).data]).toEqual([2, 2]);
});

test('a body that ends in its first transition has its last snapshot', async () => {
  const troupe = await opened();
  const machine = setup({}).createMachine({ initial: 'end', states: { end: { type: 'final' } } });
  const run = await troupe.start(durable(machine, { name: 'ended', version: '1' }));
  await run.result();
  expect(run.getSnapshot()).toMatchObject({ status: 'done', value: 'end' });
});

test('a machine whose context is deeper than JSON can go can be run', async () => {
  let context: object = {};
  for (let depth = 0; depth < 5_000; depth += 1) context = { context };
  const machine = setup({}).createMachine({ context, initial: 'end', states: { end: { type: 'final' } } });
  const troupe = await opened();
  const run = await troupe.start(durable(machine, { name: 'deep', version: '1' }));
  expect((await run.result()).success).toBe(true);
});

test('an event that throws when it is read is refused with a typed error', async () => {
  const troupe = await opened();
  const machine = setup({}).createMachine({ initial: 'open', states: { open: {} } });
  const run = await troupe.start(durable(machine, { name: 'open', version: '1' }));
  const hostile = {
    get type(): string {
      throw new Error('mine');
    },
  };
  const thrower = (): never => {
    throw new Error('mine');
  };
  const proxy = new Proxy({ type: 'P' }, { get: thrower });
  await expect(run.send(hostile)).rejects.toMatchObject({ code: 'VALIDATION' });
  await expect(run.send(proxy)).rejects.toMatchObject({ code: 'VALIDATION' });
});
