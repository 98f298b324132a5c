import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import {
  childRun,
  durable,
  OverloadedError,
  StorageFullError,
  tool,
  ValidationError,
  type BackendFactory,
  type Troupe,
} from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What a run draws of its tenant's budget where others start at the same time, or the budget changes meanwhile. */

const ask = tool({
  name: 'ask',
  description: 'Asks',
  inputSchema: z.object({}),
  effect: 'read',
  cost: { tokens: 10 },
  execute: (_, { charge }) => charge({ tokens: 10, usd: 1 }),
});
const waiting = durable(
  setup({ types: { events: {} as { type: 'GO' } } }).createMachine({
    initial: 'waiting',
    states: { waiting: { on: { GO: 'done' } }, done: { type: 'final' } },
  }),
  { name: 'waiting', version: '1' },
);

const opened = openedWith({ definitions: [ask, waiting] });
const drawnOf = async (troupe: Troupe, tenant: string) => (await troupe.budgetOf(tenant))?.drawn;

describe('a draw of nothing', () => {
  test('is a draw: who starts that run, too, goes on with it', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ backend: store });
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    store.failOnce('append', new StorageFullError('full', {}), 'one');
    const [first, second] = await Promise.allSettled(
      [0, 5_000].map((tokens) => troupe.start(ask, {}, { id: 'one', tenant: 'acme', budget: { tokens } })),
    );
    expect([first?.status, second?.status]).toEqual(['rejected', 'fulfilled']);
    expect((await (await troupe.attach('one')).result()).error?.code).toBe('BUDGET_EXCEEDED');
    expect((await troupe.budgetOf('acme'))?.spent.tokens).toBe(0);
  });
});

describe('a start that fails', () => {
  test('gives nothing back that the run lives on which another start has created meanwhile', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ backend: store });
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    const start = () => troupe.start(waiting, undefined, { id: 'one', tenant: 'acme', budget: { tokens: 100 } });
    const append = store.holdOnce('append');
    store.failOnce('append', new StorageFullError('full', {}), 'one');
    const first = start();
    await append.reached;
    const tail = store.holdOnce('tail');
    append.release();
    await tail.reached;
    const second = start();
    await still();
    tail.release();
    await expect(first).rejects.toThrow(StorageFullError);
    expect((await second).status).toBe('running');
    expect((await drawnOf(troupe, 'acme'))?.tokens).toBe(100);
  });
});

describe('a run that somebody else has begun under the id of a child', () => {
  test('is not paid for by the tenant of who would have begun that', async () => {
    const parent = durable(
      setup({ types: { events: {} as { type: 'GO' } }, actors: { ask: childRun(ask) } }).createMachine({
        initial: 'waiting',
        states: {
          waiting: { on: { GO: 'asking' } },
          asking: { invoke: { src: 'ask', input: {}, onDone: 'done', onError: 'done' } },
          done: { type: 'final' },
        },
      }),
      { name: 'parent', version: '1' },
    );
    const child = async (troupe: Troupe): Promise<string> => {
      const run = await troupe.start(parent, undefined, { id: 'p' });
      await run.send({ type: 'GO' });
      await run.result();
      return (await troupe.runs()).find(({ definition }) => definition === 'ask')?.run ?? '';
    };
    const id = await child(await opened({ definitions: [ask, parent] }));

    const troupe = await opened({ definitions: [ask, parent] });
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    await troupe.execute(ask, {}, { id, tenant: 'other' });
    const run = await troupe.start(parent, undefined, { id: 'p', tenant: 'acme', budget: { tokens: 50 } });
    await run.send({ type: 'GO' });
    await run.result();
    await still();
    const { drawn, spent } = (await troupe.budgetOf('acme')) ?? {};
    expect([drawn?.tokens, spent?.tokens]).toEqual([0, 0]);
  });
});

