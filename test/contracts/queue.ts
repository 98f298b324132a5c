import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_PAYLOAD, type Backend, type Claim } from '../../src/backend.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import { HOSTILE, SEEN_MS, within, type Given } from './harness.ts';

const LEASE = { leaseMs: 2_000 };
const NONE = new Uint8Array();

const must = (claim: Claim | undefined): Claim => {
  if (claim === undefined) throw new Error('Nothing was there to claim.');
  return claim;
};

export function queueContract(given: Given): void {
  const fill = async (...ids: string[]): Promise<void> => {
    for (const id of ids) expect(await given.backend.queue.enqueue('q', id, NONE)).toBe(true);
  };
  const claim = async (on = given.backend): Promise<Claim> => must(await on.queue.claim('q', LEASE));
  const nothing = async (on = given.backend): Promise<void> => expect(await on.queue.claim('q', LEASE)).toBeUndefined();
  /** All leases are over. */
  const lapse = (): Promise<void> => given.harness.pass(LEASE.leaseMs + SEEN_MS);

  it('gives the oldest first, as it was enqueued, each to one', async () => {
    const { queue } = given.backend;
    await nothing();
    const reused = Buffer.from([0, 1, 255]);
    const enqueuing = queue.enqueue('q', 'one', reused);
    reused.fill(9);
    expect(await enqueuing).toBe(true);
    await queue.enqueue('q', 'two', NONE);
    await queue.enqueue('other', 'three', NONE);
    const [first, second] = [await claim(), await claim()];
    expect([first.id, [...first.payload], first.delivery]).toEqual(['one', [0, 1, 255], 1]);
    expect([second.id, [...second.payload], second.delivery]).toEqual(['two', [], 1]);
    await nothing();
    expect((await queue.claim('other', LEASE))?.id).toBe('three');
  });

  it('keeps the order of many', async () => {
    const ids = Array.from({ length: 100 }, (_, index) => `i${index}`);
    await Promise.all(ids.map((id) => given.backend.queue.enqueue('q', id, NONE)));
    const claimed: string[] = [];
    for (const _ of ids) claimed.push((await claim()).id);
    expect(claimed).toEqual(ids);
    await nothing();
  });

  it('takes an id once, until it is done', async () => {
    const { queue } = given.backend;
    const put = (): Promise<boolean> => queue.enqueue('q', 'one', NONE);
    expect([await put(), await put()]).toEqual([true, false]);
    const first = await claim();
    expect(await put()).toBe(false);
    expect(await first.ack()).toBe(true);
    await nothing();
    expect(await put()).toBe(true);
    expect(await first.ack()).toBe(false);
    expect((await claim()).delivery).toBe(1);
    expect(await queue.enqueue('other', 'one', NONE)).toBe(true);
  });

  it('gives it to others once the lease is over: the late one can do nothing more', async () => {
    await fill('one');
    const late = await claim();
    await nothing();
    await lapse();
    const next = await claim();
    expect([next.id, next.delivery]).toEqual(['one', 2]);
    expect([await late.ack(), await late.heartbeat(), await late.release()]).toEqual([false, false, false]);
    await nothing();
    expect(await next.heartbeat()).toBe(true);
    expect(await next.ack()).toBe(true);
    expect([await next.ack(), await next.heartbeat(), await next.release()]).toEqual([false, false, false]);
    await lapse();
    await nothing();
  });

  it('keeps it for who says in time that it is still at work', async () => {
    await fill('one');
    const held = await claim();
    for (let beats = 0; beats < 3; beats += 1) {
      await given.harness.pass(LEASE.leaseMs / 2);
      expect(await held.heartbeat()).toBe(true);
      await nothing();
    }
    expect(await held.ack()).toBe(true);
    await lapse();
    await nothing();
  });

  it('gives back what is released, at once or later', async () => {
    await fill('one');
    const first = await claim();
    expect(await first.release()).toBe(true);
    expect([await first.ack(), await first.heartbeat(), await first.release()]).toEqual([false, false, false]);
    const second = await claim();
    expect(second.delivery).toBe(2);
    expect(await second.release(LEASE.leaseMs / 2)).toBe(true);
    expect(await second.ack()).toBe(false);
    await nothing();
    await given.harness.pass(LEASE.leaseMs / 2 + SEEN_MS);
    expect((await claim()).delivery).toBe(3);
  });

  it('gives what has come back before what is younger', async () => {
    await fill('one', 'two', 'three');
    await (await claim()).release();
    const first = await claim();
    expect([first.id, first.delivery]).toEqual(['one', 2]);
    await lapse();
    expect([(await claim()).id, (await claim()).id, (await claim()).id]).toEqual(['one', 'two', 'three']);
  });

  it('refuses what is too large, is no bytes, no time and no id', async () => {
    const { queue } = given.backend;
    await fill('held');
    const held = await claim();
    const large = new Uint8Array(MAX_PAYLOAD + 1);
    await expect(queue.enqueue('q', 'x', large)).rejects.toThrow(ValidationError);
    await expect(queue.enqueue('q', 'x', 'text' as unknown as Uint8Array)).rejects.toThrow(ValidationError);
    for (const leaseMs of [0, -1, 0.5, Number.NaN, 2 ** 31])
      await expect(queue.claim('q', { leaseMs })).rejects.toThrow(ValidationError);
    for (const delayMs of [-1, 0.5, Number.NaN, 2 ** 31])
      await expect(held.release(delayMs)).rejects.toThrow(ValidationError);
    for (const id of HOSTILE) {
      await expect(queue.enqueue('q', id, NONE)).rejects.toThrow(ValidationError);
      await expect(queue.enqueue(id, 'x', NONE)).rejects.toThrow(ValidationError);
      await expect(queue.claim(id, LEASE)).rejects.toThrow(ValidationError);
      expect(() => queue.watch(id, () => {})).toThrow(ValidationError);
    }
    await nothing();
    expect(await queue.enqueue('q', 'x', large.subarray(1))).toBe(true);
    expect((await claim()).payload).toHaveLength(MAX_PAYLOAD);
    expect(await held.ack()).toBe(true);
  });

  it('tells who watches: at the beginning, of what is new, of what was released and of what nobody has finished', async () => {
    const { harness, backend } = given;
    const { queue } = backend;
    let told = 0;
    queue.watch('q', () => {
      throw new Error('mine');
    });
    const unwatch = queue.watch('q', () => (told += 1));
    const tells = async (what: string, act: () => Promise<unknown>, ms = SEEN_MS): Promise<void> => {
      await harness.pass(SEEN_MS);
      const before = told;
      await act();
      await within(harness, ms, () => told > before, `it was told ${what}`);
    };
    await within(harness, SEEN_MS, () => told > 0, 'it was told at the beginning');
    await tells('of an item', () => fill('one'));
    let held = await claim();
    await tells('of one that was released', () => held.release());
    held = await claim();
    await tells('of one that was released for later', () => held.release(LEASE.leaseMs), LEASE.leaseMs + SEEN_MS);
    held = await claim();
    await tells('of one whose lease is over', async () => {}, LEASE.leaseMs + SEEN_MS);
    held = await claim();
    await harness.pass(SEEN_MS);
    const before = told;
    await held.ack();
    await queue.enqueue('other', 'one', NONE);
    await harness.pass(SEEN_MS);
    expect(told).toBe(before);
    unwatch();
    unwatch();
    await fill('two');
    await harness.pass(SEEN_MS);
    expect(told).toBe(before);
  });

  describe('beside another on the same store', () => {
    let other: Backend;
    beforeEach(async ({ skip }) => {
      if (given.harness.openAnother === undefined) return skip('nobody else can reach this store');
      other = await given.harness.openAnother();
    });

    it('shares the work with it: each item goes to one', async () => {
      const ids = Array.from({ length: 60 }, (_, index) => `i${index}`);
      await fill(...ids);
      const work = async (on: Backend): Promise<string[]> => {
        const done: string[] = [];
        for (let next = await on.queue.claim('q', LEASE); next !== undefined; next = await on.queue.claim('q', LEASE)) {
          expect(next.delivery).toBe(1);
          done.push(next.id);
          expect(await next.ack()).toBe(true);
        }
        return done;
      };
      const done = await Promise.all([work(given.backend), work(other), work(given.backend), work(other)]);
      expect(done.flat().toSorted()).toEqual(ids.toSorted());
      expect(await other.queue.enqueue('q', 'i0', NONE)).toBe(true);
      expect(await given.backend.queue.enqueue('q', 'i0', NONE)).toBe(false);
    });

    it('takes over what it does not finish', async () => {
      await fill('one');
      const lost = must(await other.queue.claim('q', LEASE));
      await nothing();
      await lapse();
      const mine = await claim();
      expect([mine.id, mine.delivery]).toEqual(['one', 2]);
      expect(await lost.ack()).toBe(false);
      expect(await mine.ack()).toBe(true);
      await nothing(other);
    });

    it('is told when there may be work, whoever made it', async () => {
      const { harness, backend } = given;
      let told = 0;
      backend.queue.watch('q', () => (told += 1));
      await harness.pass(2 * SEEN_MS);
      let before = told;
      await other.queue.enqueue('q', 'one', NONE);
      await within(harness, SEEN_MS, () => told > before, 'it was told of an item');
      const held = must(await other.queue.claim('q', LEASE));
      await harness.pass(SEEN_MS);
      before = told;
      await held.release();
      await within(harness, SEEN_MS, () => told > before, 'it was told of one that was released');
      await other.queue.claim('q', LEASE);
      await harness.pass(SEEN_MS);
      before = told;
      await within(harness, LEASE.leaseMs + SEEN_MS, () => told > before, 'it was told of one whose lease is over');
    });
  });
}
