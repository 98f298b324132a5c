import { afterEach, describe, expect, test, vi } from 'vitest';
import { assign, fromPromise, setup, type AnyStateMachine } from 'xstate';
import {
  durable,
  idempotencyKey,
  plan,
  tool,
  toolActor,
  type DurableDefinition,
  type Entry,
  type RunHandle,
  type Troupe,
  type WrapUp,
} from '../../src/index.ts';
import { z } from 'zod';
import { entriesSoFar, seqOf } from '../support/forking.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';
import { bare } from '../support/spending.ts';

/** Runs outlive the code they were begun with, and journals that would grow for ever begin anew. */

const reports: unknown[] = [];
const opened = openedWith({
  report: (error) => void reports.push((error as { code?: string }).code ?? error),
});
afterEach(() => {
  reports.length = 0;
});

const entriesOf = async (run: Pick<RunHandle, 'entries'>, last: Entry['type']): Promise<Entry[]> => {
  const entries: Entry[] = [];
  for await (const entry of run.entries()) {
    entries.push(entry);
    if (entry.type === last) break;
  }
  return entries;
};

type CounterEvent = { type: 'ADD'; n: number } | { type: 'ASK' } | { type: 'END' };
const keys: string[] = [];
const counter = setup({
  types: {
    input: {} as { sum: number },
    context: {} as { sum: number; asked: number },
    events: {} as CounterEvent,
    output: {} as number,
  },
  actors: { ask: fromPromise(async ({ self }) => void keys.push(idempotencyKey(self))) },
}).createMachine({
  context: ({ input }) => ({ sum: input.sum, asked: 0 }),
  initial: 'counting',
  states: {
    counting: {
      on: {
        ADD: { actions: assign({ sum: ({ context, event }) => context.sum + event.n }) },
        ASK: 'asking',
        END: 'done',
      },
    },
    asking: {
      invoke: {
        src: 'ask',
        onDone: { target: 'counting', actions: assign({ asked: ({ context }) => context.asked + 1 }) },
      },
      on: { ADD: { actions: assign({ sum: ({ context, event }) => context.sum + event.n }) } },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.sum,
});
const counting = durable(counter, {
  name: 'counter',
  version: '1',
  continueAs: ({ context }) => ({ sum: context.sum }),
});

describe('a run that lives long', () => {
  const begunAnew = (entries: readonly Entry[]): number =>
    entries.filter(({ type }) => type === 'run.continued').length;

  test('begins anew, and nothing that was sent is lost or taken twice', async () => {
    const troupe = await opened({ definitions: [counting] });
    const run = await troupe.start(counting, { sum: 0 });
    const sent = Array.from({ length: 3_500 }, (_, index) => run.send({ type: 'ADD', n: index + 1 }));
    await Promise.all(sent);
    for (let n = 0; n < 10; n += 1) await run.send({ type: 'ADD', n: 1 });
    await run.send({ type: 'END' });
    const { data, metadata } = await run.result();
    expect(data).toBe((3_500 * 3_501) / 2 + 10);
    const entries = await entriesOf(run, 'run.completed');
    expect(begunAnew(entries)).toBeGreaterThan(0);
    expect(metadata.entries).toBe(entries.length);
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'completed', entries: entries.length });
  });

  test('is recovered from its last beginning: what came before is not read', async () => {
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [counting] });
    const run = await first.start(counting, { sum: 0 }, { id: 'x' });
    for (let n = 0; n < 1_010; n += 1) await run.send({ type: 'ADD', n: 1 });
    await until(() => run.getSnapshot()?.context.sum === 1_010, 'all are counted');
    await first.close();
    const second = await opened({ backend: store, definitions: [counting] });
    await second.close();
    store.read = 0;
    const third = await opened({ backend: store, definitions: [counting] });
    expect(store.read).toBeLessThan(100);
    const again = await third.attach('x', counting);
    await again.send({ type: 'END' });
    const { data, metadata } = await again.result();
    expect([data, metadata.definition]).toEqual([1_010, 'counter']);
  });

  test('gives the calls of each beginning idempotency keys of their own, and carries its budget', async () => {
    keys.length = 0;
    const troupe = await opened({ definitions: [counting] });
    const run = await troupe.start(counting, { sum: 0 }, { budget: { steps: 2 } });
    await run.send({ type: 'ASK' });
    await until(() => run.getSnapshot()?.context.asked === 1, 'it has asked');
    for (let n = 0; n < 1_000; n += 1) await run.send({ type: 'ADD', n: 1 });
    await until(() => run.getSnapshot()?.context.asked === 0, 'it has begun anew');
    await run.send({ type: 'ASK' });
    await until(() => run.getSnapshot()?.context.asked === 1, 'it has asked again');
    expect(new Set(keys).size).toBe(2);
    await run.send({ type: 'ASK' });
    expect((await run.result()).error?.code).toBe('BUDGET_EXCEEDED');
  });

  test('is seen by whoever subscribed before', async () => {
    const troupe = await opened({ definitions: [counting] });
    const run = await troupe.start(counting, { sum: 0 });
    const seen: number[] = [];
    run.subscribe(({ context }) => void seen.push(context.sum));
    for (let n = 0; n < 1_200; n += 1) await run.send({ type: 'ADD', n: 1 });
    expect(seen.at(-1)).toBe(1_200);
    expect(new Set(seen).size).toBe(1_200);
  });

  test('goes on as it is when continueAs gives nothing, or throws', async () => {
    let calls = 0;
    const never = durable(counter, {
      name: 'counter',
      version: '1',
      continueAs: () => {
        calls += 1;
        if (calls > 1) throw new Error('not like this');
        return undefined;
      },
    });
    const troupe = await opened({ definitions: [never] });
    const run = await troupe.start(never, { sum: 0 });
    for (let n = 0; n < 1_002; n += 1) await run.send({ type: 'ADD', n: 1 });
    await run.send({ type: 'END' });
    expect((await run.result()).data).toBe(1_002);
    expect(calls).toBeGreaterThan(1);
    expect(reports.length).toBeGreaterThan(0);
    expect(begunAnew(await entriesOf(run, 'run.completed'))).toBe(0);
  });
});

