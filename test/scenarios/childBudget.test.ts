import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { childRun, durable, plan, tool, type BudgetOptions, type Entry, type Troupe } from '../../src/index.ts';
import { accountOf, accountsOf, mustStayWithin } from '../support/accounts.ts';
import { entriesOf } from '../support/entries.ts';
import { bare, Calls } from '../support/spending.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What runs that calls begin may spend, and who pays for it. */

const opened = openedWith();

describe('a run that a call begins', () => {
  /** Spends 10 tokens for each message. */
  const spender = durable(
    setup({
      types: { context: {} as { left: number }, input: {} as number },
      actors: { call: fromPromise(async () => 'done') },
    }).createMachine({
      context: ({ input }) => ({ left: input }),
      initial: 'calling',
      states: {
        calling: {
          invoke: {
            src: 'call',
            onDone: [
              { guard: ({ context }) => context.left === 1, target: 'done' },
              { target: 'calling', reenter: true, actions: assign({ left: ({ context }) => context.left - 1 }) },
            ],
          },
        },
        done: { type: 'final' },
      },
    }),
    { name: 'spender', version: '1', costs: { call: { tokens: 10 } } },
  );
  const parentOf = (calls: number, budgets: (BudgetOptions | undefined)[]) => {
    const actors = Object.fromEntries(
      budgets.map((budget, index) => [`child${index}`, childRun(spender, budget === undefined ? {} : { budget })]),
    );
    const machine = setup({ actors }).createMachine({
      type: 'parallel',
      states: Object.fromEntries(
        budgets.map((_, index) => [
          `s${index}`,
          {
            initial: 'waiting',
            states: {
              waiting: { invoke: { src: `child${index}`, input: calls as never, onDone: 'done', onError: 'done' } },
              done: { type: 'final' as const },
            },
          },
        ]),
      ),
    });
    return durable(machine, { name: 'parent', version: '1' });
  };
  const childrenOf = async (troupe: Troupe): Promise<Entry[][]> => {
    const runs = (await troupe.runs()).filter(({ definition }) => definition === 'spender');
    return Promise.all(runs.map(async ({ run }) => entriesOf(await troupe.attach(run))));
  };
  const budgetIn = ([created]: readonly Entry[]): unknown =>
    (created?.event as { budget?: unknown } | undefined)?.budget;

  test('costs nothing where its input is refused: none has begun', async () => {
    const troupe = await opened();
    const nothing = tool({ name: 'nothing', description: '', inputSchema: z.number(), execute: () => 1 });
    const strict = plan({ name: 'strict', version: '1', inputSchema: z.number() }).step('nothing', nothing, {
      input: ({ input }) => input,
    });
    const actors = { strict: childRun(strict, { budget: { tokens: 40, steps: 3 } }) };
    const machine = setup({ actors }).createMachine({
      initial: 'asking',
      states: {
        asking: { invoke: { src: 'strict', input: 'text' as never, onDone: 'done', onError: 'done' } },
        done: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'asking', version: '1' }), undefined, {
      budget: { tokens: 100, steps: 10 },
    });
    await run.result();
    expect(accountOf(await entriesOf(run)).spent).toMatchObject({ tokens: 0, steps: 1 });
  });

  test('may spend what it asks for, at most what is left, and its parent pays what it has spent', async () => {
    const troupe = await opened();
    const run = await troupe.start(parentOf(3, [{ tokens: 60 }, { tokens: 60 }]), undefined, {
      budget: { tokens: 100 },
    });
    expect((await run.result()).success).toBe(true);
    const children = await childrenOf(troupe);
    expect(children.map(budgetIn)).toEqual(expect.arrayContaining([{ tokens: 60 }, { tokens: 40 }]));
    for (const entries of children) expect(accountOf(entries).spent.tokens).toBe(30);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    // Two calls of its own and three of each child.
    expect(accountOf(entries).spent).toMatchObject({ tokens: 60, steps: 8, toolCalls: 0 });
  });

  test('that does not say how much takes all that is left until it has ended', async () => {
    const troupe = await opened();
    const run = await troupe.start(parentOf(3, [undefined]), undefined, { budget: { tokens: 50, usd: 0, steps: 9 } });
    expect((await run.result()).success).toBe(true);
    expect((await childrenOf(troupe)).map(budgetIn)).toEqual([{ tokens: 50, usd: 0, steps: 8 }]);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountsOf(entries).some(({ reserved }) => reserved.tokens === 50 && reserved.steps === 8)).toBe(true);
    expect(accountOf(entries)).toMatchObject({ spent: { tokens: 30, steps: 4 }, reserved: { tokens: 0 } });
  });

  test('is held to it, and its parent goes on', async () => {
    const troupe = await opened();
    const run = await troupe.start(parentOf(5, [{ tokens: 20 }]), undefined, { budget: { tokens: 100 } });
    expect((await run.result()).success).toBe(true);
    const [child] = await childrenOf(troupe);
    expect(child?.at(-1)).toMatchObject({ type: 'run.failed', event: { error: { code: 'BUDGET_EXCEEDED' } } });
    expect(accountOf(await entriesOf(run)).spent.tokens).toBe(20);
  });

  test('cannot go on with more than was held back for it', async () => {
    const troupe = await opened();
    const run = await troupe.start(parentOf(3, [{ tokens: 20, onExhausted: 'pause' }]), undefined, {
      budget: { tokens: 100 },
    });
    let paused: string | undefined;
    await until(() => {
      void troupe.runs({ status: 'paused' }).then(([one]) => (paused = one?.run));
      return paused !== undefined;
    }, 'the child is paused');
    const child = await troupe.attach(paused ?? '');
    await expect(child.resume({ budget: { tokens: 30 } })).rejects.toThrow(/holds back 20 tokens for it/);
    await child.resume({ budget: { tokens: 20, onExhausted: 'fail' } });
    expect((await run.result()).success).toBe(true);
    mustStayWithin(await entriesOf(run));
  });

  describe('and is under way when its parent is given a limit', () => {
    const waiting = durable(
      setup({ types: { events: {} as { type: 'GO' } } }).createMachine({
        initial: 'waiting',
        states: { waiting: { on: { GO: 'done' } }, done: { type: 'final' } },
      }),
      { name: 'waiting', version: '1' },
    );
    const asking = (budget?: BudgetOptions) =>
      durable(
        setup({
          types: { events: {} as { type: 'GO' } },
          actors: { ask: childRun(waiting, budget === undefined ? {} : { budget }) },
        }).createMachine({
          initial: 'asking',
          states: {
            asking: { invoke: { src: 'ask', onDone: 'done', onError: 'alone' } },
            alone: { on: { GO: 'done' } },
            done: { type: 'final' },
          },
        }),
        { name: 'asking', version: '1' },
      );
    const paused = async (child: BudgetOptions | undefined, budget: BudgetOptions) => {
      const backend = new FaultyStore();
      const definition = asking(child);
      const troupe = await opened({ backend, definitions: [definition] });
      const run = await troupe.start(definition, undefined, { id: 'p', budget });
      let begun: string | undefined;
      await until(() => {
        void troupe.runs().then((runs) => (begun = runs.find(({ definition }) => definition === 'waiting')?.run));
        return begun !== undefined;
      }, 'the child is begun');
      await run.pause();
      return { backend, troupe, run, child: await troupe.attach(begun ?? '', waiting) };
    };

    test('is the reason why that is refused, here and elsewhere, unless it keeps to it', async () => {
      const { backend, troupe, run, child } = await paused(undefined, { usd: 5 });
      const elsewhere = await opened({ backend, definitions: [asking()], recover: false });
      const there = await elsewhere.attach('p');
      const refused = {
        code: 'VALIDATION',
        message: expect.stringContaining(`body/ask (run ${child.id}) was begun without a limit of tokens`),
        context: {
          run: 'p',
          path: 'budget.tokens',
          calls: [{ call: 'body/ask', child: child.id, resource: 'tokens' }],
        },
      };
      await expect(run.resume({ budget: { tokens: 40 } })).rejects.toMatchObject(refused);
      await expect(there.resume({ budget: { tokens: 40 } })).rejects.toMatchObject(refused);
      await expect(run.resume({ budget: { wallClock: '1m' } })).rejects.toThrow('without a limit of wallClockMs');
      // All of them were held back for it.
      await expect(run.resume({ budget: { usd: 4 } })).rejects.toThrow('may spend 5 usd');
      expect(run.status).toBe('paused');
      await run.resume({ budget: { usd: 6 } });
      await child.send({ type: 'GO' });
      expect((await run.result()).success).toBe(true);
      expect(await troupe.replay('p')).toMatchObject({ equal: true });
    });

    test('is none where it keeps to it, or has ended', async () => {
      const { run, child } = await paused({ tokens: 30, wallClock: '1m' }, { usd: 5 });
      await expect(run.resume({ budget: { tokens: 29 } })).rejects.toThrow('may spend 30 tokens');
      await run.resume({ budget: { tokens: 30, wallClock: '2m' } });
      await run.pause();
      await child.kill();
      await until(() => JSON.stringify(run.getSnapshot()?.value) === '"alone"', 'its call has failed');
      await run.resume({ budget: { tokens: 29, steps: 3 } });
      await run.send({ type: 'GO' });
      expect((await run.result()).success).toBe(true);
    });
  });

  test('takes no time of its parent while it waits for somebody', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({}),
      needsApproval: true,
      execute: () => 'paid',
    });
    const boss = durable(
      setup({ actors: { pay: childRun(pay) } }).createMachine({
        initial: 'paying',
        states: { paying: { invoke: { src: 'pay', input: {}, onDone: 'done' } }, done: { type: 'final' } },
      }),
      { name: 'boss', version: '1' },
    );
    const run = await troupe.start(boss, undefined, { budget: { wallClock: '1m' } });
    await run.settled();
    clock.increment(3_600_000);
    const [approval] = await run.approvals();
    await (await troupe.attach(approval?.run ?? '')).approve(approval?.call ?? '', { by: 'ana' });
    expect((await run.result()).success).toBe(true);
    expect(accountOf(await entriesOf(run)).spent.wallClockMs).toBeLessThan(60_000);
  });

  test('is paid once, also where its parent was not there when it ended', async () => {
    const store = new FaultyStore();
    const calls = new Calls();
    const slow = durable(
      setup({ actors: { call: fromPromise(() => calls.take()) } }).createMachine({
        initial: 'calling',
        states: { calling: { invoke: { src: 'call', onDone: 'done' } }, done: { type: 'final' } },
      }),
      { name: 'slow', version: '1', costs: { call: { tokens: 10 } } },
    );
    const parent = durable(
      setup({ actors: { child: childRun(slow) } }).createMachine({
        initial: 'waiting',
        states: { waiting: { invoke: { src: 'child', onDone: 'done' } }, done: { type: 'final' } },
      }),
      { name: 'parent', version: '1' },
    );
    const first = await opened({ backend: store });
    const run = await first.start(parent, undefined, { budget: { tokens: 30 } });
    await until(() => calls.begun === 1, 'the child has called');
    await first.close();
    const second = await opened({ backend: store, definitions: [parent, slow] });
    await until(() => calls.begun === 2, 'it calls again');
    calls.answer();
    const again = await second.attach(run.id);
    expect((await again.result()).success).toBe(true);
    const entries = await entriesOf(again);
    mustStayWithin(entries);
    expect(accountOf(entries)).toMatchObject({
      spent: { tokens: 10, toolCalls: 0, steps: 2 },
      reserved: { tokens: 0 },
    });
  });
});

