import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { childRun, durable, StorageError, type DurableDefinition } from '../../src/index.ts';
import { deafTool } from '../support/deaf.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { pass, SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** What owners do where whoever has thrown a kill switch does not come to their runs. */

const opened = openedWith({ report: () => {}, principal: 'ana' });

/** Two on one store: what `thrower` appends is refused, so that it comes to nothing but the switch itself. */
async function together(options: { parkAfter?: number } = {}) {
  const [store, clock] = [new FaultyStore(), new SimulatedClock()];
  const thrower = await opened({ backend: store, clock });
  for (const owner of store.owners) store.refused.add(owner);
  const owner = await opened({ backend: store, clock, ...options });
  return { store, clock, thrower, owner };
}

const idle = durable(
  setup({ types: { events: {} as { type: 'GO' } } }).createMachine({
    initial: 'idle',
    states: { idle: { on: { GO: 'done' } }, done: { type: 'final' } },
  }),
  { name: 'idle', version: '1' },
);

/** Ends by itself where its child has failed. */
const calling = (name: string, child: DurableDefinition | ReturnType<typeof deafTool>['deaf']) =>
  durable(
    setup({ types: { events: {} as { type: 'WAKE' } }, actors: { child: childRun(child) } }).createMachine({
      initial: 'calling',
      states: {
        calling: { on: { WAKE: {} }, invoke: { src: 'child', input: {}, onDone: 'done', onError: 'rescued' } },
        done: { type: 'final' },
        rescued: { type: 'final' },
      },
    }),
    { name, version: '1' },
  );

describe('an owner', () => {
  test('tells all of its runs to stop, two seconds later, whatever the others do', async () => {
    const { clock, thrower, owner } = await together();
    const told: number[] = [];
    const since = clock.now();
    const { deaf, counts } = deafTool(() => told.push(clock.now() - since));
    for (const id of ['a', 'b', 'c']) await owner.start(deaf, {}, { id });
    await until(() => counts.begun === 3, 'all of them work');
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await pass(clock, 3_000);
    expect(told).toEqual([2_000, 2_000, 2_000]);
  });

  test('kills parents before what they have begun', async () => {
    const { clock, thrower, owner } = await together({ parkAfter: 500 });
    const { deaf, counts } = deafTool();
    const run = await owner.start(calling('parent', deaf), undefined, { id: 'p' });
    await until(() => counts.begun === 1, 'its child works');
    await pass(clock, 2_000);
    // It has rested, so it lives behind its child; somebody looks at it, so it stays.
    run.on('*', () => {});
    await run.send({ type: 'WAKE' });
    await still();
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await pass(clock, 5_000);
    expect((await owner.runs()).map(({ status }) => status)).toEqual(['killed', 'killed']);
  });

  test('kills what it can, where it cannot kill all', async () => {
    const { store, clock, thrower, owner } = await together({ parkAfter: 500 });
    for (const id of ['a', 'b']) await owner.start(idle, undefined, { id });
    await pass(clock, 2_000);
    store.refused.add('a');
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await pass(clock, 3_000);
    expect((await owner.attach('b')).status).toBe('killed');
    store.refused.delete('a');
    await pass(clock, 2_000);
    expect((await owner.attach('a')).status).toBe('killed');
  });

  test('kills nothing by a switch that was lifted, though it was not told yet', async () => {
    const { store, clock, thrower, owner } = await together();
    const other = await opened({ backend: store, clock });
    await owner.start(idle, undefined, { id: 'x' });
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await pass(clock, 1_900, 100);
    const watches = store.holdWatches();
    await other.lift({ all: true });
    await pass(clock, 500, 100);
    watches.release();
    await pass(clock, 3_000);
    expect((await owner.runs()).map(({ status }) => status)).toEqual(['running']);
  });

  test('leaves each switch to whoever has thrown it for two seconds', async () => {
    const [store, clock, working] = [new FaultyStore(), new SimulatedClock(), new Working()];
    const owner = await opened({ backend: store, clock });
    const thrower = await opened({ backend: store, clock });
    await owner.start(working.definition(), undefined, { id: 'x', tenant: 'acme' });
    await until(() => working.running === 1, 'it works');
    await still();
    await thrower.kill({ tenant: 'other' });
    await pass(clock, 1_900, 100);
    const held = store.holdOnce('append', 'x');
    const killing = thrower.kill({ tenant: 'acme' });
    await held.reached;
    await pass(clock, 1_000, 100);
    held.release();
    const { runs } = await killing;
    expect(runs[0]?.stopped.map(({ actor }) => actor)).toContain('body/work');
  });

  test('that is closed has no timer left, though its calls ignore their signal', async () => {
    const { clock, thrower, owner } = await together();
    const { deaf, counts } = deafTool();
    await owner.start(deaf, {}, { id: 'x' });
    await until(() => counts.begun === 1, 'it works');
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await pass(clock, 2_500);
    await thrower.close();
    await owner.close();
    expect(clock.nextDue).toBeUndefined();
  });

  test('kills what others have left of which it has no definition', async () => {
    const { store, clock, thrower, owner } = await together();
    const gone = await opened({ backend: store, clock });
    await gone.start(idle, undefined, { id: 'x' });
    await gone.close();
    expect(await owner.recover('x')).toMatchObject({ left: [{ run: 'x' }] });
    await thrower.kill({ all: true }, 'stop', { grace: 0 });
    await owner.recover('x');
    expect((await owner.runs()).map(({ status }) => status)).toEqual(['killed']);
  });
});

