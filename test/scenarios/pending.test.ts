import { expect, test } from 'vitest';
import { setup } from 'xstate';
import { durable, type Troupe } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';
import { opened } from '../support/opened.ts';

/** What unfinished runs wait for, and which they are, as any process can ask. */

const reminder = durable(
  setup({ types: { events: {} as { type: 'DONE' } | { type: 'LATER' } } }).createMachine({
    initial: 'soon',
    states: {
      soon: { after: { 3_600_000: 'over', 7_200_000: 'over' }, on: { DONE: 'over', LATER: 'asked' } },
      asked: { on: { DONE: 'over' } },
      over: { type: 'final' },
    },
  }),
  { name: 'reminder', version: '1' },
);

test('when its next timer is due can be asked where a run lives and elsewhere, and begins nothing', async () => {
  const clock = new SimulatedClock();
  const backend = new FaultyStore();
  const owner = await opened({ clock, backend, definitions: [reminder] });
  const other = await opened({ clock, backend, definitions: [reminder], recover: false });
  const run = await owner.start(reminder, undefined, { id: 'r' });
  const { startedAt = NaN } = await run.summary();
  const there = await other.attach('r');
  expect(await run.pending()).toMatchObject({ due: startedAt + 3_600_000, inDoubt: [], approvals: [] });
  expect((await there.pending()).due).toBe(startedAt + 3_600_000);
  expect(other.counts).toEqual({ live: 0, parked: 0 });
  await run.send({ type: 'LATER' });
  expect((await run.pending()).due).toBeNull();
  expect((await there.pending()).due).toBeNull();
});

test('unfinished runs are listed without those that have ended, of a tenant too', async () => {
  const troupe = await opened({ clock: new SimulatedClock(), definitions: [reminder] });
  await troupe.start(reminder, undefined, { id: 'a', tenant: 'acme' });
  await troupe.start(reminder, undefined, { id: 'b' });
  const over = await troupe.start(reminder, undefined, { id: 'over', tenant: 'acme' });
  await over.send({ type: 'DONE' });
  await over.result();
  const ids = async (filter: Parameters<Troupe['runs']>[0]): Promise<string[]> =>
    (await troupe.runs(filter)).map(({ run }) => run);
  expect(await ids({ unfinished: true })).toEqual(['a', 'b']);
  expect(await ids({ unfinished: true, tenant: 'acme' })).toEqual(['a']);
  expect(await ids({ tenant: 'acme' })).toEqual(['a', 'over']);
  expect(await troupe.runs({ status: 'completed' })).toMatchObject([{ run: 'over', tenant: 'acme', parent: null }]);
});
