import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import {
  BudgetExceededError,
  charge,
  childRun,
  durable,
  OverloadedError,
  StorageError,
  tool,
  ValidationError,
  type Troupe,
} from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';
import { firstOf } from '../support/entries.ts';

/** What all runs of a tenant may spend together, from period to period. */

const DAY = 86_400_000;

/** Spends what its input says, when it is told to. */
const spending = setup({
  types: { input: {} as number, context: {} as { tokens: number }, events: {} as { type: 'SPEND' } },
  actors: {
    spend: fromPromise<void, number>(async ({ input, self }) => charge(self, { tokens: input })),
  },
}).createMachine({
  context: ({ input }) => ({ tokens: input }),
  initial: 'waiting',
  states: {
    waiting: { on: { SPEND: 'spending' } },
    spending: { invoke: { src: 'spend', input: ({ context }) => context.tokens, onDone: 'done', onError: 'done' } },
    done: { type: 'final' },
  },
});
const spender = durable(spending, { name: 'spender', version: '1' });

const opened = openedWith({ definitions: [spender] });

const tenant = 'acme';
const asking = (tokens: number, id?: string) => ({ tenant, budget: { tokens }, ...(id !== undefined && { id }) });
const account = async (troupe: Troupe) => {
  const { spent, drawn, runs } = (await troupe.budgetOf(tenant)) ?? {};
  return { spent: spent?.tokens, drawn: drawn?.tokens, runs };
};
/** Ends it; resolves when the tenant has what it has left. */
async function spend(troupe: Troupe, id: string): Promise<void> {
  const run = await troupe.attach(id);
  await run.send({ type: 'SPEND' });
  await run.result();
}
const isGivenBack = (store: FaultyStore, id: string): Promise<void> => {
  let registered: readonly string[] = [id];
  return until(() => {
    void store.registered().then((now) => (registered = now));
    return !registered.includes(id);
  }, `${id} is forgotten`);
};

async function stage(limits: { tokens?: number; steps?: number } = { tokens: 100 }, perRun?: { tokens: number }) {
  const [clock, store] = [new SimulatedClock(), new FaultyStore()];
  const troupe = await opened({ clock, backend: store });
  await troupe.setBudget({ tenant, period: '1d', ...limits, ...(perRun && { perRun }) });
  return { clock, store, troupe };
}

