import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup, spawnChild } from 'xstate';
import { z } from 'zod';
import { childRun, durable, tool, UnreachableError, type DurableDefinition } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** Kills, from one run to all there are, and what their receipts say. */

const opened = openedWith({ report: () => {}, principal: 'ana' });

/** A tree of runs: each begins two of the next level and works. */
function tree(levels: number) {
  const working = { begun: 0, aborted: 0 };
  const work = fromPromise<unknown>(({ signal }) => {
    working.begun += 1;
    signal.addEventListener('abort', () => (working.aborted += 1));
    return new Promise<never>(() => {});
  });
  const definition: DurableDefinition = durable(
    setup({
      types: { input: {} as number, context: {} as { level: number } },
      actors: { work, child: childRun((): DurableDefinition => definition) },
      guards: { isLeaf: ({ context }) => context.level === 0 },
    }).createMachine({
      context: ({ input }) => ({ level: input }),
      type: 'parallel',
      states: {
        own: { initial: 'on', states: { on: { invoke: { src: 'work' } } } },
        below: {
          initial: 'deciding',
          states: {
            deciding: { always: [{ guard: 'isLeaf', target: 'none' }, { target: 'two' }] },
            two: {
              invoke: [
                { src: 'child', id: 'a', input: ({ context }: { context: { level: number } }) => context.level - 1 },
                { src: 'child', id: 'b', input: ({ context }: { context: { level: number } }) => context.level - 1 },
              ],
            },
            none: {},
          },
        },
      },
    }),
    { name: 'tree', version: '1' },
  );
  return { definition, working, runs: 2 ** (levels + 1) - 1 };
}

