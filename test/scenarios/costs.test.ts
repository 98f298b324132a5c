import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import {
  BudgetExceededError,
  charge,
  durable,
  plan,
  module,
  RateLimitError,
  tool,
  ValidationError,
  type Cost,
  type RunHandle,
  type ToolContext,
} from '../../src/index.ts';
import { accountOf, mustStayWithin } from '../support/accounts.ts';
import { driven } from '../support/driven.ts';
import { entriesOf, firstOf } from '../support/entries.ts';
import { bare, Calls, inTurn, leaving } from '../support/spending.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What calls cost: what they had reserved, what they charge, and what they have cost where they do not end. */

const opened = openedWith();

describe('a call that has begun', () => {
  test.each(['read', 'idempotent'] as const)('counts where its run is killed at that moment: %s', async (effect) => {
    const troupe = await opened();
    const began = new Promise<void>((resolve) => {
      const execute = (_: unknown, context: ToolContext): Promise<never> => {
        context.charge({ tokens: 10 });
        resolve();
        return new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(new Error())));
      };
      void troupe.start(tool({ ...bare, effect, execute, cost: { tokens: 10 } }), {}, { id: 'x' });
    });
    await began;
    await troupe.kill('x', 'at once');
    const entries = await entriesOf(await troupe.attach('x'));
    expect(accountOf(entries).spent).toMatchObject({ steps: 1, tokens: 10 });
  });
});

describe('a tool', () => {
  test('is a tool call once, however often it is tried, and a step each time', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    let tries = 0;
    const execute = (): number => {
      tries += 1;
      if (tries % 2 === 1) throw new Error('not yet');
      return tries;
    };
    const work = tool({ ...bare, execute, cost: { tokens: 5 } });
    const run = await troupe.start(inTurn(work, 2), undefined, { budget: { toolCalls: 2, tokens: 20 } });
    expect((await driven(clock, run)).success).toBe(true);
    expect(accountOf(await entriesOf(run))).toMatchObject({ spent: { toolCalls: 2, steps: 4, tokens: 20 } });
  });

  test('that is called once too often is not called', async () => {
    const troupe = await opened();
    let called = 0;
    const work = tool({ ...bare, execute: () => (called += 1) });
    const run = await troupe.start(inTurn(work, 3), undefined, { budget: { toolCalls: 2 } });
    expect(await run.result()).toMatchObject({
      error: { code: 'BUDGET_EXCEEDED', data: { resource: 'toolCalls', spent: 2, limit: 2 } },
    });
    expect(called).toBe(2);
    mustStayWithin(await entriesOf(run));
  });

  test('whose first try was not performed is a tool call all the same, and has cost only what it charged', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    let tries = 0;
    const execute = (_: unknown, context: ToolContext): number => {
      tries += 1;
      context.charge({ usd: 0.01 });
      if (tries === 1) throw Object.assign(new RateLimitError('later'), { notPerformed: true });
      return tries;
    };
    const run = await troupe.start(inTurn(tool({ ...bare, execute, cost: { usd: 0.5 } })), undefined);
    await driven(clock, run);
    expect(accountOf(await entriesOf(run)).spent).toMatchObject({ toolCalls: 1, usd: 0.02 });
  });

  test('that was not performed and has charged nothing has cost nothing but the tool call', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    let tries = 0;
    const execute = (): number => {
      tries += 1;
      if (tries === 1) throw Object.assign(new RateLimitError('later'), { notPerformed: true });
      return tries;
    };
    const run = await troupe.start(inTurn(tool({ ...bare, execute, cost: { usd: 0.5 } })), undefined);
    await driven(clock, run);
    expect(accountOf(await entriesOf(run)).spent).toMatchObject({ toolCalls: 1, steps: 2, usd: 0.5 });
  });

  test('whose first try was refused before it had begun is a tool call with the next', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    let [started, called] = [0, 0];
    const work = tool({ ...bare, execute: () => (called += 1) });
    const start = (): void => {
      started += 1;
      if (started === 1) throw new Error('no route');
    };
    const twice = plan({ name: 'twice', tools: [module({ name: 'desk', tools: [work], start })] })
      .step('a', work, { input: () => ({}) })
      .step('b', work, { input: () => ({}), needs: ['a'] });
    const run = await troupe.start(twice, undefined, { budget: { toolCalls: 1 } });
    expect((await driven(clock, run)).error?.code).toBe('BUDGET_EXCEEDED');
    expect([called, accountOf(await entriesOf(run)).spent.toolCalls]).toEqual([1, 1]);
  });

  test('costs what it charges, not what it had reserved', async () => {
    const troupe = await opened();
    const execute = (_: unknown, context: ToolContext): void => {
      context.charge({ tokens: 3 });
      context.charge({ tokens: 4, usd: 0.1 });
    };
    const run = await troupe.start(
      inTurn(tool({ ...bare, execute, cost: { tokens: 50 } }), 2),
      undefined,
      // The second reserves 50 of what the first has left.
      { budget: { tokens: 57 } },
    );
    expect((await run.result()).success).toBe(true);
    const entries = await entriesOf(run);
    expect(
      entries.filter(({ type }) => type === 'leaf.succeeded').map(({ event }) => (event as { cost: unknown }).cost),
    ).toEqual([
      { tokens: 7, usd: 0.1, toolCalls: 1 },
      { tokens: 7, usd: 0.1, toolCalls: 1 },
    ]);
    mustStayWithin(entries);
  });

  test('that charges more than it had reserved is told, and it counts', async () => {
    const troupe = await opened();
    const told: unknown[] = [];
    const execute = (_: unknown, context: ToolContext): string => {
      try {
        context.charge({ tokens: 15 });
      } catch (error) {
        told.push(error);
      }
      return 'done';
    };
    const run = await troupe.start(inTurn(tool({ ...bare, execute, cost: { tokens: 5 } }), 2), undefined, {
      budget: { tokens: 10 },
    });
    const result = await run.result();
    expect(told).toHaveLength(1);
    expect(told[0]).toBeInstanceOf(BudgetExceededError);
    expect((told[0] as BudgetExceededError).context).toEqual({ resource: 'tokens', spent: 15, limit: 10 });
    // The next one does not begin.
    expect(result).toMatchObject({ success: false, error: { code: 'BUDGET_EXCEEDED' } });
    expect(accountOf(await entriesOf(run)).spent).toMatchObject({ tokens: 15, steps: 1 });
  });

  test.each([{ tokens: -1 }, { tokens: 1.5 }, { usd: NaN }, { usd: Infinity }, { steps: 1 }, null])(
    'cannot charge %j',
    async (cost) => {
      const troupe = await opened();
      const execute = (_: unknown, context: ToolContext): void => context.charge(cost as Cost);
      const run = await troupe.start(inTurn(tool({ ...bare, execute })), undefined);
      expect((await run.result()).data).toMatchObject([{ status: 'failed', error: { code: 'VALIDATION' } }]);
    },
  );

  test('that is called outside a run charges nobody', () => {
    expect(() => charge({ sessionId: 'x' } as never, { tokens: 1 })).not.toThrow();
  });
});