describe('a run of a tenant with a budget', () => {
  test('draws what it may spend and gives back what it has not spent', async () => {
    const { troupe, store } = await stage();
    await troupe.start(spender, 30, asking(60, 'a'));
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    await spend(troupe, 'a');
    await isGivenBack(store, 'a');
    expect(await account(troupe)).toEqual({ spent: 30, drawn: 0, runs: 0 });
  });

  test('starts when the one before it has ended, whose rest it needs', async () => {
    const { troupe } = await stage();
    const once = tool({
      name: 'once',
      description: 'Spends 10',
      inputSchema: z.object({}),
      execute: (_, { charge: pay }) => pay({ tokens: 10 }),
    });
    const spendings: unknown[] = [];
    for (let index = 0; index < 6; index += 1)
      await troupe.execute(once, {}, asking(60)).then(
        () => spendings.push(10),
        (error: unknown) => spendings.push((error as BudgetExceededError).code),
      );
    expect(spendings).toEqual([10, 10, 10, 10, 10, 'BUDGET_EXCEEDED']);
  });

  test('that finds too little left does not start', async () => {
    const { troupe } = await stage();
    await troupe.start(spender, 1, asking(60, 'a'));
    const refused = await troupe.start(spender, 1, asking(50, 'b')).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BudgetExceededError);
    expect((refused as BudgetExceededError).context).toMatchObject({
      resource: 'tokens',
      spent: 60,
      limit: 100,
      tenant,
    });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    expect((await troupe.runs()).map(({ run }) => run)).toEqual(['a']);
  });

  test('is held to what it drew', async () => {
    const { troupe, store } = await stage();
    await troupe.start(spender, 70, asking(60, 'a'));
    await spend(troupe, 'a');
    await isGivenBack(store, 'a');
    // One call's own error: it charged more than it had reserved.
    expect(await account(troupe)).toEqual({ spent: 70, drawn: 0, runs: 0 });
  });

  test('that does not say how much draws what each run may, and without that is refused', async () => {
    const { troupe } = await stage();
    await expect(troupe.start(spender, 1, { tenant })).rejects.toThrow(/start it with budget: \{ tokens \}/);
    await expect(troupe.start(spender, 1, { tenant })).rejects.toBeInstanceOf(ValidationError);
    await troupe.setBudget({ tenant, period: '1d', tokens: 100, perRun: { tokens: 25 } });
    await troupe.start(spender, 1, { tenant, id: 'a' });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 25, runs: 1 });
    for await (const { event } of (await troupe.attach('a')).entries()) {
      expect(event).toMatchObject({ budget: { tokens: 25 } });
      break;
    }
  });

  test('of another tenant draws nothing', async () => {
    const { troupe } = await stage();
    await troupe.start(spender, 1);
    await troupe.start(spender, 1, { tenant: 'other' });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 0, runs: 0 });
    expect(await troupe.budgetOf('other')).toBeUndefined();
  });

  test('that exists is attached to, though nothing is left, and draws nothing', async () => {
    const { troupe, store } = await stage();
    await troupe.start(spender, 100, asking(100, 'a'));
    expect((await troupe.start(spender, 100, asking(100, 'a'))).id).toBe('a');
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 100, runs: 1 });
    await spend(troupe, 'a');
    await isGivenBack(store, 'a');
    // Not again when it has ended.
    await troupe.start(spender, 100, asking(100, 'a'));
    expect(await account(troupe)).toEqual({ spent: 100, drawn: 0, runs: 0 });
  });

  test('that is killed gives back what it has not spent', async () => {
    const { troupe, store } = await stage();
    const run = await troupe.start(spender, 1, asking(60, 'a'));
    await run.kill('enough');
    await isGivenBack(store, 'a');
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 0, runs: 0 });
  });

  test('that goes on with a larger budget draws the difference, if that is left', async () => {
    const { troupe } = await stage();
    const run = await troupe.start(spender, 1, asking(60, 'a'));
    await run.pause('wait');
    await expect(run.resume({ budget: { tokens: 101 } })).rejects.toBeInstanceOf(BudgetExceededError);
    await run.resume({ budget: { tokens: 90 } });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 90, runs: 1 });
  });

  test('that goes on with a budget that does not say how much is held to what it drew', async () => {
    const { troupe } = await stage({ tokens: 100 }, { tokens: 50 });
    const run = await troupe.start(spender, 1, { tenant, id: 'a', budget: { usd: 1 } });
    await run.pause('wait');
    await run.resume({ budget: { usd: 2 } });
    const resumed = await firstOf(run, 'run.resumed');
    expect(resumed?.event).toMatchObject({ budget: { tokens: 50, usd: 2 } });
  });

  test.each(['constructor', 'toString', 'valueOf'])('may be named %s', async (id) => {
    const { troupe, store } = await stage();
    await expect(troupe.start(spender, 1, asking(101, id))).rejects.toBeInstanceOf(BudgetExceededError);
    await troupe.start(spender, 30, asking(60, id));
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    await spend(troupe, id);
    await isGivenBack(store, id);
    expect(await account(troupe)).toEqual({ spent: 30, drawn: 0, runs: 0 });
  });

  test('that is killed with a call under way gives back what that has not charged', async () => {
    const { troupe, store } = await stage();
    const hanging = tool({
      name: 'hanging',
      description: 'Spends 40, and never ends',
      inputSchema: z.object({}),
      execute: (_, { charge: pay }) => {
        pay({ tokens: 40 });
        return new Promise<never>(() => {});
      },
    });
    const run = await troupe.start(hanging, {}, asking(60, 'a'));
    await firstOf(run, 'leaf.started');
    await run.kill('enough', { grace: 0 });
    await isGivenBack(store, 'a');
    expect(await account(troupe)).toEqual({ spent: 40, drawn: 0, runs: 0 });
  });

  test('that is forked after it went on with another budget has that', async () => {
    const { troupe } = await stage({ tokens: 300 });
    const run = await troupe.start(spender, 1, asking(50, 'a'));
    await run.pause('wait');
    const { seq } = await run.checkpoint('before');
    await run.resume({ budget: { tokens: 90 } });
    const budgetOf = async (id: string) => (await firstOf(await troupe.attach(id), 'run.created'))?.event;
    await troupe.fork('a', { id: 'b' });
    expect(await budgetOf('b')).toMatchObject({ budget: { tokens: 90 } });
    await troupe.fork('a', { id: 'c', at: seq });
    expect(await budgetOf('c')).toMatchObject({ budget: { tokens: 50 } });
    await troupe.fork('a', { id: 'd', at: 'before' });
    expect(await budgetOf('d')).toMatchObject({ budget: { tokens: 50 } });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 280, runs: 4 });
  });

  test('that is forked has spent once what it had spent by then', async () => {
    const { troupe, store } = await stage();
    const machine = setup({
      types: { events: {} as { type: 'GO' } },
      actors: { spend: fromPromise(async ({ self }) => charge(self, { tokens: 20 })) },
    }).createMachine({
      initial: 'spending',
      states: {
        spending: { invoke: { src: 'spend', onDone: 'waiting' } },
        waiting: { on: { GO: 'done' } },
        done: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'first', version: '1' }), undefined, asking(30, 'a'));
    await firstOf(run, 'leaf.succeeded');
    await troupe.fork('a', { id: 'b' });
    for (const id of ['a', 'b']) {
      const one = await troupe.attach(id);
      await one.send({ type: 'GO' });
      await one.result();
      await isGivenBack(store, id);
    }
    expect(await account(troupe)).toEqual({ spent: 20, drawn: 0, runs: 0 });
  });

  test.each([0, 30])(
    'whose child has spent %i is killed: that is spent, and not what was held back for it',
    async (n) => {
      const { troupe, store } = await stage();
      const machine = setup({
        types: { events: {} as { type: 'GO' } },
        actors: { spend: fromPromise(async ({ self }) => charge(self, { tokens: n })) },
      }).createMachine({
        initial: 'spending',
        states: { spending: { invoke: { src: 'spend', onDone: 'waiting' } }, waiting: {} },
      });
      const worker = durable(machine, { name: 'worker', version: '1' });
      const boss = durable(
        setup({ actors: { work: childRun(worker) } }).createMachine({
          initial: 'working',
          states: { working: { invoke: { src: 'work' } } },
        }),
        { name: 'boss', version: '1' },
      );
      const run = await troupe.start(boss, undefined, asking(60, 'a'));
      let child: string | undefined;
      await until(() => {
        void troupe.runs().then((runs) => (child = runs.find(({ definition }) => definition === 'worker')?.run));
        return child !== undefined;
      }, 'the child is there');
      await firstOf(await troupe.attach(child ?? ''), 'leaf.succeeded');
      await run.kill('enough');
      await isGivenBack(store, 'a');
      expect(await account(troupe)).toEqual({ spent: n, drawn: 0, runs: 0 });
    },
  );

  test('that is forked draws for the fork, too', async () => {
    const { troupe, store } = await stage();
    await troupe.start(spender, 20, asking(60, 'a'));
    await expect(troupe.fork('a', { at: 2, id: 'b' })).rejects.toBeInstanceOf(BudgetExceededError);
    await troupe.fork('a', { at: 2, id: 'b', budget: { tokens: 30 } });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 90, runs: 2 });
    for (const id of ['a', 'b']) {
      await spend(troupe, id);
      await isGivenBack(store, id);
    }
    expect(await account(troupe)).toEqual({ spent: 40, drawn: 0, runs: 0 });
  });
});