test('a parent that rests while its child spends elsewhere pays what that has spent', async () => {
  const [store, clock] = [new FaultyStore(), new SimulatedClock()];
  const child = durable(
    setup({
      types: { events: {} as { type: 'GO' } },
      actors: { call: fromPromise(async () => 1) },
    }).createMachine({
      initial: 'waiting',
      states: {
        waiting: { on: { GO: 'calling' } },
        calling: { invoke: { src: 'call', onDone: 'done' } },
        done: { type: 'final' },
      },
    }),
    { name: 'child', version: '1', costs: { call: { tokens: 10 } } },
  );
  const parent = durable(
    setup({ actors: { child: childRun(child) } }).createMachine({
      initial: 'waiting',
      states: { waiting: { invoke: { src: 'child', onDone: 'done' } }, done: { type: 'final' } },
    }),
    { name: 'parent', version: '1' },
  );
  const definitions = [parent, child];
  const first = await opened({ backend: store, clock });
  await first.start(parent, undefined, { id: 'p', budget: { tokens: 30 } });
  let childId = '';
  const found = async (): Promise<void> => {
    for (const { run, definition } of await first.runs()) if (definition === 'child') childId = run;
  };
  await until(() => {
    void found();
    return childId !== '';
  }, 'the child is there');
  await first.close();
  const there = await opened({ backend: store, clock, definitions, recover: false });
  const here = await opened({ backend: store, clock, definitions, recover: false, parkAfter: '1m' });
  await there.recover(childId);
  await here.recover('p');
  await turn();
  await turn();
  clock.increment(60_000);
  await until(() => here.counts.parked === 1, 'the parent rests');
  await (await there.attach(childId)).send({ type: 'GO' });
  const run = await here.attach('p');
  expect((await run.result()).success).toBe(true);
  expect(accountOf(await entriesOf(run))).toMatchObject({ spent: { tokens: 10, steps: 2 }, reserved: { tokens: 0 } });
});