const oneState = (state: string, next: string) =>
  setup({
    types: { input: {} as { from: string }, context: {} as { from: string }, output: {} as string },
    actors: { work: fromPromise<string>(() => new Promise(() => {})) },
  }).createMachine({
    context: ({ input }) => input,
    initial: state,
    states: { [state]: { on: { GO: next } }, [next]: { type: 'final' } },
    output: ({ context }) => context.from,
  });

const V1 = durable(oneState('draft', 'sent'), { name: 'letter', version: '1' });
const V2 = durable(oneState('written', 'posted'), {
  name: 'letter',
  version: '2',
  migrate: { from: V1, to: ({ context, value }) => ({ from: `${context.from}>1:${String(value)}` }) },
});
const V3 = durable(oneState('typed', 'mailed'), {
  name: 'letter',
  version: '3',
  migrate: { from: V2, to: ({ context, value }) => ({ from: `${context.from}>2:${String(value)}` }) },
});

const leftBy = async (definition: DurableDefinition, input: unknown): Promise<FaultyStore> => {
  const store = new FaultyStore();
  const troupe = await opened({ backend: store, definitions: [definition] });
  await troupe.start(definition as DurableDefinition<AnyStateMachine>, input as never, { id: 'x' });
  await troupe.close();
  return store;
};

