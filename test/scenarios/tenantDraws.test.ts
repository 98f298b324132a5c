import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import { durable, StorageFullError, tool, ValidationError, type Troupe } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
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
