import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type Entry, type RunHandle } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { errand, finish, Outside } from '../support/errand.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

import { done, entriesSoFar, opened, seqOf } from '../support/forking.ts';
/** What a fork has of what was before the cut, and what becomes of what was under way there. */

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
    const isApproved = ({ event }: Entry): boolean =>
      (event as { event?: { type: string } })?.event?.type === 'troupe.approve';
    const approved = entries.find(isApproved)?.seq ?? 0;
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