test('a start that is switched off and cannot be killed says why, not that it was killed', async () => {
  const store = new FaultyStore();
  const troupe = await opened({ backend: store });
  await troupe.kill({ all: true }, 'stop');
  const held = store.holdOnce('append', 'x');
  const starting = troupe.start(idle, undefined, { id: 'x' });
  await held.reached;
  store.failOnce('append', new StorageError('refused', {}), 'x');
  held.release();
  await expect(starting).rejects.toMatchObject({ code: 'STORAGE' });
});

describe('a kill of all of a definition', () => {
  test('kills parents first, also where a run of another one is between', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    let begun = 0;
    const work = fromPromise<unknown>(() => {
      begun += 1;
      return new Promise<never>(() => {});
    });
    const inner: DurableDefinition = durable(
      setup({
        types: { input: {} as boolean, context: {} as { isOutermost: boolean } },
        actors: { work, child: childRun((): DurableDefinition => between) },
        guards: { isOutermost: ({ context }) => context.isOutermost },
      }).createMachine({
        context: ({ input }) => ({ isOutermost: input === true }),
        initial: 'deciding',
        states: {
          deciding: { always: [{ guard: 'isOutermost', target: 'calling' }, { target: 'working' }] },
          calling: { invoke: { src: 'child' } },
          working: { invoke: { src: 'work' } },
        },
      }),
      { name: 'inner', version: '1' },
    );
    const between = calling('between', inner);
    const troupe = await opened({ backend: store, clock });
    const thrower = await opened({ backend: store, clock });
    await troupe.start(inner, true, { id: 'root' });
    await until(() => begun === 1, 'all of them are there');
    await still();
    const held = store.holdOnce('append', 'root');
    const killing = thrower.kill({ definition: 'inner' });
    await held.reached;
    await pass(clock, 500, 100);
    held.release();
    expect((await killing).runs.map(({ definition, status }) => `${definition} ${status}`)).toEqual([
      'inner killed',
      'between killed',
      'inner killed',
    ]);
  });

  test('goes on with what it could not kill, though it is lifted', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const troupe = await opened({ backend: store, clock, parkAfter: 500 });
    await troupe.start(calling('parent', idle), undefined, { id: 'p' });
    await pass(clock, 3_000);
    const child = (await troupe.runs()).find(({ run }) => run !== 'p')?.run ?? '';
    store.refused.add(child);
    await troupe.kill({ definition: 'parent' }, 'stop');
    store.refused.delete(child);
    await troupe.lift({ definition: 'parent' });
    await pass(clock, 10_000, 1_000);
    expect((await troupe.runs()).map(({ status }) => status)).toEqual(['killed', 'killed']);
  });
});

test('everything can be killed, however many switches are thrown', async () => {
  const troupe = await opened();
  const throwing = async (): Promise<void> => {
    for (let n = 0; n < 1_000; n += 1) await troupe.kill({ tenant: `tenant-${n}` }, 'it costs too much');
  };
  await expect(throwing()).rejects.toMatchObject({ code: 'OVERLOADED' });
  await troupe.kill({ all: true }, 'everything, '.repeat(800));
  expect((await troupe.switches()).length).toBeGreaterThan(100);
});
