import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { charge, childRun, durable, StorageFullError, tool, type Troupe } from '../../src/index.ts';
import { accountOf } from '../support/accounts.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { entriesSoFar } from '../support/forking.ts';
import { openedWith } from '../support/opened.ts';
import { SimulatedClock, still } from '../support/simulatedClock.ts';

/** Calls whose state is left, or whose run is killed, when their intent is on its way or on record and they have not begun. */

const opened = openedWith({ report: () => {}, principal: 'ana', parkAfter: false });

type Kind = 'irreversible' | 'child';

/** It calls at once, or when it is told to. What it holds back for the call is a dollar. */
function calling(kind: Kind, initial: 'idle' | 'calling' = 'idle') {
  const world = { begun: 0 };
  const work = fromPromise(() => ((world.begun += 1), new Promise<never>(() => {})));
  const below = durable(setup({ actors: { work } }).createMachine({ invoke: { src: 'work' } }), {
    name: 'below',
    version: '1',
  });
  const machine = setup({
    types: { events: {} as { type: 'CALL' } | { type: 'LEAVE' } | { type: 'END' } },
    actors: { call: kind === 'child' ? childRun(below, { budget: { usd: 1 } }) : work },
  }).createMachine({
    initial,
    states: {
      idle: { on: { CALL: 'calling' } },
      calling: { invoke: { src: 'call' }, on: { LEAVE: 'left', END: 'over' } },
      left: {},
      over: { type: 'final' },
    },
  });
  const declared = kind === 'child' ? {} : { effects: { call: kind }, costs: { call: { usd: 1 } } };
  return { world, definition: durable(machine, { name: 'calling', version: '1', ...declared }) };
}

/** How its call has ended, each time, and what has been spent. */
async function account(troupe: Troupe, run = 'r') {
  const entries = await entriesSoFar(troupe, run);
  const { spent, reserved } = accountOf(entries);
  const of = (type: string): unknown[] => entries.filter((one) => one.type === type).map(({ event }) => event);
  return { begins: of('leaf.started').length, ends: of('leaf.abandoned'), usd: spent.usd, held: reserved.usd };
}

const free = { begins: 1, ends: [{ cost: {} }], usd: 0, held: 0 };

/** A call whose intent waits for room. */
async function waiting(kind: Kind) {
  const [clock, store] = [new SimulatedClock(), new FaultyStore()];
  const { world, definition } = calling(kind);
  const troupe = await opened({ backend: store, clock });
  const run = await troupe.start(definition, undefined, { id: 'r', budget: { usd: 5 } });
  const off = run.on('message.received', () => {
    off();
    store.failOnce('append', new StorageFullError('full', {}), 'r');
  });
  await run.send({ type: 'CALL' });
  // A child's intent may ride: it is written when this process has nothing else to do.
  await still();
  return { troupe, run, clock, world };
}

describe.each<Kind>(['irreversible', 'child'])('a call that has not begun (%s)', (kind) => {
  test('has one end, costs nothing and is not in doubt where a message that is written with its intent leaves it', async () => {
    const { troupe, run, clock, world } = await waiting(kind);
    const left = run.send({ type: 'LEAVE' });
    await still();
    clock.increment(1_000);
    await left;
    await still();
    expect([await account(troupe), world.begun]).toEqual([free, 0]);
    expect((await troupe.runs()).map(({ definition }) => definition)).toEqual(['calling']);
    expect((await run.kill()).inDoubt).toEqual([]);
  });

  test('has that end also where such a message ends its run', async () => {
    const { troupe, run, clock, world } = await waiting(kind);
    const ended = run.send({ type: 'END' });
    await still();
    clock.increment(1_000);
    await ended;
    expect((await run.result()).success).toBe(true);
    expect([await account(troupe), world.begun]).toEqual([free, 0]);
  });

  /** A call whose intent is on record and which a kill switch holds back: the kill itself could not be written. */
  async function held() {
    const store = new FaultyStore();
    const { world, definition } = calling(kind);
    const troupe = await opened({ backend: store });
    const other = await opened({ backend: store });
    const run = await troupe.start(definition, undefined, { id: 'r', budget: { usd: 5 } });
    const off = run.on('message.received', () => {
      off();
      intent = store.holdOnce('append', 'r');
    });
    let intent: ReturnType<FaultyStore['holdOnce']> | undefined;
    await run.send({ type: 'CALL' });
    await still();
    await intent?.reached;
    store.failOnce('append', new Error('refused'), 'r');
    await other.kill({ definition: 'calling' }, 'stop', { grace: 0 });
    intent?.release();
    await still();
    expect([(await account(troupe)).begins, world.begun]).toEqual([1, 0]);
    return { troupe, run, world };
  }

  test('has that end also where a kill switch holds it back, and does not begin when that is lifted', async () => {
    const { troupe, run, world } = await held();
    await run.send({ type: 'LEAVE' });
    await still();
    expect(await account(troupe)).toEqual(free);
    await troupe.lift({ definition: 'calling' });
    await still();
    expect([await account(troupe), world.begun]).toEqual([free, 0]);
    expect((await run.kill()).inDoubt).toEqual([]);
  });

  test('costs nothing and is not in doubt where its own process kills its run', async () => {
    const { troupe, run } = await held();
    for (const { inDoubt } of [await run.kill(), await run.kill()]) expect(inDoubt).toEqual([]);
    expect(await account(troupe)).toEqual({ ...free, ends: [] });
  });

  test('begins when the switch is lifted, and then costs what it had reserved where it is left', async () => {
    const { troupe, run, world } = await held();
    await troupe.lift({ definition: 'calling' });
    await still();
    expect(world.begun).toBe(1);
    await run.send({ type: 'LEAVE' });
    await still();
    expect(await account(troupe)).toEqual({ begins: 1, ends: [null], usd: 1, held: 0 });
    expect((await run.kill()).inDoubt).toEqual(kind === 'child' ? [] : ['body/call']);
  });
});