describe('a run that is on record and could never be registered', () => {
  test('gives back what it has drawn, though the process dies that has killed it', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const first = await opened({ backend: store, report: () => {} });
    await first.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    store.failOnce('put', new StorageFullError('full', {}), 'one');
    const starting = first.start(waiting, undefined, { id: 'one', tenant: 'acme', budget: { tokens: 100 } });
    await expect(starting).rejects.toThrow(StorageFullError);
    store.failOnce('budget', new StorageFullError('full', {}));
    await first.kill('one');
    await still();
    store.crash();
    const next = await opened({ backend: store, clock });
    await still();
    expect((await drawnOf(next, 'acme'))?.tokens).toBe(100);
    clock.increment(5_000);
    await still();
    expect((await drawnOf(next, 'acme'))?.tokens).toBe(0);
  });
});

describe('an id that two tenants want', () => {
  const asking = (tenant: string) => ({ id: 'one', tenant, budget: { tokens: 100 } });

  test('is of one of them; the other is refused, and has what it drew back', async () => {
    const troupe = await opened();
    for (const tenant of ['a', 'b']) await troupe.setBudget({ tenant, period: '1d', tokens: 100 });
    const [first, second] = await Promise.allSettled(
      ['a', 'b'].map((tenant) => troupe.start(waiting, undefined, asking(tenant))),
    );
    expect([first?.status, second?.status]).toEqual(['fulfilled', 'rejected']);
    expect((second as PromiseRejectedResult).reason).toBeInstanceOf(ValidationError);
    expect((await drawnOf(troupe, 'b'))?.tokens).toBe(0);
    const run = await troupe.attach('one', waiting);
    await run.send({ type: 'GO' });
    await run.result();
    for (const tenant of ['a', 'b']) await troupe.start(waiting, undefined, { tenant, budget: { tokens: 100 } });
  });

  test('that was drawn for by a process that is gone stands in nobody’s way', async () => {
    const store = new FaultyStore();
    const [gone, troupe] = [await opened({ backend: store }), await opened({ backend: store })];
    await troupe.setBudget({ tenant: 'a', period: '1d', tokens: 100 });
    const held = store.holdOnce('append');
    const lost = gone.start(waiting, undefined, asking('a')).catch((error: unknown) => error);
    await held.reached;
    await gone.close();
    await troupe.start(waiting, undefined, { id: 'one', tenant: 'b' });
    await troupe.start(waiting, undefined, { tenant: 'a', budget: { tokens: 100 } });
    expect((await drawnOf(troupe, 'a'))?.tokens).toBe(100);
    held.release();
    await lost;
  });

  test.each([['b'], [undefined]])('is not handed to %s where it is of a', async (tenant) => {
    const troupe = await opened();
    await troupe.start(waiting, undefined, { id: 'one', tenant: 'a' });
    const other = { id: 'one', ...(tenant !== undefined && { tenant }) };
    const refused = await troupe.start(waiting, undefined, other).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ValidationError);
    expect((refused as ValidationError).message).toBe(
      `Run one exists and is not of tenant ${tenant ?? 'default'}; choose another id.`,
    );
    expect((await troupe.start(waiting, undefined, { id: 'one', tenant: 'a' })).id).toBe('one');
  });
});

describe('what was drawn for runs that were never created', () => {
  /** Whoever opens it creates nothing: what it draws for a run is on record, the run never is. */
  const stuckOn = (store: FaultyStore): BackendFactory => ({
    open: async (ports) => {
      const backend = await store.open(ports);
      const never = () => new Promise<never>(() => {});
      const { journal, registry } = backend;
      return {
        ...backend,
        journal: { ...journal, append: never },
        registry: {
          ...registry,
          put: (key, ...fact) => (key.startsWith('open.') ? never() : registry.put(key, ...fact)),
        },
      };
    },
  });
  /** Resolves to what the first of so many starts is refused with. */
  const drawing = (troupe: Troupe, runs: number): Promise<unknown> =>
    new Promise((refused) => {
      for (let index = 0; index < runs; index += 1)
        troupe.start(waiting, undefined, { id: `${'x'.repeat(120)}${index}`, ...one }).catch(refused);
    });
  const one = { tenant: 'acme', budget: { tokens: 1, usd: 0.123456, steps: 1_000_000, toolCalls: 1_000_000 } };

  test('counts while they may be, and not when whoever was creating them is gone', async () => {
    const store = new FaultyStore();
    const [gone, troupe] = [await opened({ backend: stuckOn(store) }), await opened({ backend: store })];
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    void drawing(gone, 1);
    await still();
    expect(await troupe.budgetOf('acme')).toMatchObject({ drawn: { tokens: 1 }, runs: 1 });
    await gone.close();
    expect(await troupe.budgetOf('acme')).toMatchObject({ drawn: { tokens: 0 }, runs: 0 });
  });

  test('makes room for others: in what the tenant’s record can hold, too', async () => {
    const store = new FaultyStore();
    const [gone, troupe] = [await opened({ backend: stuckOn(store) }), await opened({ backend: store })];
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 1_000_000 });
    expect(await drawing(gone, 300)).toBeInstanceOf(OverloadedError);
    const asked = { id: 'y'.repeat(123), ...one };
    await expect(troupe.start(waiting, undefined, asked)).rejects.toBeInstanceOf(OverloadedError);
    await gone.close();
    await troupe.start(waiting, undefined, asked);
    expect(await troupe.budgetOf('acme')).toMatchObject({ drawn: { tokens: 1 }, runs: 1 });
  });
});

