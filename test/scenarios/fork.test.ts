import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import { entryOf } from '../../src/chain.ts';
import {
  AuthError,
  childRun,
  createTroupe,
  durable,
  embedded,
  plan,
  ReplayDivergenceError,
  StorageFullError,
  tool,
  type BackendFactory,
  type Entry,
  type RunHandle,
  type Troupe,
  type TroupeOptions,
} from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { errand, finish, Outside } from '../support/errand.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

/** A run that begins as another one did, and goes on by itself from there. */

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** On a simulated clock; nothing is parked, so that every run can be looked at. */
async function opened(options: TroupeOptions & { clock: SimulatedClock }): Promise<Troupe> {
  const troupe = await createTroupe({ parkAfter: false, principal: 'test', ...options });
  closing.push(() => troupe.close());
  return troupe;
}

const directory = (): BackendFactory => {
  const dir = mkdtempSync(join(tmpdir(), 'fork-'));
  closing.push(() => rmSync(dir, { recursive: true }));
  return embedded({ dir });
};

async function entriesSoFar(troupe: Troupe, run: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { bytes } of troupe.stored(run)) entries.push(entryOf(bytes));
  return entries;
}

async function bytesOf(troupe: Troupe, run: string): Promise<string[]> {
  const bytes: string[] = [];
  for await (const stored of troupe.stored(run)) bytes.push(Buffer.from(stored.bytes).toString('base64'));
  return bytes;
}

/** An errand that has ended, with what it said to the outside. */
async function done(backend: BackendFactory = embedded()) {
  const [clock, outside] = [new SimulatedClock(), new Outside()];
  const definition = errand(outside);
  const troupe = await opened({ backend, clock, definitions: [definition] });
  const run = (await troupe.start(definition, undefined, { id: 'first' })) as RunHandle;
  await finish(troupe, run, clock);
  return { troupe, run, clock, outside, definition, entries: await entriesOf(run) };
}

const seqOf = (entries: readonly Entry[], type: Entry['type'], target?: string): number => {
  const found = entries.find((entry) => entry.type === type && (target === undefined || entry.target === target));
  if (found === undefined) throw new Error(`there is no ${type}`);
  return found.seq;
};

/** Where it was told the price. */
const pricedIn = (entries: readonly Entry[]): number =>
  entries.findLast(({ type, target }) => type === 'leaf.succeeded' && target.startsWith('body/price'))?.seq ?? 0;

/** What is the same in both. */
const shared = ({ seq, epoch, at, type, target }: Entry) => ({ seq, epoch, at, type, target });

describe.each([
  ['memory', () => new FaultyStore()],
  ['a directory', directory],
])('with %s', (_, backend) => {
  test('a run can be forked after every entry, and each fork goes on to the same end', async () => {
    const { troupe, clock, outside, entries } = await done(backend());
    const before = await bytesOf(troupe, 'first');
    expect(entries.length).toBeGreaterThan(18);
    for (let at = 2; at < entries.length; at += 1) {
      const told = outside.calls.length;
      const fork = (await troupe.fork('first', { at, id: `at-${at}` })) as RunHandle;
      await finish(troupe, fork, clock);
      expect(await fork.result(), `forked at ${at}`).toMatchObject({ success: true, data: { paid: 100, ticks: 2 } });
      const own = await entriesOf(fork);
      expect(own.slice(0, at).map(shared)).toEqual(entries.slice(0, at).map(shared));
      expect(own[at]).toMatchObject({
        run: `at-${at}`,
        type: 'run.forked',
        epoch: (entries[at - 1]?.epoch ?? 0) + 1,
        event: { by: 'test', origin: { run: 'first', at }, replaced: [] },
      });
      const keys = new Set(outside.calls.slice(0, told).map(({ key }) => key));
      expect(outside.calls.slice(told).filter(({ key }) => keys.has(key))).toEqual([]);
      expect(await troupe.replay(fork.id)).toMatchObject({ equal: true, status: 'completed', entries: own.length });
    }
    expect(await bytesOf(troupe, 'first')).toEqual(before);
  });

  test('a fork goes on where its process has ended', async () => {
    const [clock, outside, store] = [new SimulatedClock(), new Outside(), backend()];
    const definition = errand(outside);
    const first = await opened({ backend: store, clock, definitions: [definition] });
    const run = (await first.start(definition, undefined, { id: 'first' })) as RunHandle;
    await finish(first, run, clock);
    await first.fork('first', { at: 8, id: 'fork' });
    await first.close();
    const second = await opened({ backend: store, clock, definitions: [definition] });
    const fork = await second.attach('fork', definition);
    await finish(second, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 100, ticks: 2 });
    expect(await second.replay('fork')).toMatchObject({ equal: true, status: 'completed' });
  });
});