test('a call that has begun and has charged nothing is in doubt all the same where it is left', async () => {
  const pay = fromPromise(({ self }) => (charge(self, { usd: 0 }), new Promise<never>(() => {})));
  const machine = setup({ types: { events: {} as { type: 'LEAVE' } }, actors: { pay } }).createMachine({
    initial: 'paying',
    states: { paying: { invoke: { src: 'pay' }, on: { LEAVE: 'left' } }, left: {} },
  });
  const troupe = await opened();
  const run = await troupe.start(durable(machine, { name: 'paying', version: '1', effects: { pay: 'irreversible' } }));
  await still();
  await run.send({ type: 'LEAVE' });
  await still();
  expect((await run.kill()).inDoubt).toEqual(['body/pay']);
});

describe('a call in doubt that somebody lets begin again, and whose state is left before it does', () => {
  async function inDoubt() {
    const store = new FaultyStore();
    const { world, definition } = calling('irreversible', 'calling');
    const options = { backend: store, definitions: [definition] };
    const before = await opened(options);
    await before.start(definition, undefined, { id: 'r', budget: { usd: 5 } });
    await still();
    await before.close();
    const troupe = await opened(options);
    return { store, troupe, run: await troupe.attach('r', definition), world };
  }

  test('does not begin: that is taken back where it is not on record, and what had begun costs what it had reserved', async () => {
    const { store, troupe, run, world } = await inDoubt();
    const append = store.holdOnce('append', 'r');
    const left = run.send({ type: 'LEAVE' });
    await append.reached;
    const retried = expect(run.resolve('body/call', { retry: true })).rejects.toMatchObject({ code: 'CLOSED' });
    await still();
    append.release();
    await Promise.all([left, retried]);
    await still();
    expect([await account(troupe), world.begun]).toEqual([{ begins: 1, ends: [null], usd: 1, held: 0 }, 1]);
    expect((await run.kill()).inDoubt).toEqual(['body/call']);
  });

  test('has cost what it had reserved once where that is on record', async () => {
    const { store, troupe, run, world } = await inDoubt();
    const append = store.holdOnce('append', 'r');
    const marked = run.checkpoint('here');
    await append.reached;
    const retried = run.resolve('body/call', { retry: true });
    const left = run.send({ type: 'LEAVE' });
    await still();
    append.release();
    await Promise.all([marked, retried, left]);
    await still();
    expect([await account(troupe), world.begun]).toEqual([{ begins: 2, ends: [{ cost: {} }], usd: 1, held: 0 }, 1]);
    expect((await run.kill()).inDoubt).toEqual(['body/call']);
  });
});

describe('a call of a child run that begins again, and whose state is left before it does', () => {
  /** Its intent rides, and is written with a message that leaves it. */
  async function left(again: 'a recovery' | 'a fork') {
    const { definition } = calling('child', 'calling');
    const options = { backend: new FaultyStore(), definitions: [definition] };
    const first = await opened(options);
    await first.start(definition, undefined, { id: 'r', budget: { usd: 5 } });
    await still();
    const isFork = again === 'a fork';
    if (!isFork) await first.close();
    const troupe = isFork ? first : await opened({ ...options, recover: false });
    const run = isFork ? await troupe.fork<typeof definition>('r', { id: 'f' }) : await troupe.attach('r', definition);
    await run.send({ type: 'LEAVE' });
    await still();
    return account(troupe, run.id);
  }

  test('by a recovery costs what it had reserved: it may have begun before', async () => {
    expect(await left('a recovery')).toEqual({ begins: 2, ends: [null], usd: 1, held: 0 });
  });

  test('by a fork costs nothing: what had begun is the other run’s', async () => {
    expect(await left('a fork')).toEqual({ begins: 2, ends: [{ cost: {} }], usd: 0, held: 0 });
  });
});

test('a call of a tool that may have happened stays in doubt where its run is killed before it begins again', async () => {
  const store = new FaultyStore();
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    inputSchema: z.object({}),
    execute: () => new Promise<never>(() => {}),
  });
  const options = { backend: store, definitions: [pay] };
  const before = await opened(options);
  await before.start(pay, {}, { id: 'x' });
  await still();
  await before.close();
  const run = await (await opened(options)).attach('x', pay);
  const intent = store.holdBehindMessage(run);
  await run.resolve('body', { retry: true });
  const { reached, release } = await intent;
  await reached;
  const killing = run.kill('stop');
  await still();
  release();
  expect((await killing).inDoubt).toEqual(['body']);
});