describe('a run that was begun with an earlier version', () => {
  test.each([
    ['the next one', V2, 'me>1:draft', '2'],
    ['the one after that', V3, 'me>1:draft>2:written', '3'],
  ] as const)('is migrated to %s', async (_, latest, from, version) => {
    const store = await leftBy(V1, { from: 'me' });
    const troupe = await opened({ backend: store, definitions: [latest] });
    expect(reports).toEqual([]);
    const run = await troupe.attach('x', latest);
    expect(run.getSnapshot()?.context).toEqual({ from });
    await run.send({ type: 'GO' });
    expect((await run.result()).data).toBe(from);
    const entries = await entriesOf(run, 'run.completed');
    const last = entries.findLast(({ type }) => type === 'run.continued');
    expect(last?.event).toMatchObject({ version, definition: 'letter' });
    // All of it can still be folded, by every version's own chart.
    expect(await troupe.replay('x')).toMatchObject({ status: 'completed' });
  });

  const pausedWith = async (): Promise<FaultyStore> => {
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [V1] });
    await (await first.start(V1, { from: 'me' }, { id: 'x' })).pause('lunch', { by: 'ana' });
    await first.close();
    return store;
  };
  const listed = async (troupe: Troupe, id: string): Promise<string | undefined> =>
    (await troupe.runs()).find(({ run }) => run === id)?.status;

  test('is migrated while it is paused, and stays so, by whoever has paused it', async () => {
    const store = await pausedWith();
    await (await opened({ backend: store, definitions: [V2] })).close();
    const troupe = await opened({ backend: store, definitions: [V3] });
    const run = await troupe.attach('x', V3);
    expect([run.status, await listed(troupe, 'x')]).toEqual(['paused', 'paused']);
    expect(run.getSnapshot()?.context).toEqual({ from: 'me>1:draft>2:written' });
    await run.resume({ by: 'bo' });
    await run.send({ type: 'GO' });
    expect((await run.result()).data).toBe('me>1:draft>2:written');
    const pauses = (await entriesOf(run, 'run.completed')).flatMap(({ type, event }) =>
      type === 'run.continued' ? [event.paused] : [],
    );
    expect(pauses).toEqual([
      { reason: 'lunch', by: 'ana' },
      { reason: 'lunch', by: 'ana' },
    ]);
    const asked = [];
    for await (const { action, by } of troupe.audit({ run: 'x' })) asked.push(`${action} ${by}`);
    expect(asked.filter((one) => /pause|resume/.test(one))).toEqual(['pause ana', 'resume bo']);
    expect(await troupe.replay('x')).toMatchObject({ equal: true });
  });

  test('is paused in a fork that is cut at its new beginning, which says so wherever it is listed', async () => {
    const troupe = await opened({ backend: await pausedWith(), definitions: [V2] });
    const at = seqOf(await entriesSoFar(troupe, 'x'), 'run.continued');
    const fork = await troupe.fork<typeof V2>('x', { at, id: 'fork' });
    expect([fork.status, await listed(troupe, 'fork')]).toEqual(['paused', 'paused']);
    await fork.resume();
    await fork.send({ type: 'GO' });
    expect((await fork.result()).data).toBe('me>1:draft');
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });

  test('ends while it is paused, where its machine is at its end in the next version', async () => {
    const store = await pausedWith();
    const over = setup({ types: { output: {} as string } }).createMachine({
      initial: 'sent',
      states: { sent: { type: 'final' } },
      output: 'it was sent',
    });
    const migrate = { from: V1, to: () => undefined };
    const warned = vi.spyOn(console, 'warn');
    const troupe = await opened({
      backend: store,
      definitions: [durable(over, { name: 'letter', version: '2', migrate })],
    });
    expect((await (await troupe.attach('x')).result()).data).toBe('it was sent');
    expect(await troupe.replay('x')).toMatchObject({ equal: true, status: 'completed' });
    expect([warned.mock.calls, reports]).toEqual([[], []]);
    warned.mockRestore();
  });

  test('goes on with a larger budget, where its own had paused it before it was migrated', async () => {
    const asking = (version: string, more: object = {}) =>
      durable(counter, { name: 'asking', version, effects: { ask: 'read' }, ...more });
    const before = asking('1');
    const after = asking('2', { migrate: { from: before, to: () => ({ sum: 5 }) } });
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [before] });
    const run = await first.start(before, { sum: 0 }, { id: 'x', budget: { steps: 0, onExhausted: 'pause' } });
    await run.send({ type: 'ASK' });
    await until(() => run.status === 'paused', 'its budget is spent');
    await first.close();
    const troupe = await opened({ backend: store, definitions: [after] });
    const again = await troupe.attach('x', after);
    const continued = (await entriesSoFar(troupe, 'x')).find(({ type }) => type === 'run.continued');
    expect(continued?.event).toMatchObject({ paused: { resource: 'steps', limit: 0, onExhausted: 'pause' } });
    expect(again.status).toBe('paused');
    await again.send({ type: 'ASK' });
    await again.resume({ budget: { steps: 1 } });
    await until(() => again.getSnapshot()?.context.asked === 1, 'it has asked');
    await again.send({ type: 'END' });
    expect((await again.result()).data).toBe(5);
    expect(await troupe.replay('x')).toMatchObject({ equal: true });
  });

  test('is migrated though its chart is the same: functions and context are not part of it', async () => {
    const machine = (unit: number) =>
      setup({
        types: {
          input: {} as { cents: number },
          context: {} as { cents: number },
          events: {} as { type: 'GO' },
          output: {} as number,
        },
      }).createMachine({
        context: ({ input }) => input,
        initial: 'open',
        states: { open: { on: { GO: 'end' } }, end: { type: 'final' } },
        output: ({ context }) => context.cents / unit,
      });
    const euros = durable(machine(1), { name: 'sum', version: '1' });
    const cents = durable(machine(100), {
      name: 'sum',
      version: '2',
      migrate: { from: euros, to: ({ context }) => ({ cents: context.cents * 100 }) },
    });
    const store = await leftBy(euros, { cents: 7 });
    const troupe = await opened({ backend: store, definitions: [cents] });
    const run = await troupe.attach('x', cents);
    expect(run.getSnapshot()?.context).toEqual({ cents: 700 });
    await run.send({ type: 'GO' });
    expect((await run.result()).data).toBe(7);
  });

  test('is not migrated once it has ended: its end is recorded', async () => {
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [V1] });
    const run = await first.start(V1, { from: 'me' }, { id: 'x' });
    await run.send({ type: 'GO' });
    await run.result();
    await first.close();
    const next = await opened({ backend: store, definitions: [V2] });
    expect(await next.replay('x')).toMatchObject({ status: 'completed' });
  });

  test('is left with its journal untouched, and reported, while a call is in doubt', async () => {
    const irreversible = (version: string, state: string) =>
      setup({ actors: { pay: fromPromise(() => new Promise(() => {})) } }).createMachine({
        initial: state,
        states: { [state]: { invoke: { src: 'pay' } } },
      });
    const before = durable(irreversible('1', 'a'), { name: 'payment', version: '1', effects: { pay: 'irreversible' } });
    const after = durable(irreversible('2', 'b'), {
      name: 'payment',
      version: '2',
      effects: { pay: 'irreversible' },
      migrate: { from: before, to: () => undefined },
    });
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [before] });
    const run = await first.start(before, undefined, { id: 'x' });
    const entries = await entriesOf(run, 'leaf.started');
    await first.close();
    const next = await opened({ backend: store, definitions: [after] });
    expect(reports).toEqual(['DEFINITION_CHANGED']);
    expect((await next.runs())[0]).toMatchObject({ status: 'running', owned: false });
    const own = await opened({ backend: store, definitions: [before] });
    expect((await own.replay('x')).entries).toBeGreaterThanOrEqual(entries.length);
  });

  test('is left, and reported, in its last turn, which it ends with the version before', async () => {
    const search = tool({ ...bare, name: 'search', cost: { tokens: 10 }, execute: () => 'found' });
    const machine = setup({
      types: { events: {} as WrapUp | { type: 'ANSWER' } },
      actors: { search: toolActor(search) },
    }).createMachine({
      initial: 'searching',
      states: {
        searching: {
          invoke: { src: 'search', input: {}, onDone: { target: 'searching', reenter: true } },
          on: { 'troupe.wrapUp': 'last' },
        },
        last: { on: { ANSWER: 'done' } },
        done: { type: 'final' },
      },
    });
    const before = durable(machine, { name: 'asking', version: '1' });
    const after = durable(machine, { name: 'asking', version: '2', migrate: { from: before, to: () => undefined } });
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [before] });
    const budget = { tokens: 30, onExhausted: 'handBack', reserve: { tokens: 10 } } as const;
    const run = await first.start(before, undefined, { id: 'x', budget });
    await until(() => run.status === 'wrappingUp', 'it is in its last turn');
    await first.close();
    const next = await opened({ backend: store, definitions: [after] });
    expect(reports).toEqual(['DEFINITION_CHANGED']);
    expect((await next.runs())[0]).toMatchObject({ status: 'wrappingUp', owned: false });
    await expect(next.fork('x', { id: 'fork' })).rejects.toMatchObject({ code: 'DEFINITION_CHANGED' });
    await next.close();
    const own = await opened({ backend: store, definitions: [before] });
    const again = await own.attach('x', before);
    await again.send({ type: 'ANSWER' });
    expect((await again.result()).metadata).toMatchObject({ status: 'completed', partial: true });
  });

  test('goes on under a changed chart that fits; under one that does not it is left, its journal untouched', async () => {
    const store = new FaultyStore();
    const two = (first: 'a' | 'b', then: 'a' | 'b', skips: boolean) =>
      durable(
        setup({
          types: { events: {} as { type: 'SKIP' } },
          actors: { a: fromPromise(async () => 1), b: fromPromise<number>(() => new Promise(() => {})) },
        }).createMachine({
          initial: 'one',
          states: {
            one: { invoke: { src: first, onDone: 'two' } },
            two: { invoke: { src: then, onDone: 'end' }, ...(skips && { on: { SKIP: 'end' as const } }) },
            end: { type: 'final' },
          },
        }),
        { name: 'two', version: '1' },
      );
    const before = two('a', 'b', false);
    const first = await opened({ backend: store, definitions: [before] });
    const run = await first.start(before, undefined, { id: 'x' });
    await until(() => run.getSnapshot()?.value === 'two', 'it has come to the second');
    await first.close();
    const misfit = await opened({ backend: store, definitions: [two('b', 'a', false)] });
    expect(reports).toEqual(['REPLAY_DIVERGENCE']);
    await misfit.close();
    const fits = two('a', 'b', true);
    const last = await opened({ backend: store, definitions: [fits] });
    const again = await last.attach('x', fits);
    await again.send({ type: 'SKIP' });
    expect(await again.result()).toMatchObject({ success: true });
  });

  test('only an earlier version of the same name can be migrated', () => {
    expect(() =>
      durable(oneState('a', 'b'), { name: 'other', version: '1', migrate: { from: V1, to: () => ({ from: '' }) } }),
    ).toThrow(/only an earlier version of the same name/);
  });
});