describe('a fork of a fork', () => {
  test('goes on to the same end, wherever it is cut', async () => {
    const { troupe, clock, entries } = await done();
    for (const first of [4, 9, entries.length - 2]) {
      const one = (await troupe.fork('first', { at: first, id: `one-${first}` })) as RunHandle;
      await finish(troupe, one, clock);
      const length = (await entriesOf(one)).length;
      for (let second = 2; second < length; second += 1) {
        const two = (await troupe.fork(one.id, { at: second, id: `two-${first}-${second}` })) as RunHandle;
        await finish(troupe, two, clock);
        expect((await two.result()).data, `${first}, then ${second}`).toEqual({ paid: 100, ticks: 2 });
        expect(await troupe.replay(two.id)).toMatchObject({ equal: true });
      }
    }
  });

  test('names all that it comes from', async () => {
    const { troupe } = await done();
    await troupe.fork('first', { at: 6, id: 'one' });
    const two = (await troupe.fork('one', { at: 4, id: 'two', by: 'ana' })) as RunHandle;
    for await (const { type, event } of two.entries()) {
      expect({ type, event }).toMatchObject({
        type: 'run.created',
        event: {
          by: 'ana',
          parent: null,
          origins: [
            { run: 'first', at: 6 },
            { run: 'one', at: 4 },
          ],
        },
      });
      break;
    }
  });
});

describe('what was before the cut is of the run it comes from', () => {
  test('at every entry it was in the states that it was in there', async () => {
    const { troupe, entries } = await done();
    const at = entries.length - 1;
    await troupe.fork('first', { at, id: 'fork' });
    const [there, here] = [await troupe.replay('first'), await troupe.replay('fork')];
    for (let seq = 1; seq <= at; seq += 1) {
      const [was, is] = [await there.at(seq), await here.at(seq)];
      expect([is.status, is.actors, is.snapshot]).toEqual([was.status, was.actors, was.snapshot]);
    }
  });

  /** When the backoff of a fork was over, if no time had passed since the cut. */
  async function backoffOf(cut: (failed: number) => number): Promise<{ there: number; here: number }> {
    const store = new FaultyStore();
    const { troupe: before, entries, definition } = await done(store);
    await before.close();
    const failed = seqOf(entries, 'leaf.failed');
    const clock = new SimulatedClock(entries[failed - 1]?.at);
    const troupe = await opened({ backend: store, clock, definitions: [definition] });
    const fork = (await troupe.fork('first', { at: cut(failed), id: 'fork' })) as RunHandle;
    await finish(troupe, fork, clock);
    const firedAt = (of: readonly Entry[]): number => of.find(({ type }) => type === 'timer.fired')?.at ?? 0;
    return { there: firedAt(entries), here: firedAt(await entriesOf(fork)) };
  }

  test('a backoff is as long as it was there, whatever chance has for the fork', async () => {
    const { there, here } = await backoffOf((failed) => failed);
    expect(here).toBe(there);
  });

  test('one that begins after the cut is its own', async () => {
    const { there, here } = await backoffOf((failed) => failed - 1);
    expect(here).not.toBe(there);
  });

  test('a call that was approved there and has not ended waits here for an approval of its own, as one that waits there does', async () => {
    const { troupe, clock, entries, outside } = await done();
    const approved = seqOf(entries, 'message.received', 'body/pay');
    const after = (await troupe.fork('first', { at: approved, id: 'after' })) as RunHandle;
    expect(await after.approvals()).toMatchObject([{ call: 'body/pay', run: 'after' }]);
    await finish(troupe, after, clock);
    const before = (await troupe.fork('first', { at: approved - 1, id: 'before' })) as RunHandle;
    const [asked] = await before.approvals();
    expect(asked).toMatchObject({ call: 'body/pay', run: 'before', input: { cents: 100 } });
    const decision = entries[approved - 1]?.event as { event: { hash: string } };
    await expect(before.approve('body/pay', { hash: decision.event.hash })).rejects.toMatchObject({
      code: 'VALIDATION',
    });
    await finish(troupe, before, clock);
    expect(new Set(outside.keysOf('pay')).size).toBe(3);
    for (const fork of [after, before]) expect((await fork.result()).success).toBe(true);
  });

  test('its messages are of the other inbox: the fork has one of its own', async () => {
    const [clock, outside, store] = [new SimulatedClock(), new Outside(), new FaultyStore()];
    const definition = errand(outside);
    const owner = await opened({ backend: store, clock, definitions: [definition] });
    const other = await opened({ backend: store, clock });
    await owner.start(definition, undefined, { id: 'first' });
    const own = await owner.attach('first');
    const seen: unknown[] = [];
    const look = (run: RunHandle): (() => void) => run.on('*', ({ type, cause }) => seen.push(`${type} ${cause}`));
    look(own as RunHandle);
    const far = await other.attach('first');
    await far.send({ type: 'GO' });
    await far.checkpoint('asked');
    await until(() => seen.includes('checkpoint inbox/2'), 'it has taken both');
    const fork = await owner.fork('first', { at: 'asked', id: 'fork' });
    const copied = (await entriesSoFar(owner, 'fork')).map(({ type, cause }) => `${type} ${cause}`);
    expect(copied).toContain('message.received first/inbox/1');
    expect(copied).toContain('checkpoint first/inbox/2');
    seen.length = 0;
    look(fork as RunHandle);
    expect((await (await other.attach('fork')).send({ type: 'GO' })).seq).toBe(1);
    await until(() => seen.includes('message.received inbox/1'), 'the fork has taken its first message');
    for (const run of [own, fork]) await finish(owner, run as RunHandle, clock);
    expect((await fork.result()).success).toBe(true);
  });
});