describe('runs that are begun at once', () => {
  const [calls, work] = [new Calls(), { ...bare, name: 'work' }];
  const call = tool({ ...work, execute: () => calls.take() });
  const both = (budgets: readonly BudgetOptions[]) =>
    durable(
      setup({
        types: { context: {} as { errors: unknown[] }, output: {} as unknown[] },
        actors: Object.fromEntries(['a', 'b'].map((key, at) => [key, childRun(call, { budget: budgets[at] ?? {} })])),
      }).createMachine({
        context: { errors: [] },
        type: 'parallel',
        states: Object.fromEntries(
          ['a', 'b'].map((key) => [
            key,
            {
              initial: 'on',
              states: {
                on: {
                  invoke: {
                    src: key,
                    input: {},
                    onDone: 'off',
                    onError: {
                      target: 'off',
                      actions: assign({ errors: ({ context, event }) => [...context.errors, event.error] }),
                    },
                  },
                },
                off: { type: 'final' },
              },
            },
          ]),
        ),
        output: ({ context }) => context.errors,
      }),
      { name: 'both', version: '1' },
    );

  test('the first holds back all that is left where it has no budget of its own, and the other is told so', async () => {
    const troupe = await opened();
    const run = await troupe.start(both([]), undefined, { budget: { steps: 8 } });
    const { error } = await run.result();
    calls.answer();
    expect(error).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      data: { resource: 'steps', spent: 1, reserved: 7, limit: 8 },
    });
    expect(error?.message).toBe(
      'Of a budget of 8 steps too little is left: 1 spent, and 7 held back by calls that are under way. Give the run a larger one, or let these hold back less: a childRun without a budget of its own holds back all that is left.',
    );
  });

  test('each with a budget of its own, both go on, and a tool call is counted once for each', async () => {
    const troupe = await opened();
    const own = { steps: 2, toolCalls: 1 };
    const run = await troupe.start(both([own, own]), undefined, { budget: { steps: 6, toolCalls: 2 } });
    const before = calls.begun;
    await until(() => calls.begun - before === 2, 'both have called');
    calls.answer();
    expect((await run.result()).data).toEqual([]);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountOf(entries).spent).toMatchObject({ steps: 4, toolCalls: 2 });
  });
});