describe('a kill of a run', () => {
  test('reaches all that it has begun, and its receipt names every actor with its state', async () => {
    const { definition, working, runs } = tree(3);
    const troupe = await opened();
    const run = await troupe.start(definition, 3, { id: 'root' });
    await until(() => working.begun === runs, 'all of them work');
    const receipt = await run.kill('enough', { by: 'bob' });
    expect(receipt).toMatchObject({ run: 'root', status: 'killed', reason: 'enough', by: 'bob', unanswered: [] });
    expect(receipt.runs).toHaveLength(runs);
    expect(receipt.runs[0]?.run).toBe('root');
    expect(receipt.stopped).toContainEqual({ actor: 'body/work', state: 'active', ms: 0 });
    for (const killed of receipt.runs)
      expect(killed).toMatchObject({ status: 'killed', definition: 'tree', answered: true });
    expect(working.aborted).toBe(runs);
    expect(troupe.counts).toEqual({ live: 0, parked: 0 });
    expect((await troupe.runs()).every(({ status }) => status === 'killed')).toBe(true);
  });

  test('at whatever moment of the growth of its tree leaves nothing that lives', async () => {
    for (let turns = 0; turns < 24; turns += 1) {
      const { definition, working } = tree(3);
      const store = new FaultyStore();
      const troupe = await opened({ backend: store });
      await troupe.start(definition, 3, { id: 'root' });
      for (let at = 0; at < turns; at += 1) await turn();
      await troupe.kill('root');
      await still();
      expect([turns, working.begun - working.aborted, troupe.counts.live]).toEqual([turns, 0, 0]);
      expect(await store.registered()).toEqual([]);
      const statuses = (await troupe.runs()).map(({ status }) => status);
      expect(statuses.every((status) => status === 'killed')).toBe(true);
      await troupe.close();
    }
  });

  test('keeps a child from being begun by an owner that does not know of it yet', async () => {
    const { definition, working } = tree(1);
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    // Its intent is on record, and the process stands still before it can begin the child.
    const intents = (async () => {
      for (;;) {
        const held = store.holdOnce('append');
        await held.reached;
        if ((await store.registered()).length >= 1 && working.begun === 1) return held;
        held.release();
      }
    })();
    await owner.start(definition, 1, { id: 'root' });
    const held = await intents;
    const killing = other.kill('root', 'enough', { grace: 0 });
    await still();
    held.release();
    await killing;
    await still();
    expect(owner.counts.live).toBe(0);
    expect((await other.runs()).every(({ status }) => status === 'killed')).toBe(true);
    // Whoever comes to begin it finds its tombstone.
    const again = await other.kill('root');
    expect(again.runs.every(({ status }) => status === 'killed')).toBe(true);
  });

  test('is refused at the door where it would wait longer than an hour', async () => {
    const troupe = await opened();
    const run = await troupe.start(new Working().definition(), undefined, { id: 'x' });
    await expect(run.kill('enough', { grace: '30d' })).rejects.toThrow('is too long: 3600000 ms at most');
    expect(run.status).toBe('running');
  });

  test('in another process is answered also where all that stopped there does not fit in a message', async () => {
    const work = fromPromise<unknown>(() => new Promise<never>(() => {}));
    const long = 'x'.repeat(1_500);
    const states = { [long]: { invoke: { src: 'work' as const } } };
    const one = setup({ actors: { work } }).createMachine({ initial: long, states });
    const many = setup({ actors: { one } }).createMachine({
      entry: Array.from({ length: 600 }, (_, index) => spawnChild('one', { id: `${long}${index}` })),
    });
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(durable(many, { name: 'many', version: '1' }), undefined, { id: 'x' });
    const { answered, unanswered, stopped } = await other.kill('x');
    expect({ answered, unanswered }).toEqual({ answered: true, unanswered: [] });
    expect(stopped.length).toBeGreaterThan(50);
  });

  test('in another process is answered by it, with what stopped there', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(working.definition(), undefined, { id: 'x' });
    await until(() => working.running === 1, 'its call has begun');
    await still();
    const receipt = await other.kill('x');
    expect(receipt).toMatchObject({ answered: true, unanswered: [], owner: expect.any(String) as string });
    expect(receipt.stopped.map(({ actor }) => actor)).toEqual(['run', 'body', 'body/work']);
    expect(working.running).toBe(0);
  });

  test('waits for what is told to stop, at most for the grace period, and names who has not', async () => {
    const clock = new SimulatedClock();
    const ends: (() => void)[] = [];
    const deaf = tool({
      name: 'deaf',
      description: 'Ignores its signal',
      inputSchema: z.object({}),
      execute: () => new Promise<void>((resolve) => ends.push(resolve)),
    });
    const troupe = await opened({ clock });
    const first = await troupe.start(deaf, {}, { id: 'first' });
    const second = await troupe.start(deaf, {}, { id: 'second' });
    await until(() => ends.length === 2, 'both have begun');
    const late = first.kill('enough', { grace: '2s' });
    const intime = second.kill('enough', { grace: '2s' });
    await still();
    clock.increment(500);
    ends[1]?.();
    await still();
    clock.increment(1_500);
    const [one, two] = await Promise.all([late, intime]);
    expect(one).toMatchObject({ unanswered: [{ run: 'first', actor: 'body/attempt' }], inDoubt: ['body'] });
    expect(two).toMatchObject({
      unanswered: [],
      stopped: expect.arrayContaining([{ actor: 'body/attempt', state: 'active', ms: 500 }]) as [],
    });
    ends[0]?.();
    await still();
    expect(first.status).toBe('killed');
  });

  test('that has been killed says so, and changes nothing', async () => {
    const working = new Working();
    const troupe = await opened();
    const run = await troupe.start(working.definition(), undefined, { id: 'x' });
    const first = await run.kill('enough', { by: 'bob' });
    const second = await run.kill('again');
    expect(second).toMatchObject({ status: 'killed', reason: 'enough', by: 'bob', seq: first.seq, stopped: [] });
    await expect(troupe.kill('y')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('a run that was killed before its end was recorded is killed, in a replay, too', async () => {
  const store = new FaultyStore();
  const quick = tool({ name: 'quick', description: '', inputSchema: z.object({}), execute: () => 1 });
  const troupe = await opened({ backend: store });
  const run = await troupe.start(quick, {}, { id: 'x' });
  const types: string[] = [];
  let killing: Promise<unknown> | undefined;
  run.on('*', ({ type }) => {
    types.push(type);
    if (type === 'leaf.succeeded') killing = troupe.kill('x');
  });
  await until(() => types.includes('leaf.succeeded'), 'its call has ended');
  await killing;
  const { status } = (await run.result()).metadata;
  expect([run.status, (await troupe.replay('x')).status]).toEqual([status, status]);
});

describe('a kill switch', () => {
  test('that is lifted before its runs were reached lets them go on', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    const machine = setup({
      types: { events: {} as { type: 'GO' } },
      actors: { work: fromPromise(() => Promise.resolve()) },
    }).createMachine({
      initial: 'idle',
      states: { idle: { on: { GO: 'on' } }, on: { invoke: { src: 'work', onDone: 'done' } }, done: { type: 'final' } },
    });
    const run = await owner.start(durable(machine, { name: 'idle', version: '1' }), undefined, { id: 'x' });
    // Its kill cannot be written, so that the run is only held.
    for (let times = 0; times < 2; times += 1) store.failOnce('append', new Error('refused'), 'x');
    const killing = other.kill({ definition: 'idle' }, 'stop', { grace: 0 });
    const sent = run.send({ type: 'GO' }).catch(() => {});
    await killing;
    await other.lift({ definition: 'idle' });
    await sent;
    await still();
    expect(working.begun).toBe(0);
    expect(['completed', 'killed']).toContain((await run.result()).metadata.status);
  });

  test.each(['lifts it', 'begins another'])(
    'that is not any more lets what was held go on where its process %s before it is told of that',
    async (learns) => {
      const store = new FaultyStore();
      let worked = 0;
      const machine = setup({
        types: { events: {} as { type: 'GO' } },
        actors: { work: fromPromise(() => Promise.resolve((worked += 1))) },
      }).createMachine({
        initial: 'idle',
        states: {
          idle: { on: { GO: 'on' } },
          on: { invoke: { src: 'work', onDone: 'done' } },
          done: { type: 'final' },
        },
      });
      const definition = durable(machine, { name: 'idle', version: '1' });
      const owner = await opened({ backend: store });
      const other = await opened({ backend: store });
      const run = await owner.start(definition, undefined, { id: 'x' });
      store.failOnce('append', new Error('refused'), 'x');
      const { left } = await other.kill({ definition: 'idle' }, 'stop', { grace: 0 });
      expect(left.map(({ run: one }) => one)).toEqual(['x']);
      await run.send({ type: 'GO' });
      await still();
      expect(worked).toBe(0);
      const watches = store.holdWatches();
      if (learns === 'lifts it') await owner.lift({ definition: 'idle' });
      else {
        await other.lift({ definition: 'idle' });
        await owner.start(definition);
      }
      watches.release();
      await still();
      expect(worked).toBe(1);
      expect((await run.result()).metadata.status).toBe('completed');
    },
  );

  test('that holds a run is what is in the way of a call that somebody lets begin again', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const definition = working.definition('irreversible');
    const options = { backend: store, definitions: [definition] };
    const first = await opened(options);
    await first.start(definition, undefined, { id: 'x' });
    await until(() => working.begun === 1, 'the call has begun');
    await first.close();
    const owner = await opened(options);
    const run = await owner.attach('x');
    store.failOnce('append', new Error('refused'), 'x');
    const { left } = await (await opened({ backend: store })).kill({ definition: 'working' }, 'stop', { grace: 0 });
    expect(left.map(({ run: one }) => one)).toEqual(['x']);
    await still();
    await expect(run.resolve('body/work', { retry: true })).rejects.toMatchObject({
      code: 'INVALID_STATE_TRANSITION',
      message: expect.stringContaining('not lifted') as unknown,
    });
    await owner.lift({ definition: 'working' });
    await run.resolve('body/work', { retry: true });
    expect(working.begun).toBe(2);
  });

  test('of a tenant reaches its runs in every process and no other, and nothing of it begins until it is lifted', async () => {
    const store = new FaultyStore();
    const [here, there] = [new Working(), new Working()];
    const first = await opened({ backend: store });
    const second = await opened({ backend: store });
    const near = here.definition();
    for (const tenant of ['acme', 'other']) await first.start(near, undefined, { id: `of-${tenant}`, tenant });
    await until(() => here.running === 2, 'both of them work');
    const far = there.definition();
    await second.start(far, undefined, { id: 'far', tenant: 'acme' });
    await until(() => there.running === 1, 'it works there');
    const receipt = await first.kill({ tenant: 'acme' }, 'overdue', { by: 'bob' });
    expect(receipt.runs.map(({ run }) => run).sort()).toEqual(['far', 'of-acme']);
    expect([here.running, there.running]).toEqual([1, 0]);
    expect(await second.switches()).toMatchObject([{ tenant: 'acme', reason: 'overdue', by: 'bob' }]);
    for (const [troupe, definition] of [
      [first, near],
      [second, far],
    ] as const)
      await expect(troupe.start(definition, undefined, { tenant: 'acme' })).rejects.toMatchObject({ code: 'KILLED' });
    await second.start(far, undefined, { id: 'of-nobody' });
    expect(await second.lift({ tenant: 'acme' })).toBe(true);
    expect(await second.lift({ tenant: 'acme' })).toBe(false);
    await second.start(far, undefined, { id: 'again', tenant: 'acme' });
    expect((await first.runs({ status: 'running' })).map(({ run }) => run).sort()).toEqual([
      'again',
      'of-nobody',
      'of-other',
    ]);
  });

  test('has a receipt of all that it has stopped, here and elsewhere, and of what ignores that', async () => {
    const store = new FaultyStore();
    let begun = 0;
    const deaf = tool({
      name: 'deaf',
      description: 'Ignores its signal',
      inputSchema: z.object({}),
      execute: () => {
        begun += 1;
        return new Promise(() => {});
      },
    });
    const clock = new SimulatedClock();
    const first = await opened({ backend: store, clock });
    const second = await opened({ backend: store, clock });
    await first.start(deaf, {}, { id: 'here', tenant: 'acme' });
    await second.start(deaf, {}, { id: 'there', tenant: 'acme' });
    await until(() => begun === 2, 'both work');
    const killing = first.kill({ tenant: 'acme' }, 'overdue', { grace: '500ms' });
    await still();
    clock.increment(500);
    const { runs, unanswered } = await killing;
    for (const { stopped } of runs) expect(stopped.map(({ actor }) => actor)).toContain('body/attempt');
    expect(unanswered.toSorted((a, b) => a.run.localeCompare(b.run))).toEqual([
      { run: 'here', actor: 'body/attempt' },
      { run: 'there', actor: 'body/attempt' },
    ]);
  });

  test('is taken up by those whose runs it reaches, where whoever has thrown it does not come to them', async () => {
    const store = new FaultyStore();
    const clock = new SimulatedClock();
    const working = new Working();
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock });
    const run = await owner.start(working.definition(), undefined, { id: 'x' });
    await until(() => working.running === 1, 'it works');
    for (let times = 0; times < 2; times += 1) store.failOnce('append', new Error('refused'), 'x');
    const { left } = await other.kill({ all: true }, 'stop', { grace: 0 });
    expect(left.map(({ run: one }) => one)).toEqual(['x']);
    expect(working.running).toBe(1);
    for (let seconds = 0; seconds < 4; seconds += 1) {
      clock.increment(1_000);
      await still();
    }
    expect(working.running).toBe(0);
    expect((await run.result()).metadata.status).toBe('killed');
  });

  test('stops what it has killed also where nobody could be told, two seconds later', async () => {
    const store = new FaultyStore();
    const clock = new SimulatedClock();
    const working = new Working();
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock });
    const run = await owner.start(working.definition(), undefined, { id: 'x' });
    await until(() => working.running === 1, 'it works');
    await still();
    store.failOnce('request', new UnreachableError('nobody', {}));
    const { unanswered } = await other.kill({ all: true }, 'stop', { grace: 0 });
    expect(unanswered).toEqual([{ run: 'x', actor: null }]);
    expect(await store.registered()).toEqual([]);
    for (let halves = 0; halves < 4; halves += 1) {
      expect(working.running).toBe(1);
      clock.increment(500);
      await still();
    }
    expect(working.running).toBe(0);
    expect((await run.result()).metadata.status).toBe('killed');
  });

  test('of a definition, or of everything, reaches what rests and what nobody has', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const definition = working.definition();
    const first = await opened({ backend: store });
    await first.start(definition, undefined, { id: 'left' });
    await still();
    await first.close();
    const second = await opened({ backend: store, recover: false });
    const receipt = await second.kill({ definition: 'working' });
    expect(receipt.runs).toMatchObject([{ run: 'left', status: 'killed', owner: null }]);
    await second.kill({ all: true });
    const third = await opened({ backend: store });
    const machine = tool({ name: 'other', description: '', inputSchema: z.object({}), execute: () => 1 });
    await expect(third.start(machine, {})).rejects.toMatchObject({ code: 'KILLED' });
    await third.lift({ definition: 'working' });
    await third.lift({ all: true });
    expect(await third.execute(machine, {})).toBe(1);
  });

  test('holds a run that was created while it was thrown', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const first = await opened({ backend: store });
    const second = await opened({ backend: store });
    const held = store.holdOnce('append');
    const starting = first.start(working.definition(), undefined, { id: 'x' });
    await held.reached;
    await second.kill({ all: true }, 'stop');
    held.release();
    await expect(starting).rejects.toMatchObject({ code: 'KILLED' });
    await still();
    expect(working.begun).toBe(0);
    expect((await first.runs()).every(({ status }) => status === 'killed')).toBe(true);
  });

  test('that is none is refused', async () => {
    const troupe = await opened();
    for (const width of [{}, { tenant: 'a b' }, { all: false }, { tenant: 'a', all: true }])
      await expect(troupe.kill(width as { all: true })).rejects.toMatchObject({ code: 'VALIDATION' });
  });
});