describe('what was under way at the cut', () => {
  test('is in doubt where it cannot be undone, and begins again under another key where it can', async () => {
    const { troupe, clock, entries, outside } = await done();
    const paying = (await troupe.fork('first', {
      at: seqOf(entries, 'leaf.started', 'body/pay/attempt'),
      id: 'paying',
    })) as RunHandle;
    expect(await paying.inDoubt()).toMatchObject([{ call: 'body/pay' }]);
    expect(outside.keysOf('pay')).toHaveLength(1);
    await paying.resolve('body/pay', { retry: true });
    await finish(troupe, paying, clock);
    const keys = outside.keysOf('pay');
    expect(new Set(keys).size).toBe(2);
  });

  test('goes on in the run that was forked', async () => {
    const [clock, outside] = [new SimulatedClock(), new Outside()];
    const definition = errand(outside);
    const troupe = await opened({ clock, definitions: [definition] });
    const run = (await troupe.start(definition, undefined, { id: 'first' })) as RunHandle;
    const fork = (await troupe.fork('first', { id: 'fork' })) as RunHandle;
    for (const one of [run, fork]) {
      await finish(troupe, one, clock);
      expect((await one.result()).data).toEqual({ paid: 100, ticks: 2 });
    }
  });
});

describe('a paused run', () => {
  test('is paused in its fork, which goes on when that is resumed', async () => {
    const [clock, outside] = [new SimulatedClock(), new Outside()];
    const definition = errand(outside);
    const troupe = await opened({ clock, definitions: [definition] });
    const run = (await troupe.start(definition, undefined, { id: 'first' })) as RunHandle;
    await run.pause();
    const fork = (await troupe.fork('first', { id: 'fork' })) as RunHandle;
    expect(fork.status).toBe('paused');
    await fork.resume();
    await finish(troupe, fork, clock);
    expect((await fork.result()).data).toEqual({ paid: 100, ticks: 2 });
    expect(run.status).toBe('paused');
  });

  test('whose budget was spent, and the next one, too, goes on with the one that it is forked with', async () => {
    const [clock, outside] = [new SimulatedClock(), new Outside()];
    const definition = errand(outside);
    const troupe = await opened({ clock, definitions: [definition] });
    const run = await troupe.start(definition, undefined, { id: 'first', budget: { steps: 1, onExhausted: 'pause' } });
    await until(() => outside.calls.length === 1, 'the first call has begun');
    const spent = async (steps: number): Promise<void> => {
      for (let turns = 0; run.status !== 'paused' && turns < 1_000; turns += 1) {
        clock.increment(10);
        for (const { call } of await run.approvals()) await run.approve(call);
        await turn();
      }
      expect([run.status, outside.calls.length]).toEqual(['paused', steps]);
    };
    await spent(1);
    await run.resume({ budget: { steps: 2, onExhausted: 'pause' } });
    await spent(2);
    const fork = (await troupe.fork('first', { id: 'fork', budget: { steps: 4 } })) as RunHandle;
    await fork.resume();
    await finish(troupe, fork, clock);
    expect((await fork.result()).error?.code).toBe('BUDGET_EXCEEDED');
    const rich = (await troupe.fork('first', { id: 'rich', budget: { steps: 5 } })) as RunHandle;
    await rich.resume();
    await finish(troupe, rich, clock);
    expect((await rich.result()).data).toEqual({ paid: 100, ticks: 2 });
  });
});