describe('a period', () => {
  test('begins anew at its time, with what is drawn still drawn', async () => {
    const { troupe, store, clock } = await stage();
    await troupe.start(spender, 40, asking(40, 'a'));
    await spend(troupe, 'a');
    await isGivenBack(store, 'a');
    await troupe.start(spender, 30, asking(50, 'b'));
    const before = await troupe.budgetOf(tenant);
    expect(before).toMatchObject({ spent: { tokens: 40 }, drawn: { tokens: 50 } });
    expect((before?.since ?? 1) % DAY).toBe(0);
    clock.increment(DAY);
    expect(await troupe.budgetOf(tenant)).toMatchObject({
      since: (before?.since ?? 0) + DAY,
      spent: { tokens: 0 },
      drawn: { tokens: 50 },
    });
    await expect(troupe.start(spender, 1, asking(51, 'c'))).rejects.toBeInstanceOf(BudgetExceededError);
    await troupe.start(spender, 1, asking(50, 'c'));
    await spend(troupe, 'b');
    await isGivenBack(store, 'b');
    // What it spent counts where it ended.
    expect(await account(troupe)).toEqual({ spent: 30, drawn: 50, runs: 1 });
  });

  test('keeps what is spent when its budget is changed', async () => {
    const { troupe } = await stage();
    await troupe.start(spender, 1, asking(60, 'a'));
    await troupe.setBudget({ tenant, period: '1d', tokens: 200 });
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    await troupe.start(spender, 1, asking(140, 'b'));
  });

  test.each([
    [{ tenant: 'a.b', period: '1d' as const }],
    [{ tenant, period: '1ms' as const }],
    [{ tenant, period: '3651d' as const, tokens: 1 }],
    [{ tenant, period: '1d' as const, usd: Number.MAX_VALUE }],
    [{ tenant, period: '1d' as const, tokens: -1 }],
    [{ tenant, period: '1d' as const, wallClock: '1s', token: 1 } as never],
  ])('that is not one is refused: %j', async (budget) => {
    const troupe = await opened();
    await expect(troupe.setBudget(budget)).rejects.toBeInstanceOf(ValidationError);
  });
});

