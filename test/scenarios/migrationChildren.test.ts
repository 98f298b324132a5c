import { describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { childRun, durable, type Troupe } from '../../src/index.ts';
import { firstOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { still } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What a run has begun is needed for as long as the run is not begun again with another version: that is on record, or it has not happened. */

const opened = openedWith({ report: () => {} });

const child = durable(
  setup({ types: { events: {} as { type: 'ANSWER' }, output: {} as string } }).createMachine({
    initial: 'waiting',
    states: { waiting: { on: { ANSWER: 'done' } }, done: { type: 'final' } },
    output: () => 'rain',
  }),
  { name: 'child', version: '1' },
);
const parent = durable(
  setup({
    types: { context: {} as { told: string }, output: {} as string },
    actors: { child: childRun(child) },
  }).createMachine({
    context: { told: '' },
    initial: 'asking',
    states: {
      asking: {
        invoke: {
          src: 'child',
          onDone: { target: 'done', actions: assign({ told: ({ event }) => event.output }) },
          onError: { target: 'done', actions: assign({ told: 'nothing' }) },
        },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.told,
  }),
  { name: 'parent', version: '1' },
);
const migratedBy = (to: () => never) =>
  durable(setup({}).createMachine({ initial: 'new', states: { new: {} } }), {
    name: 'parent',
    version: '2',
    migrate: { from: parent, to },
  });
const next = migratedBy(() => undefined as never);

/** A parent, `p`, whose child waits for an answer; nobody owns them. */
async function left() {
  const store = new FaultyStore();
  const first = await opened({ backend: store });
  const run = await first.start(parent, undefined, { id: 'p' });
  const begun = await firstOf(run, 'leaf.started');
  const childId = begun?.type === 'leaf.started' ? (begun.event.child?.run ?? '') : '';
  await still();
  await first.close();
  return { store, childId };
}

/** Both go on with the version before: the child is told, and its parent by it. */
async function answered(troupe: Troupe, childId: string): Promise<unknown> {
  await (await troupe.attach(childId, child)).send({ type: 'ANSWER' });
  return (await (await troupe.attach('p', parent)).result()).data;
}

describe('a child run', () => {
  test('lives on where its parent’s migration throws', async () => {
    const { store, childId } = await left();
    const throwing = migratedBy(() => {
      throw new Error('not like this');
    });
    const second = await opened({ backend: store, definitions: [throwing] });
    await still();
    await second.close();
    const third = await opened({ backend: store, definitions: [parent, child] });
    expect(await answered(third, childId)).toBe('rain');
  });

  test('lives on where somebody else takes its parent over before the migration is on record', async () => {
    const { store, childId } = await left();
    const append = store.holdOnce('append');
    const second = opened({ backend: store, definitions: [next] });
    await append.reached;
    const third = await opened({ backend: store, definitions: [parent, child] });
    append.release();
    await second;
    expect(await answered(third, childId)).toBe('rain');
  });

  test.each(['put', 'written'] as const)(
    'is killed by the next owner of a parent whose process dies once its migration is on record: %s',
    async (operation) => {
      const { store, childId } = await left();
      const put = store.holdOnce(operation);
      const second = opened({ backend: store, definitions: [next] }).catch((error: unknown) => error);
      await put.reached;
      store.crash();
      put.release();
      await second;
      const third = await opened({ backend: store, definitions: [next] });
      expect((await (await third.attach(childId)).result()).metadata.status).toBe('killed');
      const run = await third.attach('p', next);
      expect([run.status, run.getSnapshot()?.value]).toEqual(['running', 'new']);
      const { byType } = await run.summary();
      expect([byType['run.continued'].count, byType['run.recovered'].count]).toEqual([1, 2]);
    },
  );
});