describe('a run that has begun others', () => {
  test('is forked without them: a call that was open begins a run of its own, and killing the fork leaves the others alone', async () => {
    const child = durable(
      setup({ types: { events: {} as { type: 'ANSWER' } } }).createMachine({
        initial: 'waiting',
        states: { waiting: { on: { ANSWER: 'done' } }, done: { type: 'final' } },
        output: 'rain',
      }),
      { name: 'child', version: '1' },
    );
    const parent = durable(
      setup({ actors: { first: childRun(child), second: childRun(child) } }).createMachine({
        initial: 'asking',
        states: {
          asking: { invoke: { src: 'first', onDone: 'again' } },
          again: { invoke: { src: 'second', onDone: 'done' } },
          done: { type: 'final' },
        },
        output: 'told',
      }),
      { name: 'parent', version: '1' },
    );
    const troupe = await opened({ clock: new SimulatedClock() });
    const children = async (): Promise<string[]> =>
      (await troupe.runs()).filter(({ definition }) => definition === 'child').map(({ run }) => run);
    const newest = async (known: readonly string[]): Promise<string> => {
      let found: string | undefined;
      for (let turns = 0; found === undefined && turns < 200; turns += 1) {
        await turn();
        found = (await children()).find((run) => !known.includes(run));
      }
      if (found === undefined) throw new Error('no other child is begun');
      return found;
    };
    const answer = async (run: string): Promise<void> =>
      void (await (await troupe.attach(run, child)).send({ type: 'ANSWER' }));

    const statusOf = async (run: string): Promise<string> => (await (await troupe.attach(run)).summary()).status;

    const run = await troupe.start(parent, undefined, { id: 'first' });
    const one = await newest([]);
    await answer(one);
    const two = await newest([one]);
    const fork = await troupe.fork('first', { id: 'fork' });
    const three = await newest([one, two]);
    const killed = await troupe.fork('first', { id: 'killed' });
    const four = await newest([one, two, three]);
    await killed.kill('not wanted');
    await run.pause();
    // It is killed before its call has begun again.
    await (await troupe.fork('first', { id: 'paused' })).kill('not wanted');
    expect(await Promise.all([one, two, three, four].map(statusOf))).toEqual([
      'completed',
      'running',
      'running',
      'killed',
    ]);
    await run.resume();
    for (const child of [two, three]) await answer(child);
    for (const ended of [run, fork]) expect((await ended.result()).data).toBe('told');
    for (const id of ['first', 'fork', 'killed', 'paused'])
      expect(await troupe.replay(id)).toMatchObject({ equal: true });
  });
});

