import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { assign, fromPromise, setup, spawnChild } from 'xstate';
import { z } from 'zod';
import {
  BudgetExceededError,
  charge,
  childRun,
  createTroupe,
  durable,
  ledgerStore,
  ownerId,
  plan,
  embedded,
  module,
  RateLimitError,
  tool,
  toolActor,
  ValidationError,
  type Account,
  type Backend,
  type BackendFactory,
  type BudgetOptions,
  type Cost,
  type Entry,
  type RunHandle,
  type Stored,
  type ToolContext,
  type Troupe,
  type TroupeOptions,
  type WrapUp,
} from '../../src/index.ts';
import { runId } from '../../src/protocol/ids.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

/** What a run may spend, and what becomes of it when that is spent. */

const open: Troupe[] = [];
const opened = async (options: TroupeOptions = {}): Promise<Troupe> => {
  const troupe = await createTroupe({ clock: new SimulatedClock(), ...options });
  open.push(troupe);
  return troupe;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

/** After each of them. */
function accountsOf(entries: readonly Entry[]): Account[] {
  const store = ledgerStore();
  return entries.map((entry) => {
    store.trigger.entry({ entry });
    return store.getSnapshot().context;
  });
}
const accountOf = (entries: readonly Entry[]): Account => accountsOf(entries).at(-1) as Account;

/** The first of its kind, of a run that may go on. */
async function firstOf(run: { entries(): AsyncIterable<Entry> }, type: Entry['type']): Promise<Entry | undefined> {
  for await (const entry of run.entries()) if (entry.type === type) return entry;
  return undefined;
}

/** B1. */
function mustStayWithin(entries: readonly Entry[]): void {
  for (const { limits, spent, reserved } of accountsOf(entries))
    for (const [resource, limit] of Object.entries(limits) as [keyof typeof spent, number][])
      // Shown in dollars, each is exact; their sum here is not.
      expect(spent[resource] + reserved[resource]).toBeLessThanOrEqual(limit + 1e-12);
}

/** A world that takes calls and answers them when it is told to. */
class Calls {
  begun = 0;
  readonly #waiting: (() => void)[] = [];

  take(): Promise<void> {
    this.begun += 1;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const MANY = 100;

/** So many calls at once. */
function fanOut(calls: Calls, cost: Cost | ((input: number) => Cost), named = 'fan') {
  const machine = setup({
    types: { context: {} as { done: number }, output: {} as number },
    actors: {
      call: fromPromise(async ({ input }: { input: number }) => {
        await calls.take();
        return input;
      }),
    },
  }).createMachine({
    context: { done: 0 },
    initial: 'calling',
    states: {
      calling: {
        entry: Array.from({ length: MANY }, (_, input) => spawnChild('call', { input, id: `c${input}` })),
        on: { 'xstate.done.actor.*': { actions: assign({ done: ({ context }) => context.done + 1 }) } },
        always: { guard: ({ context }) => context.done === MANY, target: 'done' },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.done,
  });
  return durable(machine, { name: named, version: '1', costs: { call: cost } });
}

describe('a hundred calls at once', () => {
  test.each<[BudgetOptions, number]>([
    [{ tokens: 505 }, 50],
    [{ usd: 0.3 }, 3],
    [{ steps: 42 }, 42],
  ])('with %j begin as often as that allows, and never more', async (budget, allowed) => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(fanOut(calls, { tokens: 10, usd: 0.1 }), undefined, { budget });
    const { success, error, metadata } = await run.result();
    expect([success, error?.code, metadata.status]).toEqual([false, 'BUDGET_EXCEEDED', 'failed']);
    expect(calls.begun).toBe(allowed);
    const entries = await entriesOf(run);
    expect(entries.filter(({ type }) => type === 'budget.exceeded')).toHaveLength(1);
    mustStayWithin(entries);
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'failed' });
  });

  test('that wait for a larger budget begin with that, each once', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const budget = { tokens: 500, onExhausted: 'pause' } as const;
    const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
    await until(() => run.status === 'paused', 'it is paused');
    expect(calls.begun).toBe(50);
    // Without a larger one it pauses again.
    await run.resume();
    await until(() => run.status === 'paused', 'it is paused again');
    expect(calls.begun).toBe(50);
    await run.resume({ budget: { tokens: 1_000 } });
    await until(() => calls.begun === MANY, 'all have begun');
    calls.answer();
    const result = await run.result();
    expect([result.data, result.metadata.steps]).toEqual([MANY, MANY]);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountOf(entries)).toMatchObject({ limits: { tokens: 1_000 }, spent: { tokens: 1_000, steps: MANY } });
  });

  test('cost what their input says', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(
      fanOut(calls, (input) => ({ tokens: input })),
      undefined,
      { budget: { tokens: 10 } },
    );
    // 0 + 1 + 2 + 3 + 4
    expect([(await run.result()).success, calls.begun]).toEqual([false, 5]);
  });

  test('are refused one by one where their cost cannot be told', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(
      fanOut(calls, () => ({ tokens: NaN })),
      undefined,
      { budget: { tokens: 10 } },
    );
    expect(await run.result()).toMatchObject({ success: false });
    expect(calls.begun).toBe(0);
    expect((await entriesOf(run)).find(({ type }) => type === 'leaf.failed')).toMatchObject({
      event: { error: { code: 'VALIDATION', notPerformed: true } },
    });
  });
});