describe('two processes', () => {
  test('never draw more than there is between them', async () => {
    const { troupe, store, clock } = await stage();
    const other = await opened({ clock, backend: store });
    const starts = Array.from({ length: 40 }, (_, index) =>
      (index % 2 === 0 ? troupe : other).start(spender, 1, asking(10, `r${index}`)).then(
        () => 'started',
        (error: unknown) => (error instanceof BudgetExceededError ? 'refused' : error),
      ),
    );
    const outcomes = await Promise.all(starts);
    expect(outcomes.filter((outcome) => outcome === 'started')).toHaveLength(10);
    expect(outcomes.filter((outcome) => outcome === 'refused')).toHaveLength(30);
    expect(await account(other)).toEqual({ spent: 0, drawn: 100, runs: 10 });
  });

  test('of which one is gone: the other gives back for its runs', async () => {
    const { troupe, store, clock } = await stage();
    await troupe.start(spender, 30, asking(60, 'a'));
    await troupe.close();
    const next = await opened({ clock, backend: store });
    expect(await account(next)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    await spend(next, 'a');
    await isGivenBack(store, 'a');
    expect(await account(next)).toEqual({ spent: 30, drawn: 0, runs: 0 });
  });

  test('start one run at once: it draws once', async () => {
    const { troupe, store, clock } = await stage();
    const other = await opened({ clock, backend: store });
    await Promise.all([troupe, other].map((one) => one.start(spender, 1, asking(60, 'a'))));
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
  });
});

describe('what was drawn for a run that was never created', () => {
  test('goes back at once where the store refused it', async () => {
    const { troupe, store } = await stage();
    store.failOnce('append', new StorageError('broken', {}, undefined, false));
    await expect(troupe.start(spender, 1, asking(60, 'a'))).rejects.toBeInstanceOf(StorageError);
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 0, runs: 0 });
  });

  test('goes back though the store could not take it back at once', async () => {
    const { troupe, store, clock } = await stage();
    const other = await opened({ clock, backend: store });
    store.failOnce('append', new StorageError('broken', {}, undefined, false), 'a');
    const held = store.holdOnce('append');
    const starting = troupe.start(spender, 1, asking(60, 'a')).catch((error: unknown) => error);
    await held.reached;
    store.failOnce('budget', new StorageError('too busy', {}));
    held.release();
    expect(await starting).toMatchObject({ message: 'broken' });
    let drawn: number | undefined = 60;
    await until(() => {
      void account(other).then((now) => (drawn = now.drawn));
      return drawn === 0;
    }, 'it is given back');
    await other.start(spender, 1, asking(100, 'b'));
  });

  test('stays drawn while somebody else here creates that run', async () => {
    const { troupe, store } = await stage();
    store.failOnce('append', new StorageError('broken', {}, undefined, false), 'a');
    const starts = await Promise.allSettled([1, 2].map(() => troupe.start(spender, 1, asking(60, 'a'))));
    expect(starts.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
    await expect(troupe.start(spender, 1, asking(50, 'b'))).rejects.toBeInstanceOf(BudgetExceededError);
  });

  test('stays drawn where its process is gone and another one creates that run', async () => {
    const { troupe, store, clock } = await stage();
    const [second, third] = [await opened({ clock, backend: store }), await opened({ clock, backend: store })];
    const first = store.holdOnce('append');
    const lost = troupe.start(spender, 1, asking(60, 'a')).catch((error: unknown) => error);
    await first.reached;
    await troupe.close();
    const creating = store.holdOnce('append');
    const started = second.start(spender, 1, asking(60, 'a'));
    await creating.reached;
    await expect(third.start(spender, 1, asking(50, 'b'))).rejects.toBeInstanceOf(BudgetExceededError);
    creating.release();
    expect((await started).id).toBe('a');
    first.release();
    await lost;
    expect(await account(second)).toEqual({ spent: 0, drawn: 60, runs: 1 });
  });

  test('goes back when its process is gone and somebody needs it', async () => {
    const { troupe, store, clock } = await stage();
    const other = await opened({ clock, backend: store });
    const held = store.holdOnce('append');
    const starting = troupe.start(spender, 1, asking(60, 'a')).catch((error: unknown) => error);
    await held.reached;
    // It is there, and about to be created.
    await expect(other.start(spender, 1, asking(50, 'b'))).rejects.toBeInstanceOf(BudgetExceededError);
    await troupe.close();
    await other.start(spender, 1, asking(50, 'b'));
    expect(await account(other)).toEqual({ spent: 0, drawn: 50, runs: 1 });
    held.release();
    expect(await starting).toBeInstanceOf(Error);
  });
});