describe('a run that has begun anew', () => {
  const counter = (version: string, more: Partial<Parameters<typeof durable<typeof counting>>[1]> = {}) =>
    durable(counting, { name: 'counter', version, continueAs: ({ context }) => context.n, ...more });
  const counting = setup({
    types: {
      input: {} as number | undefined,
      context: {} as { n: number },
      events: {} as { type: 'ADD' } | { type: 'END' },
      output: {} as number,
    },
  }).createMachine({
    context: ({ input }) => ({ n: input ?? 0 }),
    initial: 'open',
    states: {
      open: { on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) }, END: 'closed' } },
      closed: { type: 'final' },
    },
    output: ({ context }) => context.n,
  });

  test('is forked before and after that', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ backend: store, clock: new SimulatedClock() });
    const other = await opened({ backend: store, clock: new SimulatedClock() });
    const run = await troupe.start(counter('1'), undefined, { id: 'first' });
    const far = await other.attach('first');
    for (let n = 0; n < 3; n += 1) await far.send({ type: 'ADD' });
    await until(() => run.getSnapshot()?.context.n === 3, 'these are taken');
    for (let n = 3; n < 1_010; n += 1) await run.send({ type: 'ADD' });
    await run.send({ type: 'END' });
    expect((await run.result()).data).toBe(1_010);
    const entries = await entriesOf(run);
    const anew = seqOf(entries, 'run.continued');
    for (const [at, n] of [
      [anew - 1, anew - 3],
      [anew, anew - 3],
      [anew + 2, anew - 1],
    ] as const) {
      const fork = await troupe.fork('first', { at, id: `at-${at}`, budget: { steps: 5 } });
      // The first of its own inbox.
      expect((await (await other.attach(fork.id)).send({ type: 'END' })).seq).toBe(1);
      expect((await fork.result()).data, `forked at ${at}`).toBe(n);
      const begun = (await entriesOf(fork)).filter(({ type }) => type === 'run.created' || type === 'run.continued');
      for (const { event } of begun)
        expect(event).toMatchObject({ origins: [{ run: 'first', at }], budget: { steps: 5 } });
      expect(await troupe.replay(fork.id)).toMatchObject({ equal: true });
    }
  });

  test('of a version before goes on with the one of today', async () => {
    const store = new FaultyStore();
    const before = counter('1');
    const first = await opened({ backend: store, clock: new SimulatedClock(), definitions: [before] });
    const run = await first.start(before, undefined, { id: 'first' });
    for (let n = 0; n < 3; n += 1) await run.send({ type: 'ADD' });
    await run.send({ type: 'END' });
    await run.result();
    await first.close();
    const today = counter('2', { migrate: { from: before, to: ({ context }) => context.n * 10 } });
    const troupe = await opened({ backend: store, clock: new SimulatedClock(), definitions: [today] });
    const fork = await troupe.fork('first', { at: 4, id: 'fork' });
    await fork.send({ type: 'ADD' });
    await fork.send({ type: 'END' });
    expect((await fork.result()).data).toBe(21);
    const types = (await entriesOf(fork)).map(({ type }) => type);
    expect(types.slice(4, 7)).toEqual(['run.forked', 'run.recovered', 'run.continued']);
    expect(await troupe.replay('fork')).toMatchObject({ equal: true, status: 'completed' });
  });
});

describe('with another', () => {
  test('budget: what was spent before the cut is spent', async () => {
    const [clock, outside] = [new SimulatedClock(), new Outside()];
    const definition = errand(outside);
    const troupe = await opened({ clock, definitions: [definition] });
    const run = (await troupe.start(definition, undefined, { id: 'first', budget: { steps: 2 } })) as RunHandle;
    await finish(troupe, run, clock);
    expect(await run.result()).toMatchObject({ success: false, error: { code: 'BUDGET_EXCEEDED' } });
    const at = seqOf(await entriesOf(run), 'budget.exceeded') - 1;
    const outcomes = await Promise.all(
      [{ steps: 2 }, { steps: 3 }, { steps: 5 }, null].map(async (budget, index) => {
        const fork = (await troupe.fork('first', { at, id: `fork-${index}`, budget })) as RunHandle;
        await finish(troupe, fork, clock);
        return (await fork.result()).success;
      }),
    );
    expect(outcomes).toEqual([false, false, true, true]);
  });

  test('result: the run goes on as if the call had given that, and the call counts as before', async () => {
    const { troupe, run, clock, entries, outside } = await done();
    const priced = pricedIn(entries);
    const told = outside.calls.length;
    const fork = (await troupe.fork('first', {
      at: priced,
      id: 'fork',
      replace: { [priced]: { output: { cents: 7 } } },
    })) as RunHandle;
    await finish(troupe, fork, clock);
    expect((await fork.result()).data).toEqual({ paid: 7, ticks: 2 });
    expect(outside.calls.slice(told).map(({ call }) => call)).toEqual(['pay', 'ship']);
    const own = await entriesOf(fork);
    expect(own[priced - 1]?.event).toMatchObject({ output: { cents: 7 }, by: 'test' });
    expect(own[priced]?.event).toMatchObject({ replaced: [priced] });
    expect((await fork.summary()).steps).toBe((await run.summary()).steps);
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });

  test('result that is an error: the run takes the other way', async () => {
    const { troupe, entries } = await done();
    const seq = pricedIn(entries);
    const fork = await troupe.fork('first', {
      at: seq,
      id: 'fork',
      replace: { [seq]: { error: new AuthError('who are you?') } },
    });
    expect((await fork.result()).data).toEqual({ paid: 0, ticks: 0 });
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });

  test('definition: it goes on from there by the new one', async () => {
    const { troupe, clock, outside, entries } = await done();
    const better = errand(outside, { name: 'better', version: '2', bonus: 5 });
    const fork = await troupe.fork('first', { definition: better, id: 'fork', at: entries.length - 2 });
    await finish(troupe, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 105, ticks: 2 });
    expect(await (await troupe.attach('fork', better)).summary()).toMatchObject({ definition: 'better' });
  });
});

