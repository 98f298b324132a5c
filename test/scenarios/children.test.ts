import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup, type AnyStateMachine } from 'xstate';
import { z } from 'zod';
import { childRun, durable, NetworkError, tool, type DurableDefinition, type Troupe } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** Runs that work for a call of another run. */

const opened = openedWith({ report: () => {} });

/** A child that waits for an answer and gives it, or fails; a parent that asks one and gives what it was told. */
function family() {
  const begun: string[] = [];
  const ask = fromPromise<void, string>(({ input }) => {
    begun.push(input);
    return Promise.resolve();
  });
  const childMachine = setup({
    types: {
      input: {} as { about: string },
      context: {} as { about: string; answer: string },
      events: {} as { type: 'ANSWER'; answer: string } | { type: 'FAIL' },
      output: {} as { answer: string },
    },
    actors: { ask },
    actions: {
      fail: () => {
        throw new Error('no answer');
      },
    },
  }).createMachine({
    context: ({ input }) => ({ ...input, answer: '' }),
    initial: 'asking',
    states: {
      asking: { invoke: { src: 'ask', input: ({ context }) => context.about, onDone: 'waiting' } },
      waiting: {
        on: {
          ANSWER: { target: 'done', actions: assign({ answer: ({ event }) => event.answer }) },
          FAIL: { actions: 'fail' },
        },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => ({ answer: context.answer }),
  });
  const child = durable(childMachine, { name: 'child', version: '1' });
  const parentMachine = setup({
    types: {
      context: {} as { told: unknown },
      events: {} as { type: 'LEAVE' },
      output: {} as { told: unknown },
    },
    actors: { child: childRun(child) },
  }).createMachine({
    context: { told: undefined },
    initial: 'asking',
    states: {
      asking: {
        invoke: {
          src: 'child',
          input: { about: 'weather' },
          onDone: { target: 'done', actions: assign({ told: ({ event }) => event.output }) },
          onError: { target: 'done', actions: assign({ told: ({ event }) => event.error }) },
        },
        on: { LEAVE: 'left' },
      },
      left: { on: { LEAVE: 'done' } },
      done: { type: 'final' },
    },
    output: ({ context }) => ({ told: context.told }),
  });
  return { begun, child, parent: durable(parentMachine, { name: 'parent', version: '1' }) };
}

async function childOf(troupe: Troupe): Promise<string> {
  const found = async (): Promise<string | undefined> =>
    (await troupe.runs()).find(({ definition }) => definition === 'child')?.run;
  let run: string | undefined;
  for (let turns = 0; run === undefined && turns < 100; turns += 1) {
    await turn();
    run = await found();
  }
  if (run === undefined) throw new Error('there is no child');
  return run;
}

/** Waits for a run whose only call is in doubt. */
const pay = tool({
  name: 'pay',
  description: 'Pays',
  inputSchema: z.object({}),
  execute: () => Promise.reject(new NetworkError('gone', {})),
});
const desk = durable(
  setup({ actors: { pay: childRun(pay) } }).createMachine({
    initial: 'paying',
    states: { paying: { invoke: { src: 'pay', input: {}, onDone: 'paid' } }, paid: { type: 'final' } },
  }),
  { name: 'desk', version: '1' },
);

describe('a child run', () => {
  test('is begun by a call, knows whose it is, and gives its output', async () => {
    const { parent, child } = family();
    const troupe = await opened({ principal: 'ana' });
    const run = await troupe.start(parent, undefined, { id: 'p', tenant: 'acme' });
    const childId = await childOf(troupe);
    const [created] = await entriesUpTo(troupe, childId, 1);
    expect(created?.event).toMatchObject({ parent: { run: 'p', call: 'body/child' }, by: 'p', tenant: 'acme' });
    const handle = await troupe.attach(childId, child);
    await handle.send({ type: 'ANSWER', answer: 'rain' });
    expect(await run.result()).toMatchObject({ success: true, told: { answer: 'rain' } });
    const begin = (await entriesOf(run)).find(({ type }) => type === 'leaf.started');
    expect(begin?.event).toMatchObject({ child: { run: childId, definition: 'child' } });
  });

  test('fails its call as it fails, and as it is killed', async () => {
    const { parent, child } = family();
    const troupe = await opened();
    const failing = await troupe.start(parent, undefined, { id: 'p' });
    const handle = await troupe.attach(await childOf(troupe), child);
    await handle.send({ type: 'FAIL' });
    expect(await failing.result()).toMatchObject({ told: { message: 'no answer' } });

    const other = await opened();
    const run = await other.start(parent, undefined, { id: 'p' });
    await other.kill(await childOf(other), 'too dear', { by: 'bob' });
    expect(await run.result()).toMatchObject({
      success: true,
      told: { code: 'KILLED', data: { reason: 'too dear', by: 'bob' } },
    });
  });

  test('is not what somebody else has begun under its id, and a kill of its parent does not reach that', async () => {
    const { parent, child } = family();
    const before = await opened();
    await before.start(parent, undefined, { id: 'p' });
    const id = await childOf(before);

    const troupe = await opened();
    const theirs = await troupe.start(child, { about: 'mine' }, { id, tenant: 'other' });
    const run = await troupe.start(parent, undefined, { id: 'p' });
    expect(await run.result()).toMatchObject({ success: true, told: { code: 'VALIDATION', data: { run: id } } });
    expect(theirs.status).toBe('running');

    // Neither does leaving the state that called it.
    const left = await opened();
    const other = await left.start(child, { about: 'mine' }, { id, tenant: 'other' });
    const leaving = await left.start(parent, undefined, { id: 'p' });
    await leaving.send({ type: 'LEAVE' });
    await still();
    expect(other.status).toBe('running');

    const again = await opened();
    const held = await again.start(child, { about: 'mine' }, { id, tenant: 'other' });
    const killed = await again.start(parent, undefined, { id: 'p' });
    expect((await killed.kill()).runs.map((one) => one.run)).toEqual(['p']);
    expect(held.status).toBe('running');
  });

  test('of a run that nobody has is no reason for its paused parent to seem busy', async () => {
    const { parent, child } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [parent] });
    const run = await first.start(parent, undefined, { id: 'p' });
    await childOf(first);
    await run.pause();
    await first.close();
    const troupe = await opened({ backend: store, definitions: [parent, child], recover: false });
    await troupe.recover('p');
    expect(await (await troupe.attach('p')).settled()).toBe('waiting');
  });

  test('whose definition has changed is waited for, and goes on where that is known', async () => {
    const { parent, child } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [parent] });
    await first.start(parent, undefined, { id: 'p' });
    const id = await childOf(first);
    await first.close();
    const changed = durable(setup({}).createMachine({ initial: 'other', states: { other: {} } }), {
      name: child.name,
      version: '2',
    });
    const machine = (parent.machine as AnyStateMachine).provide({ actors: { child: childRun(changed) } as never });
    const reported: string[] = [];
    const second = await opened({
      backend: store,
      definitions: [durable(machine, { name: 'parent', version: '1' })],
      report: (_, where) => void reported.push(where),
    });
    await until(() => reported.some((where) => where.includes('p waits for it')), 'it is said that it is left');
    expect((await second.attach('p')).status).toBe('running');
    await second.close();
    const third = await opened({ backend: store, definitions: [parent, child] });
    await (await third.attach(id, child)).send({ type: 'ANSWER', answer: 'rain' });
    expect(await (await third.attach('p', parent)).result()).toMatchObject({ told: { answer: 'rain' } });
  });

  test('is one, however often its parent is recovered', async () => {
    const { parent, child, begun } = family();
    const store = new FaultyStore();
    let troupe = await opened({ backend: store, definitions: [parent] });
    await troupe.start(parent, undefined, { id: 'p' });
    const childId = await childOf(troupe);
    for (let times = 0; times < 3; times += 1) {
      await still();
      await troupe.close();
      troupe = await opened({ backend: store, definitions: [parent] });
    }
    await still();
    expect((await troupe.runs()).map(({ run }) => run).sort()).toEqual([childId, 'p'].sort());
    expect(begun).toEqual(['weather']);
    await (await troupe.attach(childId, child)).send({ type: 'ANSWER', answer: 'snow' });
    expect(await (await troupe.attach('p', parent)).result()).toMatchObject({ told: { answer: 'snow' } });
  });

  test('that ends while nobody has its parent is found when that is recovered', async () => {
    const { parent, child } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store });
    await first.start(parent, undefined, { id: 'p' });
    const childId = await childOf(first);
    await first.close();
    const second = await opened({ backend: store, definitions: [child], recover: false });
    await second.recover(childId);
    await (await second.attach(childId, child)).send({ type: 'ANSWER', answer: 'hail' });
    await second.close();
    const third = await opened({ backend: store, definitions: [parent] });
    expect(await (await third.attach('p', parent)).result()).toMatchObject({ told: { answer: 'hail' } });
  });

  test('wakes a parent that rests, in this process and in another one', async () => {
    const { parent, child } = family();
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const first = await opened({ backend: store, clock, parkAfter: '1s' });
    const run = await first.start(parent, undefined, { id: 'p' });
    const childId = await childOf(first);
    await still();
    clock.increment(1_000);
    await until(() => first.counts.parked === 2, 'both rest');
    await (await first.attach(childId, child)).send({ type: 'ANSWER', answer: 'fog' });
    expect(await run.result()).toMatchObject({ told: { answer: 'fog' } });

    const again = await first.start(parent, undefined, { id: 'q' });
    await still();
    const ids = (await first.runs({ status: 'running' })).map(({ run: id }) => id).filter((id) => id !== 'q');
    await first.close();
    const owner = await opened({ backend: store, clock, definitions: [parent], parkAfter: '1s' });
    await still();
    clock.increment(1_000);
    await until(() => owner.counts.parked === 2, 'both rest');
    expect(ids).toHaveLength(1);
    expect(again.status).toBe('running');
    const other = await opened({ backend: store, definitions: [parent], clock });
    await (await other.attach(ids[0] ?? '', child)).send({ type: 'ANSWER', answer: 'sun' });
    expect(await (await other.attach('q', parent)).result()).toMatchObject({ told: { answer: 'sun' } });
  });

  test('is killed when the state that called it is left, at once or at the next recovery', async () => {
    const { parent } = family();
    const store = new FaultyStore();
    const troupe = await opened({ backend: store });
    const run = await troupe.start(parent, undefined, { id: 'p' });
    const childId = await childOf(troupe);
    await run.send({ type: 'LEAVE' });
    const child = await troupe.attach(childId);
    expect((await child.result()).metadata).toMatchObject({ status: 'killed', reason: expect.stringContaining('p') });
    expect(run.status).toBe('running');

    const other = await troupe.start(parent, undefined, { id: 'q' });
    await still();
    const [second = ''] = (await troupe.runs({ status: 'running' }))
      .map(({ run: id }) => id)
      .filter((id) => !'pq'.includes(id));
    // Its owner dies before it comes to that.
    store.failOnce('append', new Error('gone'), second);
    await other.send({ type: 'LEAVE' });
    await still();
    await troupe.close();
    const next = await opened({ backend: store, definitions: [parent] });
    expect((await (await next.attach(second)).result()).metadata.status).toBe('killed');
  });

  test('is killed when its parent ended before anybody came to it', async () => {
    const { parent, child } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store });
    await first.start(parent, undefined, { id: 'p' });
    const childId = await childOf(first);
    await first.close();
    // Ends the parent alone, as a process does that dies in between.
    const second = await opened({ backend: store, definitions: [parent], recover: false });
    store.failOnce('append', new Error('gone'), childId);
    await second.kill('p').catch(() => {});
    await second.close();
    const third = await opened({ backend: store, definitions: [parent, child] });
    await still();
    expect((await (await third.attach(childId)).result()).metadata.status).toBe('killed');
  });

  test('is killed when its parent has ended and its process did not come to that', async () => {
    const { parent } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store });
    const run = await first.start(parent, undefined, { id: 'p' });
    const childId = await childOf(first);
    store.failOnce('append', new Error('gone'), childId);
    await run.send({ type: 'LEAVE' });
    store.failOnce('append', new Error('gone'), childId);
    await run.send({ type: 'LEAVE' });
    await run.result();
    await first.close();
    const second = await opened({ backend: store, definitions: [parent] });
    await still();
    expect((await (await second.attach(childId)).result()).metadata.status).toBe('killed');
  });

  test('is killed when its parent is migrated: the call that waited for it is abandoned', async () => {
    const { parent } = family();
    const store = new FaultyStore();
    const first = await opened({ backend: store });
    await first.start(parent, undefined, { id: 'p' });
    const childId = await childOf(first);
    await first.close();
    const next = durable(setup({}).createMachine({ initial: 'new', states: { new: {} } }), {
      name: 'parent',
      version: '2',
      migrate: { from: parent, to: () => undefined as never },
    });
    const second = await opened({ backend: store, definitions: [next] });
    await still();
    expect((await (await second.attach(childId)).result()).metadata.status).toBe('killed');
    expect((await second.attach('p')).status).toBe('running');
  });

  test('in doubt is what its parent waits for: execute says so', async () => {
    const troupe = await opened();
    const executing = troupe.execute(desk, undefined, { id: 'desk' });
    await expect(executing).rejects.toMatchObject({ code: 'IN_DOUBT' });
    const run = await troupe.attach('desk');
    expect(await run.inDoubt()).toMatchObject([{ call: 'body' }]);
    await run.resolve('body', { output: 'paid' });
    expect((await run.result()).success).toBe(true);
  });

  test('in doubt two levels below is what both above it wait for', async () => {
    const office = setup({ actors: { desk: childRun(desk) } }).createMachine({
      initial: 'working',
      states: { working: { invoke: { src: 'desk', onDone: 'over' } }, over: { type: 'final' } },
    });
    const troupe = await opened();
    const executing = troupe.execute(durable(office, { name: 'office', version: '1' }), undefined, { id: 'office' });
    await expect(executing).rejects.toMatchObject({ code: 'IN_DOUBT' });
  });

  test('can be of the definition that calls it', async () => {
    const nested = setup({
      types: { input: {} as number, context: {} as { depth: number; sum: number }, output: {} as number },
      guards: { deepEnough: ({ context }) => context.depth === 0 },
      actors: { deeper: childRun((): DurableDefinition => definition) },
    }).createMachine({
      context: ({ input }) => ({ depth: input, sum: 0 }),
      initial: 'deciding',
      states: {
        deciding: { always: [{ guard: 'deepEnough', target: 'done' }, { target: 'calling' }] },
        calling: {
          invoke: {
            src: 'deeper',
            input: ({ context }: { context: { depth: number } }) => context.depth - 1,
            onDone: {
              target: 'done',
              actions: assign({ sum: ({ event }) => (event.output as number) + 1 }),
            },
          },
        },
        done: { type: 'final' },
      },
      output: ({ context }) => context.sum,
    });
    const definition: DurableDefinition = durable(nested, { name: 'nested', version: '1' });
    const troupe = await opened();
    expect(await troupe.execute(definition, 4)).toBe(4);
    expect(await troupe.runs({ status: 'completed' })).toHaveLength(5);
  });
});

async function entriesUpTo(troupe: Troupe, id: string, count: number) {
  const entries = [];
  for await (const entry of (await troupe.attach(id)).entries()) {
    entries.push(entry);
    if (entries.length === count) break;
  }
  return entries;
}