test('a run whose process could not give back does so once, by however many it is found', async () => {
  const [clock, store, told] = [new SimulatedClock(), new FaultyStore(), [] as unknown[]];
  const troupe = await opened({ clock, backend: store, report: (error) => told.push(error) });
  await troupe.setBudget({ tenant, period: '1d', tokens: 100 });
  const run = await troupe.start(spender, 30, asking(60, 'a'));
  store.failOnce('read', new StorageError('broken', {}, undefined, false));
  await run.send({ type: 'SPEND' });
  await until(() => told.length === 1, 'it could not be read');
  expect(await account(troupe)).toEqual({ spent: 0, drawn: 60, runs: 1 });
  await troupe.close();
  const others = await Promise.all([1, 2, 3].map(() => opened({ clock, backend: store })));
  expect(await store.registered()).toEqual([]);
  for (const other of others) expect(await account(other)).toEqual({ spent: 30, drawn: 0, runs: 0 });
});

test('more runs than the record holds are refused', async () => {
  const { troupe } = await stage({ tokens: 1_000_000 });
  const long = 'x'.repeat(100);
  let refused: unknown;
  for (let index = 0; refused === undefined && index < 2_000; index += 1)
    await troupe.start(spender, 1, asking(1, `${long}${index}`)).catch((error: unknown) => (refused = error));
  expect(refused).toBeInstanceOf(OverloadedError);
  // None of those that run is lost.
  const { runs, drawn } = (await troupe.budgetOf(tenant)) ?? {};
  expect(runs).toBe(drawn?.tokens);
  expect(runs).toBeGreaterThan(300);
});