test('a cost of a source that is not there, or that is none, is refused at once', () => {
  const machine = setup({ actors: { call: fromPromise(async () => 1) } }).createMachine({});
  const base = { name: 'x', version: '1' };
  expect(() => durable(machine, { ...base, costs: { cal: { tokens: 1 } } as never })).toThrow(/closest: call/);
  expect(() => durable(machine, { ...base, costs: { call: { tokens: -1 } } })).toThrow(ValidationError);
  expect(() => durable(machine, { ...base, costs: { call: { usd: Number.MAX_VALUE } } })).toThrow(ValidationError);
});

test.each<[string, unknown]>([
  ['a promise', Promise.resolve({ usd: 5 })],
  ['an array', [{ usd: 5 }]],
  ['a date', new Date(0)],
  ['more dollars than can be counted', { usd: 1e300 }],
])('a cost that is %s fails the call', async (_, cost) => {
  const troupe = await opened();
  let called = 0;
  const odd = tool({
    name: 'odd',
    description: 'Costs what cannot be told',
    inputSchema: z.object({}),
    effect: 'read',
    cost: () => cost as Cost,
    execute: () => (called += 1),
  });
  const { error } = await (await troupe.start(odd, {}, { budget: { usd: 1 } })).result();
  expect([called, error?.code]).toEqual([0, 'VALIDATION']);
});

