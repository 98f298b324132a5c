import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { childRun, durable, tool, toolActor, type RunHandle, type Troupe } from '../../src/index.ts';
import { accountOf } from '../support/accounts.ts';
import { entriesSoFar, opened } from '../support/forking.ts';
import { Calls } from '../support/spending.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

/** What a fork pays for of what was under way at the cut: nothing before it begins again there. */

const tenant = 'acme';
const spentBy = async (troupe: Troupe): Promise<number | undefined> => (await troupe.budgetOf(tenant))?.spent.tokens;

async function costsOf(troupe: Troupe, run: string) {
  const rows = [];
  for await (const { action, outcome, cost } of troupe.audit({ run })) rows.push({ action, outcome, cost });
  return rows;
}

describe.each(['tool', 'child run'])('a %s that was under way', (kind) => {
  async function stage() {
    const calls = new Calls();
    const ask = tool({
      name: 'ask',
      description: 'Asks',
      inputSchema: z.object({}),
      effect: 'read',
      cost: { tokens: 90 },
      execute: async (_, { charge }) => {
        await calls.take();
        charge({ tokens: 90 });
      },
    });
    const source = kind === 'tool' ? toolActor(ask) : childRun(ask);
    const desk = durable(
      setup({ actors: { work: source } }).createMachine({
        initial: 'working',
        states: {
          working: { invoke: { src: 'work', input: {}, onDone: 'done', onError: 'done' } },
          done: { type: 'final' },
        },
      }),
      { name: 'desk', version: '1' },
    );
    const troupe = await opened({ clock: new SimulatedClock() });
    await troupe.setBudget({ tenant, period: '1d', tokens: 1_000 });
    const run = await troupe.start(desk, undefined, { id: 'first', tenant, budget: { tokens: 100 } });
    await until(() => calls.begun === 1, 'the call has begun');
    return { troupe, run, calls };
  }

  test('is asked for the budget of the fork, and does not begin where that is too small', async () => {
    const { troupe, run, calls } = await stage();
    const fork = await troupe.fork('first', { id: 'fork', budget: { tokens: 10 } });
    await fork.result();
    calls.answer();
    await run.result();
    expect(calls.begun).toBe(1);
    const { spent, reserved } = accountOf(await entriesSoFar(troupe, 'fork'));
    expect([spent.tokens, reserved.tokens]).toEqual([0, 0]);
    expect(await spentBy(troupe)).toBe(90);
  });

  test('begins again where there is enough, and is counted once in each', async () => {
    const { troupe, run, calls } = await stage();
    const fork = await troupe.fork('first', { id: 'fork' });
    await until(() => calls.begun === 2, 'it has begun again');
    calls.answer();
    for (const one of [run, fork]) {
      await one.result();
      expect(accountOf(await entriesSoFar(troupe, one.id)).spent).toMatchObject({ tokens: 90 });
    }
    const [there, here] = [await entriesSoFar(troupe, 'first'), await entriesSoFar(troupe, 'fork')].map(accountOf);
    expect(here?.spent).toEqual(there?.spent);
    expect(await spentBy(troupe)).toBe(180);
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });
});

describe('a call in doubt', () => {
  async function stage() {
    const [store, calls] = [new FaultyStore(), new Calls()];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({}),
      cost: { tokens: 70 },
      execute: () => calls.take(),
    });
    const options = { backend: store, clock: new SimulatedClock(), definitions: [pay] };
    const before = await opened(options);
    await before.setBudget({ tenant, period: '1d', tokens: 1_000 });
    await before.start(pay, {}, { id: 'first', tenant, budget: { tokens: 200 } });
    await until(() => calls.begun === 1, 'the call has begun');
    await turn();
    await before.close();
    const troupe = await opened(options);
    return { troupe, calls, run: (await troupe.attach('first')) as RunHandle };
  }

  test('is paid for by the run in which it was begun, and by no fork of that', async () => {
    const { troupe, run } = await stage();
    const forks = [await troupe.fork('first', { id: 'one' }), await troupe.fork('first', { id: 'two' })];
    for (const one of [run, ...forks]) {
      await one.resolve('body', { output: 'done' });
      expect((await one.result()).success).toBe(true);
    }
    expect(await spentBy(troupe)).toBe(70);
    for (const { id } of forks) {
      expect(accountOf(await entriesSoFar(troupe, id)).spent).toMatchObject({ tokens: 0, steps: 0, toolCalls: 0 });
      expect((await costsOf(troupe, id)).flatMap(({ cost }) => Object.keys(cost ?? {}))).toEqual([]);
    }
  });

  test('that is let begin again in a fork is paid for there, as a call of its own', async () => {
    const { troupe, run, calls } = await stage();
    const fork = await troupe.fork('first', { id: 'fork' });
    await fork.resolve('body', { retry: true });
    await until(() => calls.begun === 2, 'it has begun again');
    calls.answer();
    await fork.result();
    expect(accountOf(await entriesSoFar(troupe, 'fork')).spent).toMatchObject({ tokens: 70, steps: 1, toolCalls: 1 });
    await run.resolve('body', { output: 'done' });
    await run.result();
    expect(await spentBy(troupe)).toBe(140);
    expect((await costsOf(troupe, 'fork')).at(-1)?.cost).toMatchObject({ tokens: 70, steps: 1, toolCalls: 1 });
  });
});

describe('a call with another result', () => {
  const notPerformed = Object.assign(new Error('not done'), { notPerformed: true });
  const [gives, fails] = [async () => 1, () => Promise.reject(notPerformed)];

  test.each([
    ['that succeeded, and has failed', gives, { error: new Error('no') }, 0.4],
    ['that succeeded, and was not performed', gives, { error: notPerformed }, 0.4],
    ['that was not performed, and has succeeded', fails, { output: 1 }, 0],
  ] as const)('%s, is the same step at the same cost', async (_, ask, instead, usd) => {
    let begun = 0;
    const machine = setup({
      actors: {
        ask: fromPromise<number>(() => {
          begun += 1;
          return ask();
        }),
      },
    }).createMachine({
      initial: 'asking',
      states: { asking: { invoke: { src: 'ask', onDone: 'done', onError: 'done' } }, done: { type: 'final' } },
    });
    const asking = durable(machine, {
      name: 'asking',
      version: '1',
      effects: { ask: 'read' },
      costs: { ask: { usd: 0.4 } },
    });
    const troupe = await opened();
    const run = await troupe.start(asking, undefined, { id: 'first' });
    await run.result();
    const entries = await entriesSoFar(troupe, 'first');
    const at = entries.find(({ type }) => type === 'leaf.succeeded' || type === 'leaf.failed')?.seq ?? 0;
    const fork = await troupe.fork('first', { id: 'fork', at, replace: { [at]: instead } });
    expect((await fork.result()).success).toBe(true);
    expect(begun).toBe(1);
    expect((await fork.summary()).steps).toBe(1);
    for (const one of [entries, await entriesSoFar(troupe, 'fork')])
      expect(accountOf(one)).toMatchObject({ spent: { usd, steps: 1 }, reserved: { usd: 0 } });
    expect(await troupe.replay('fork')).toMatchObject({ equal: true, status: 'completed' });
  });
});
