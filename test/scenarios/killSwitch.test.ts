import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { durable, tool, UnreachableError } from '../../src/index.ts';
import { deafTool } from '../support/deaf.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** Kills of all of a kind, and what stays off until they are lifted. */

const opened = openedWith({ report: () => {}, principal: 'ana' });

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
    const { deaf, counts } = deafTool();
    const clock = new SimulatedClock();
    const first = await opened({ backend: store, clock });
    const second = await opened({ backend: store, clock });
    await first.start(deaf, {}, { id: 'here', tenant: 'acme' });
    await second.start(deaf, {}, { id: 'there', tenant: 'acme' });
    await until(() => counts.begun === 2, 'both work');
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