const bare = { name: 'work', description: 'Works', inputSchema: z.object({}), effect: 'idempotent' } as const;
/** One tool, called so often one after another. */
function inTurn(work: Parameters<typeof toolActor>[0], times = 1) {
  const machine = setup({
    types: { context: {} as { exits: unknown[] }, output: {} as unknown[] },
    actors: { work: toolActor(work) },
  }).createMachine({
    context: { exits: [] },
    initial: 'working',
    states: {
      working: {
        invoke: {
          src: 'work',
          input: {},
          onDone: [
            {
              guard: ({ context }) => context.exits.length + 1 === times,
              target: 'done',
              actions: assign({ exits: ({ context, event }) => [...context.exits, event.output] }),
            },
            {
              target: 'working',
              reenter: true,
              actions: assign({ exits: ({ context, event }) => [...context.exits, event.output] }),
            },
          ],
        },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.exits,
  });
  return durable(machine, { name: 'turns', version: '1' });
}

/** Lets time pass to whatever is due next until it ends. */
async function driven(clock: SimulatedClock, run: RunHandle): Promise<Awaited<ReturnType<RunHandle['result']>>> {
  let result: Awaited<ReturnType<RunHandle['result']>> | undefined;
  void run.result().then((own) => (result = own));
  await until(() => {
    const { nextDue } = clock;
    if (result === undefined && nextDue !== undefined && nextDue - clock.now() < 60_000)
      clock.increment(Math.max(0, nextDue - clock.now()));
    return result !== undefined;
  }, 'it has ended');
  return result as Awaited<ReturnType<RunHandle['result']>>;
}

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

test.each<BudgetOptions>([{ usd: 1e300 }, { usd: Number.MAX_VALUE }, { wallClock: 1e300 }, { tokens: 1e300 }])(
  'a limit that cannot be counted is refused: %j',
  async (budget) => {
    const troupe = await opened();
    await expect(troupe.start(leaving({}), undefined, { budget })).rejects.toBeInstanceOf(ValidationError);
  },
);

test('a larger budget replaces what it names, and nothing else', async () => {
  const [calls, troupe] = [new Calls(), await opened()];
  const budget = { tokens: 100, usd: 1, onExhausted: 'pause' } as const;
  const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
  await until(() => run.status === 'paused', 'it is paused');
  await run.resume({ budget: { tokens: 200 } });
  await until(() => calls.begun === 20, 'the larger one is spent');
  await until(() => run.status === 'paused', 'it is paused again');
  const resumed = await firstOf(run, 'run.resumed');
  expect(resumed?.event).toMatchObject({ budget: { tokens: 200, usd: 1, onExhausted: 'pause' } });
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

/** A call that is left after a while, with what it has charged by then. */
function leaving(charges: Cost, cost: Cost = { tokens: 10 }) {
  const machine = setup({
    types: { events: {} as { type: 'LEAVE' } | { type: 'END' } },
    actors: {
      call: fromPromise(({ self }) => {
        charge(self, charges);
        return new Promise<never>(() => {});
      }),
    },
  }).createMachine({
    initial: 'calling',
    states: {
      calling: { invoke: { src: 'call' }, on: { LEAVE: 'left' } },
      left: { on: { END: 'done' } },
      done: { type: 'final' },
    },
  });
  return durable(machine, { name: 'leaving', version: '1', costs: { call: cost } });
}

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

describe('time', () => {
  const working = (calls: Calls) => {
    const machine = setup({
      types: { events: {} as { type: 'GO' } },
      actors: { call: fromPromise(() => calls.take()) },
    }).createMachine({
      initial: 'idle',
      states: {
        idle: { on: { GO: 'calling' } },
        calling: { invoke: { src: 'call', onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    return durable(machine, { name: 'timed', version: '1' });
  };

  /** Knows which timeouts of more than nine hours stand. */
  class FarClock extends SimulatedClock {
    readonly far = new Set<unknown>();

    override setTimeout(run: () => void, ms: number): number {
      const handle = super.setTimeout(run, ms);
      if (ms > 9 * 3_600_000) this.far.add(handle);
      return handle;
    }

    override clearTimeout(handle: unknown): void {
      this.far.delete(handle);
      super.clearTimeout(handle);
    }
  }

  async function started(budget: BudgetOptions, store = new FaultyStore()) {
    const [clock, calls] = [new FarClock(), new Calls()];
    const definition = working(calls);
    const troupe = await opened({ clock, backend: store, definitions: [definition] });
    const run = await troupe.start(definition, undefined, { budget });
    // Waiting for somebody is not counted.
    clock.increment(100_000);
    await run.send({ type: 'GO' });
    await until(() => calls.begun === 1, 'the call has begun');
    await turn();
    return { clock, calls, troupe, run, store, definition };
  }

  test('that is over fails the run, whatever is under way', async () => {
    const { clock, run, troupe } = await started({ wallClock: '10s' });
    clock.increment(9_999);
    await turn();
    expect(run.status).toBe('running');
    clock.increment(1);
    expect(await run.result()).toMatchObject({
      error: { code: 'BUDGET_EXCEEDED', data: { resource: 'wallClockMs', spent: 10_000, limit: 10_000 } },
    });
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'failed' });
  });

  test('does not pass while the run is paused, and goes on with a larger budget', async () => {
    const { clock, run, calls } = await started({ wallClock: '10s', onExhausted: 'pause' });
    clock.increment(4_000);
    await run.pause('lunch');
    clock.increment(60_000);
    await run.resume();
    await turn();
    clock.increment(5_999);
    await turn();
    expect(run.status).toBe('running');
    clock.increment(1);
    await until(() => run.status === 'paused', 'its time is over');
    await run.resume({ budget: { wallClock: '15s' } });
    await turn();
    clock.increment(4_000);
    calls.answer();
    expect((await run.result()).success).toBe(true);
    expect(accountOf(await entriesOf(run)).spent.wallClockMs).toBe(14_000);
  });

  test('does not pass while nobody owns the run', async () => {
    const { clock, run, troupe, store, definition } = await started({ wallClock: '10s' });
    clock.increment(4_000);
    await run.send({ type: 'GO' });
    await troupe.close();
    clock.increment(60_000);
    const next = await opened({ clock, backend: store, definitions: [definition] });
    const again = await next.attach(run.id);
    await turn();
    clock.increment(5_999);
    await turn();
    expect(again.status).toBe('running');
    clock.increment(1);
    expect((await again.result()).error).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  test('is not watched when a run has ended: nothing keeps its process', async () => {
    const { clock, run } = await started({ wallClock: '10h' });
    expect(clock.far.size).toBe(1);
    await run.kill('enough');
    expect(clock.far.size).toBe(0);
  });
});

describe('handBack', () => {
  const search = tool({ ...bare, name: 'search', cost: { tokens: 10 }, execute: () => 'found' });
  const machine = setup({
    types: {
      context: {} as { found: number; refused: string | null },
      events: {} as WrapUp,
      output: {} as { found: number; refused: string | null; answer: string },
    },
    actors: {
      search: toolActor(search),
      answer: fromPromise<string, number>(async ({ input, self }) => {
        charge(self, { tokens: 15 });
        return `of ${input}`;
      }),
    },
  }).createMachine({
    context: { found: 0, refused: null },
    initial: 'searching',
    states: {
      searching: {
        invoke: {
          src: 'search',
          input: {},
          onDone: {
            target: 'searching',
            reenter: true,
            actions: assign({ found: ({ context }) => context.found + 1 }),
          },
        },
        on: { 'troupe.wrapUp': 'tryingOnce' },
      },
      tryingOnce: {
        invoke: {
          src: 'search',
          input: {},
          onDone: {
            target: 'answering',
            actions: assign({
              refused: ({ event }) => (event.output.status === 'failed' ? String(event.output.error.code) : null),
            }),
          },
        },
      },
      answering: {
        invoke: {
          src: 'answer',
          input: ({ context }) => context.found,
          onDone: { target: 'done', actions: ({ event }) => void event },
        },
      },
      done: { type: 'final' },
    },
    output: ({ context, event }) => ({
      ...context,
      answer: 'output' in event ? String(event.output) : '',
    }),
  });
  const researcher = durable(machine, { name: 'researcher', version: '1', costs: { answer: { tokens: 20 } } });

  test('gives the body one last turn, without tools, from what was kept back', async () => {
    const troupe = await opened();
    const run = await troupe.start(researcher, undefined, {
      budget: { tokens: 55, onExhausted: 'handBack', reserve: { tokens: 20 } },
    });
    const result = await run.result();
    expect(result.error).toBeUndefined();
    expect(result.data).toMatchObject({ found: 3, refused: 'NOT_ALLOWED' });
    expect(result.metadata.partial).toBe(true);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountOf(entries).spent).toMatchObject({ tokens: 45, toolCalls: 3 });
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'completed' });
  });

  test('fails when what was kept back is not enough', async () => {
    const troupe = await opened();
    const run = await troupe.start(researcher, undefined, {
      budget: { tokens: 39, onExhausted: 'handBack', reserve: { tokens: 19 } },
    });
    const { error, metadata } = await run.result();
    expect([error?.code, metadata.partial]).toEqual(['BUDGET_EXCEEDED', false]);
    expect(
      (await entriesOf(run)).flatMap(({ type, event }) => (type === 'budget.exceeded' ? [event.onExhausted] : [])),
    ).toEqual(['handBack', 'fail']);
  });

  test('fails at once a body that does not know of a last turn', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const budget = { tokens: 100, onExhausted: 'handBack', reserve: { tokens: 50 } } as const;
    const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
    expect(await run.result()).toMatchObject({ error: { code: 'BUDGET_EXCEEDED', data: { limit: 50 } } });
    expect(calls.begun).toBe(5);
  });
});

describe('a crash', () => {
  /** Calls of all kinds; what each costs is the same each time. */
  const flaky = new Set<string>();
  const work = tool({
    ...bare,
    cost: { tokens: 30 },
    retry: { attempts: 3, delay: '1s' },
    execute: (_, context) => {
      context.charge({ tokens: 10 + context.attempt, usd: 0.1 });
      if (context.attempt === 1) throw new Error(`try ${context.attempt} of ${context.call}`);
      flaky.add(context.call);
      return 'done';
    },
  });
  const machine = setup({
    types: { context: {} as { n: number } },
    actors: {
      work: toolActor(work),
      plain: fromPromise(async () => 1),
      slow: fromPromise(() => new Promise<never>(() => {})),
    },
  }).createMachine({
    context: { n: 0 },
    initial: 'plain',
    states: {
      plain: { invoke: { src: 'plain', onDone: 'both' } },
      both: {
        type: 'parallel',
        states: {
          a: {
            initial: 'working',
            states: { working: { invoke: { src: 'work', input: {}, onDone: 'over' } }, over: { type: 'final' } },
          },
          b: {
            initial: 'working',
            states: { working: { invoke: { src: 'work', input: {}, onDone: 'over' } }, over: { type: 'final' } },
          },
        },
        onDone: 'leaving',
      },
      leaving: { invoke: { src: 'slow' }, after: { 5_000: 'done' } },
      done: { type: 'final' },
    },
  });
  const mixed = durable(machine, {
    name: 'mixed',
    version: '1',
    costs: { plain: { tokens: 7 }, slow: () => ({ usd: 0.25 }) },
  });
  const id = runId('mixed');
  const budget = { tokens: 100, usd: 5, steps: 6, toolCalls: 2 };

  async function on(stored: readonly Stored[]) {
    const clock = new SimulatedClock();
    const backend: Backend = await embedded().open({ owner: ownerId('somebody'), clock });
    if (stored.length > 0) await backend.journal.append(id, stored, { epoch: 1, after: 0 });
    const factory: BackendFactory = { open: () => Promise.resolve(backend) };
    const troupe = await opened({ clock, backend: factory, definitions: [mixed] });
    return { clock, backend, troupe };
  }

  test('after any entry charges nothing twice: what is spent in the end is what it would have been', async () => {
    const { clock, backend, troupe } = await on([]);
    const run = await troupe.start(mixed, undefined, { id, budget });
    expect((await driven(clock, run)).error).toBeUndefined();
    const whole = accountOf(await entriesOf(run)).spent;
    expect(whole).toMatchObject({ tokens: 7 + 2 * (11 + 12), usd: 0.65, steps: 6, toolCalls: 2 });
    const stored: Stored[] = [];
    for await (const one of backend.journal.read(id)) stored.push(one);
    for (let cut = 2; cut < stored.length; cut += 1) {
      const next = await on(stored.slice(0, cut));
      await next.troupe.recover(id);
      const again = await next.troupe.attach(id);
      const { error } = await driven(next.clock, again);
      expect(error, `cut after ${cut}`).toBeUndefined();
      const entries = await entriesOf(again);
      mustStayWithin(entries);
      const { spent } = accountOf(entries);
      expect({ ...spent, wallClockMs: 0 }, `cut after ${cut}`).toEqual({ ...whole, wallClockMs: 0 });
    }
  });
});

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
    expect(accountOf(entries).spent).toMatchObject({ tokens: 60, steps: 8, toolCalls: 2 });
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
      spent: { tokens: 10, toolCalls: 1, steps: 2 },
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

describe('a run that begins anew', () => {
  const CALLS = 1_100;
  const long = (may: () => boolean) => {
    const machine = setup({
      types: { input: {} as number, context: {} as { n: number }, events: {} as { type: 'GO' } | { type: 'LOOK' } },
      actors: { call: fromPromise(async () => 1) },
    }).createMachine({
      context: ({ input }) => ({ n: input }),
      initial: 'calling',
      states: {
        calling: {
          invoke: {
            src: 'call',
            onDone: { target: 'next', actions: assign({ n: ({ context }) => context.n + 1 }) },
          },
        },
        next: {
          always: [
            { guard: ({ context }) => context.n === CALLS, target: 'waiting' },
            { guard: ({ context }) => context.n === CALLS + 3, target: 'done' },
            { target: 'calling' },
          ],
        },
        waiting: { on: { GO: 'calling', LOOK: {} } },
        done: { type: 'final' },
      },
    });
    return durable(machine, {
      name: 'long',
      version: '1',
      costs: { call: { tokens: 1 } },
      continueAs: ({ context }) => (may() && context.n === CALLS ? context.n - 1 : undefined),
    });
  };

  test('goes on with what it had spent, and not while it is paused', async () => {
    let may = false;
    const troupe = await opened();
    const run = await troupe.start(
      long(() => may),
      0,
      { budget: { tokens: CALLS + 3, onExhausted: 'pause' } },
    );
    await until(() => (run.getSnapshot() as { value?: unknown } | undefined)?.value === 'waiting', 'it waits');
    await run.pause('wait');
    may = true;
    await run.send({ type: 'LOOK' });
    await turn();
    expect(run.status).toBe('paused');
    await run.resume({ budget: { tokens: CALLS + 2, onExhausted: 'pause' } });
    await until(() => run.status === 'running', 'it goes on');
    // It calls once more, waits again, and has two more to make: one too many.
    await until(() => (run.getSnapshot() as { value?: unknown } | undefined)?.value === 'waiting', 'it waits again');
    may = false;
    await run.send({ type: 'GO' });
    await until(() => run.status === 'paused', 'its budget is spent');
    await run.resume({ budget: { tokens: 2 * CALLS } });
    expect((await run.result()).success).toBe(true);
    const entries = await entriesOf(run);
    const continued = entries.filter(({ type }) => type === 'run.continued');
    expect(continued).toHaveLength(1);
    expect(continued[0]?.event).toMatchObject({
      budget: { tokens: CALLS + 2 },
      spent: { tokens: CALLS, steps: CALLS },
    });
    expect(accountOf(entries).spent).toMatchObject({ tokens: CALLS + 4, steps: CALLS + 4 });
  });
});