describe('is refused, and nothing is written', () => {
  const missing = async (troupe: Troupe, store: FaultyStore): Promise<void> => {
    await expect(troupe.attach('fork')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await store.registered()).toEqual([]);
  };

  test('a definition that does not fit what is on record; one that does may be tried then', async () => {
    const store = new FaultyStore();
    const { troupe, clock, outside, entries } = await done(store);
    const hasty = durable(setup({}).createMachine({}), { name: 'other', version: '1' });
    await expect(troupe.fork('first', { id: 'fork', definition: hasty })).rejects.toThrow(ReplayDivergenceError);
    await missing(troupe, store);
    const other = errand(outside, { name: 'other', bonus: 1 });
    const fork = await troupe.fork('first', { id: 'fork', definition: other, at: entries.length - 2 });
    await finish(troupe, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 101, ticks: 2 });
  });

  test('a result after which the rest of the record does not fit', async () => {
    const store = new FaultyStore();
    const { troupe, entries } = await done(store);
    const seq = seqOf(entries, 'leaf.succeeded');
    await expect(
      troupe.fork('first', { id: 'fork', replace: { [seq]: { error: new Error('sold out') } } }),
    ).rejects.toMatchObject({ code: 'REPLAY_DIVERGENCE', context: { run: 'fork' } });
    await missing(troupe, store);
  });

  test('an output that the tool could not have given', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ clock: new SimulatedClock(), backend: store });
    const shared = { description: 'd', inputSchema: z.object({}), effect: 'read' } as const;
    const roll = tool({
      ...shared,
      name: 'roll',
      outputSchema: z.object({ eyes: z.number() }),
      execute: () => ({ eyes: 1 }),
    });
    const dated = tool({
      ...shared,
      name: 'dated',
      outputSchema: z.string().transform(Number),
      execute: () => '1984',
    });
    const game = plan({ name: 'game', version: '1' })
      .step('rolled', roll, {})
      .step('dated', dated, {
        needs: ['rolled'],
      });
    const run = await troupe.start(game, {}, { id: 'first' });
    await run.result();
    const entries = await entriesOf(run);
    const resultOf = (step: string): number => seqOf(entries, 'leaf.succeeded', `body/${step}/attempt`);
    const at = resultOf('rolled');
    for (const output of [{ eyes: 'banana' }, {}, 'nothing', null])
      await expect(troupe.fork('first', { at, id: 'fork', replace: { [at]: { output } } })).rejects.toMatchObject({
        code: 'VALIDATION',
        context: { run: 'first', seq: at, call: 'body/rolled/attempt' },
      });
    await missing(troupe, store);
    const fork = await troupe.fork('first', {
      id: 'fork',
      // As it is on record: after what the schema has made of it.
      replace: { [at]: { output: { eyes: 6 } }, [resultOf('dated')]: { output: 2_026 } },
    });
    expect((await fork.result()).data).toEqual({ rolled: { eyes: 6 }, dated: 2_026 });
  });

  test('what is no place to fork, no result, no id that is free', async () => {
    const store = new FaultyStore();
    const { troupe, entries } = await done(store);
    const refused = async (options: Parameters<Troupe['fork']>[1]): Promise<void> => {
      await expect(troupe.fork('first', { id: 'fork', ...options })).rejects.toMatchObject({ code: 'VALIDATION' });
    };
    for (const at of [0, 1, 1.5, entries.length, entries.length + 1, Number.NaN]) await refused({ at });
    await refused({ replace: { 2: { output: 1 } } });
    await refused({ at: 4, replace: { [seqOf(entries, 'leaf.succeeded', 'body/pay/attempt')]: { output: 1 } } });
    await refused({ replace: { 3: {} as { output: unknown } } });
    await refused({ id: 'first' });
    await expect(troupe.fork('first', { at: 'nowhere' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(troupe.fork('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await missing(troupe, store);
  });

  test('an append that fails', async () => {
    const store = new FaultyStore();
    const { troupe, clock } = await done(store);
    store.failOnce('append', new StorageFullError('full', {}));
    await expect(troupe.fork('first', { id: 'fork', at: 5 })).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    const fork = (await troupe.fork('first', { id: 'fork', at: 5 })) as RunHandle;
    await finish(troupe, fork, clock);
    expect((await fork.result()).success).toBe(true);
  });
});
