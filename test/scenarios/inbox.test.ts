import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { StorageFullError } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { list as definition } from '../support/list.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** A run lives in one troupe; another one, on the same store, speaks to it. */

const opened = openedWith({ definitions: [definition] });

const N = Array.from({ length: 50 }, (_, index) => index + 1);

describe('a run that lives elsewhere', () => {
  test('takes what is sent to it, in order, once, and its journal names the message that led to each entry', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(definition, undefined, { id: 'x' });
    const far = await other.attach('x', definition);
    for (const n of N) expect((await far.send({ type: 'ADD', n })).seq).toBe(n);
    await far.send({ type: 'END' });
    expect((await far.result()).data).toEqual(N);
    expect(other.counts).toEqual({ live: 0, parked: 0 });
    const causes = [];
    for await (const entry of far.entries()) if (entry.type === 'message.received') causes.push(entry.cause);
    expect(causes).toEqual([...N, N.length + 1].map((seq) => `inbox/${seq}`));
    expect((await owner.replay('x')).status).toBe('completed');
  });

  test('what its owner did not live to take, the next one takes; what it had taken, it does not take again', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    const near = await owner.start(definition, undefined, { id: 'x' });
    const far = await other.attach('x', definition);
    await far.send({ type: 'ADD', n: 1 });
    await until(() => near.getSnapshot()?.context.seen.length === 1, 'the first is taken');
    const held = store.holdOnce('append');
    const acknowledged = far.send({ type: 'ADD', n: 2 });
    await held.reached;
    await owner.close();
    held.release();
    await acknowledged;
    expect(await other.recover('x')).toEqual({ recovered: ['x'], left: [] });
    const again = await other.attach('x', definition);
    await again.send({ type: 'END' });
    expect((await again.result()).data).toEqual([1, 2]);
  });

  test('what is in its inbox comes before what is sent to it while it is taken over', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store, recover: false });
    await owner.start(definition, undefined, { id: 'x' });
    const far = await other.attach('x', definition);
    const held = store.holdOnce('append');
    const first = far.send({ type: 'ADD', n: 1 });
    await held.reached;
    await owner.close();
    held.release();
    await first;
    const recovering = other.recover('x');
    await far.send({ type: 'ADD', n: 2 });
    await recovering;
    await far.send({ type: 'END' });
    expect((await far.result()).data).toEqual([1, 2]);
  });

  test('un-awaited messages to it do not race each other', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(definition, undefined, { id: 'x' });
    const far = await other.attach('x', definition);
    const before = store.appends;
    await Promise.all(N.map((n) => far.send({ type: 'ADD', n })));
    await far.send({ type: 'END' });
    expect((await far.result()).data).toEqual(N);
    // One for each in the inbox, at most one for each in the journal, and the end.
    expect(store.appends - before).toBeLessThanOrEqual(2 * N.length + 4);
  });

  test('is woken where it rests', async () => {
    const store = new FaultyStore();
    const clock = new SimulatedClock();
    const owner = await opened({ backend: store, clock, parkAfter: '1s' });
    const other = await opened({ backend: store });
    await owner.start(definition, undefined, { id: 'x' });
    await turn();
    clock.increment(1_000);
    await until(() => owner.counts.parked === 1, 'it rests');
    const far = await other.attach('x', definition);
    await far.send({ type: 'ADD', n: 1 });
    await far.send({ type: 'END' });
    expect((await far.result()).data).toEqual([1]);
    expect(other.counts.live).toBe(0);
  });

  test('refuses what comes after its end, at the door', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    const near = await owner.start(definition, undefined, { id: 'x' });
    const far = await other.attach('x', definition);
    await near.send({ type: 'END' });
    await near.result();
    await expect(far.send({ type: 'END' })).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' });
  });

  test('a kill reaches it at once: its call is aborted though it records nothing', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(working.definition(), undefined, { id: 'x' });
    await until(() => working.running === 1, 'its call has begun');
    expect((await other.kill('x', 'enough')).status).toBe('killed');
    await until(() => working.running === 0, 'its call is aborted');
    expect(owner.counts.live).toBe(0);
  });

  test('a call in doubt there is decided here; a second decision is refused', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const work = working.definition('irreversible');
    const first = await opened({ backend: store, definitions: [work] });
    await first.start(work, undefined, { id: 'x' });
    await until(() => working.begun === 1, 'its call has begun');
    await first.close();
    const owner = await opened({ backend: store, definitions: [work] });
    expect(owner.counts.live).toBe(1);
    const other = await opened({ backend: store, definitions: [work] });
    const far = await other.attach('x');
    expect((await far.inDoubt()).map(({ call }) => call)).toEqual(['body/work']);
    await expect(far.resolve('body/other', { output: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await far.resolve('body/work', { output: 'did' });
    expect((await far.result()).success).toBe(true);
    expect(working.begun).toBe(1);
    await expect(far.resolve('body/work', { output: 'did' })).rejects.toMatchObject({
      code: 'INVALID_STATE_TRANSITION',
    });
  });
});

test('a decision that came too late does not decide the next doubt of that call', async () => {
  const [store, working] = [new FaultyStore(), new Working()];
  const work = working.definition('irreversible');
  const options = { backend: store, definitions: [work] };
  const first = await opened(options);
  await first.start(work, undefined, { id: 'x' });
  await until(() => working.begun === 1, 'the call has begun');
  await first.close();

  const second = await opened(options);
  // Two people look at the same time and come to the same decision.
  const others = [await opened({ ...options, recover: false }), await opened({ ...options, recover: false })];
  const runs = await Promise.all(others.map((other) => other.attach('x')));
  await Promise.all(runs.map((run) => run.resolve('body/work', { retry: true })));
  await until(() => working.begun === 2, 'it has begun again, once');
  await second.close();

  // Nobody has looked at what became of the second begin.
  const third = await opened(options);
  const run = await third.attach('x');
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(working.begun).toBe(2);
  expect((await run.inDoubt()).map(({ call }) => call)).toEqual(['body/work']);
});

test('a message that was acknowledged is not lost though the disk is full where it is taken', async () => {
  const store = new FaultyStore();
  const clock = new SimulatedClock();
  const reports: string[] = [];
  const owner = await opened({
    backend: store,
    clock,
    definitions: [definition],
    report: (_, where) => void reports.push(where),
  });
  const other = await opened({ backend: store, definitions: [definition] });
  const near = await owner.start(definition, undefined, { id: 'x' });
  const far = await other.attach('x', definition);
  await far.send({ type: 'ADD', n: 1 });
  store.failOnce('append', new StorageFullError('full', {}));
  await until(() => reports.length > 0, 'it waits for room');
  clock.increment(10_000);
  await far.send({ type: 'ADD', n: 2 });
  await until(() => near.getSnapshot()?.context.seen.includes(2) === true, 'the second is taken');
  expect(near.getSnapshot()?.context.seen).toEqual([1, 2]);
});