test('a call that somebody lets begin again is asked for its budget again', async () => {
  const store = new FaultyStore();
  let begun = 0;
  const paying = setup({
    actors: {
      pay: fromPromise(() => {
        begun += 1;
        return new Promise<never>(() => {});
      }),
    },
  }).createMachine({ initial: 'paying', states: { paying: { invoke: { src: 'pay' } } } });
  const definition = durable(paying, {
    name: 'paying',
    version: '1',
    effects: { pay: 'irreversible' },
    costs: { pay: { usd: 1 } },
  });
  const options = { backend: store, definitions: [definition] };
  let troupe = await opened(options);
  await troupe.start(definition, undefined, { id: 'p', budget: { usd: 2 } });
  await until(() => begun === 1, 'it has begun');
  for (const count of [2, 3]) {
    await troupe.close();
    troupe = await opened(options);
    const run = await troupe.attach('p');
    const retried = run.resolve('body/pay', { retry: true });
    if (count === 2) await retried;
    else await expect(retried).rejects.toBeInstanceOf(BudgetExceededError);
  }
  expect(begun).toBe(2);
  const run = await troupe.attach('p');
  // It is in doubt as before.
  expect(await run.inDoubt()).toMatchObject([{ call: 'body/pay' }]);
  await run.resolve('body/pay', { error: new Error('never paid') });
  expect((await run.result()).success).toBe(false);
  const entries = await entriesOf(run);
  mustStayWithin(entries);
  expect(accountOf(entries)).toMatchObject({ spent: { usd: 2, steps: 2 }, reserved: { usd: 0 } });
});

test('what a call has charged is on record where its run ends while it is under way', async () => {
  const troupe = await opened();
  const machine = setup({
    types: { events: {} as { type: 'END' } },
    actors: {
      call: fromPromise(({ self }) => {
        charge(self, { tokens: 14 });
        return new Promise<never>(() => {});
      }),
    },
  }).createMachine({
    invoke: { src: 'call' },
    initial: 'waiting',
    states: { waiting: { on: { END: 'done' } }, done: { type: 'final' } },
  });
  const definition = durable(machine, { name: 'ending', version: '1', costs: { call: { tokens: 10 } } });
  const spent = async (run: RunHandle): Promise<number> => accountOf(await entriesOf(run)).spent.tokens;
  const [ended, killed] = [await troupe.start(definition, undefined), await troupe.start(definition, undefined)];
  await ended.send({ type: 'END' });
  await ended.result();
  expect(await spent(ended as RunHandle)).toBe(14);
  await firstOf(killed, 'leaf.started');
  await killed.kill('enough', { grace: 0 });
  expect(await spent(killed as RunHandle)).toBe(14);
  for (const { id } of [ended, killed]) expect((await troupe.replay(id)).status).toMatch(/completed|killed/);
});

describe('a call that is left', () => {
  test.each<[Cost, number]>([
    [{}, 10],
    [{ tokens: 4 }, 10],
    [{ tokens: 14 }, 14],
  ])('when it has charged %j has cost %i tokens', async (charges, tokens) => {
    const troupe = await opened();
    const run = await troupe.start(leaving(charges), undefined);
    await run.send({ type: 'LEAVE' });
    await run.send({ type: 'END' });
    expect((await run.result()).success).toBe(true);
    expect(accountOf(await entriesOf(run)).spent.tokens).toBe(tokens);
  });

  test('because its run was killed has cost what it had reserved', async () => {
    const troupe = await opened();
    const run = await troupe.start(leaving({ tokens: 1 }), undefined);
    await run.send({ type: 'END' });
    await run.kill('enough');
    expect(accountOf(await entriesOf(run))).toMatchObject({ spent: { tokens: 10 }, reserved: { tokens: 0 } });
  });
});

test('a call whose state was left before its intent was on record has not begun, and has cost nothing', async () => {
  const store = new FaultyStore();
  const calls = new Calls();
  let begun = 0;
  const machine = setup({
    types: { events: {} as { type: 'LEAVE' } },
    actors: { first: fromPromise(() => calls.take()), second: fromPromise(async () => (begun += 1)) },
  }).createMachine({
    initial: 'one',
    states: {
      one: { invoke: { src: 'first', onDone: 'two' } },
      two: { invoke: { src: 'second' }, on: { LEAVE: 'left' } },
      left: { after: { 10_000: 'done' } },
      done: { type: 'final' },
    },
  });
  const definition = durable(machine, {
    name: 'left',
    version: '1',
    effects: { second: 'irreversible' },
    costs: { second: { tokens: 5 } },
  });
  const clock = new SimulatedClock();
  const troupe = await opened({ backend: store, clock });
  const run = await troupe.start(definition, undefined);
  await until(() => calls.begun === 1, 'the first has begun');
  await turn();
  const held = store.holdOnce('append');
  calls.answer();
  await held.reached;
  const left = run.send({ type: 'LEAVE' });
  held.release();
  await left;
  await driven(clock, run);
  const entries = await entriesOf(run);
  expect(entries.filter(({ type }) => type === 'leaf.abandoned')).toMatchObject([{ event: { cost: {} } }]);
  expect(accountOf(entries)).toMatchObject({ spent: { tokens: 0 }, reserved: { tokens: 0 } });
  expect(begun).toBe(0);
});