describe('a process that was not given a plan which a run calls', () => {
  test('leaves that run as it is, says why, and others go on with it', async () => {
    const ends: (() => void)[] = [];
    const execute = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
    const slow = tool({ name: 'slow', description: 'Waits', inputSchema: z.object({}), effect: 'read', execute });
    const sub = plan({ name: 'sub', version: '1', inputSchema: z.object({}) }).step('one', slow, { input: () => ({}) });
    const words = 'name: outer\nsteps:\n  one:\n    plan: sub\n';
    const outer = plan.parse(words, { format: 'yaml', tools: [slow], plans: [sub] });
    const store = new FaultyStore();
    const first = await opened({ backend: store, tools: [slow], definitions: [sub] });
    await first.start(outer, {}, { id: 'x' });
    await until(() => ends.length === 1, 'it is under way');
    await first.close();
    const without = await opened({ backend: store, tools: [slow] });
    const { recovered, left } = await without.recover();
    expect([recovered, left.map(({ run }) => run)]).toEqual([[], ['x']]);
    expect(await store.registered()).toContain('x');
    await without.close();
    const next = await opened({ backend: store, tools: [slow], definitions: [sub] });
    await until(() => ends.length === 2, 'it goes on');
    ends[1]?.();
    expect((await (await next.attach('x')).result()).success).toBe(true);
  });
});