describe('a budget that is changed while runs are open', () => {
  test('counts what these had asked for, though it was not limited then', async () => {
    const troupe = await opened();
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    await troupe.start(waiting, undefined, { tenant: 'acme', budget: { tokens: 50, usd: 3 } });
    await troupe.setBudget({ tenant: 'acme', period: '1d', usd: 5 });
    const starting = troupe.start(waiting, undefined, { tenant: 'acme', budget: { usd: 3 } });
    await expect(starting).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', context: { resource: 'usd', spent: 3 } });
  });

  test('and changed again counts what was spent meanwhile', async () => {
    const troupe = await opened();
    await troupe.setBudget({ tenant: 'acme', period: '1d', usd: 5 });
    await troupe.execute(ask, {}, { tenant: 'acme', budget: { usd: 1 } });
    expect((await troupe.budgetOf('acme'))?.spent).toMatchObject({ usd: 1, tokens: 10 });
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 15 });
    const starting = troupe.start(ask, {}, { tenant: 'acme', budget: { tokens: 10 } });
    await expect(starting).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', context: { spent: 10, limit: 15 } });
  });
});

describe('a larger budget that a run does not go on with', () => {
  const drawn = async (troupe: Troupe) => (await drawnOf(troupe, 'acme'))?.tokens;
  const larger = { budget: { tokens: 100 } };

  test('draws nothing: of a run that is not paused', async () => {
    const troupe = await opened();
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    const run = await troupe.start(waiting, undefined, { tenant: 'acme', budget: { tokens: 10 } });
    await expect(run.resume(larger)).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' });
    expect(await drawn(troupe)).toBe(10);
  });

  test('draws nothing: of one that is asked from another process and refuses it', async () => {
    const store = new FaultyStore();
    const [owner, other] = [await opened({ backend: store }), await opened({ backend: store })];
    await owner.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    const run = await owner.start(waiting, undefined, { id: 'one', tenant: 'acme', budget: { tokens: 10 } });
    const refused = new Promise((resolve) => run.on('message.refused', ({ event }) => resolve(event.error.code)));
    await (await other.attach('one')).resume(larger);
    expect(await refused).toBe('INVALID_STATE_TRANSITION');
    expect(await drawn(other)).toBe(10);
    // It is told at once what cannot be.
    const far = await other.attach('one');
    await expect(far.resume({ budget: { tokens: 101 } })).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    await run.pause();
    const resumed = new Promise<void>((resolve) => run.on('run.resumed', () => resolve()));
    await far.resume(larger);
    await resumed;
    expect(await drawn(other)).toBe(100);
  });

  test('draws nothing: where the store has no room for it', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const troupe = await opened({ backend: store, clock, report: () => {} });
    await troupe.setBudget({ tenant: 'acme', period: '1d', tokens: 100 });
    const run = await troupe.start(waiting, undefined, { id: 'one', tenant: 'acme', budget: { tokens: 10 } });
    await run.pause();
    store.failOnce('append', new StorageFullError('full', {}), 'one');
    await expect(run.resume(larger)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await drawn(troupe)).toBe(10);
    clock.increment(1_000);
    await run.resume(larger);
    expect(await drawn(troupe)).toBe(100);
  });
});
