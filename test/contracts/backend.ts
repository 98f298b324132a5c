import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backend.ts';
import { ClosedError, ValidationError } from '../../src/protocol/errors.ts';
import { ownerId, runId, type OwnerId } from '../../src/protocol/ids.ts';
import type { Pattern, Subject } from '../../src/protocol/subject.ts';
import { busContract } from './bus.ts';
import { all, HOSTILE, SEEN_MS, type Given, type Harness } from './harness.ts';
import { journalContract } from './journal.ts';
import { queueContract } from './queue.ts';
import { registryContract } from './registry.ts';
import { sealed } from './sealed.ts';
import { tamperContract } from './tamper.ts';

/** What every backend does, asked through the contract only. */
export function backendContract(name: string, prepare: () => Promise<Harness>): void {
  describe(`${name} backend`, () => {
    let harness: Harness;
    let backend: Backend;
    beforeEach(async () => {
      harness = await prepare();
      backend = await harness.open();
    });
    afterEach(() => harness.close());
    const given: Given = {
      get harness() {
        return harness;
      },
      get backend() {
        return backend;
      },
    };

    describe('journal', () => journalContract(given));
    describe('registry', () => registryContract(given));
    describe('bus', () => busContract(given));
    describe('queue', () => queueContract(given));
    describe('J4: tampered with', () => tamperContract(given));

    it('knows its own owner alive and one that never was gone', async () => {
      expect(await backend.alive(backend.owner)).toBe(true);
      expect(await backend.alive(ownerId('nobody'))).toBe(false);
      expect(await backend.alive(ownerId('nobody'))).toBe(false);
      for (const id of HOSTILE as OwnerId[]) await expect(backend.alive(id)).rejects.toThrow(ValidationError);
    });

    it('knows another alive until it is closed', async ({ skip }) => {
      if (harness.openAnother === undefined) return skip('nobody else can reach this store');
      const other = await harness.openAnother();
      expect(other.owner).not.toBe(backend.owner);
      expect(await backend.alive(other.owner)).toBe(true);
      expect(await other.alive(backend.owner)).toBe(true);
      await other.close();
      expect(await backend.alive(other.owner)).toBe(false);
      expect(await backend.alive(backend.owner)).toBe(true);
    });

    it('keeps what was asked of it before it was closed, and refuses what comes after', async () => {
      const { journal, registry, bus, queue } = backend;
      const run = runId('run-1');
      const subject = 'a.b' as Subject;
      const payload = new Uint8Array(1);
      await queue.enqueue('q', 'item', payload);
      const claim = await queue.claim('q', { leaseMs: 1_000 });
      const waiting = [
        journal.append(run, sealed(run, 1), { epoch: 1, after: 0 }),
        registry.put('a', 1),
        queue.enqueue('q', 'other', payload),
      ];
      const reading = journal.read(run);
      await Promise.all([backend.close(), backend.close()]);
      await backend.close();
      const [appended, put, enqueued] = await Promise.all(waiting);
      expect([appended, enqueued]).toMatchObject([{ status: 'appended' }, true]);
      expect(put).toEqual(expect.any(Number));
      for (const late of [
        () => journal.append(run, sealed(run, 1, { after: 1 }), { epoch: 1, after: 1 }),
        () => all(reading),
        () => all(journal.list()),
        () => journal.tail(run),
        async () => journal.watch(run, () => {}),
        () => registry.get('a'),
        () => registry.put('a', 1),
        () => registry.delete('a'),
        () => all(registry.list('')),
        async () => registry.watch('', () => {}),
        () => bus.publish(subject, payload),
        async () => bus.subscribe(subject as Pattern, { message: () => {} }),
        () => bus.request(subject, payload, { timeoutMs: 100 }),
        () => queue.enqueue('q', 'third', payload),
        () => queue.claim('q', { leaseMs: 1_000 }),
        async () => queue.watch('q', () => {}),
        async () => claim?.heartbeat(),
        async () => claim?.ack(),
        async () => claim?.release(),
        () => backend.alive(backend.owner),
      ])
        await expect(late()).rejects.toThrow(ClosedError);
    });

    it('tells nothing to who has ended it at once', async () => {
      const run = runId('run-1');
      const subject = 'a.b' as Subject;
      await backend.registry.put('a', 1);
      let told = 0;
      const tell = (): void => void (told += 1);
      const ends = [
        backend.journal.watch(run, tell),
        backend.registry.watch('', tell),
        backend.queue.watch('q', tell),
        backend.bus.subscribe(subject, { message: tell, missed: tell }),
      ];
      for (const end of ends) end();
      await backend.journal.append(run, sealed(run, 1), { epoch: 1, after: 0 });
      await backend.registry.put('a', 2);
      await backend.queue.enqueue('q', 'item', new Uint8Array(1));
      await backend.bus.publish(subject, new Uint8Array(1));
      await harness.pass(SEEN_MS);
      expect(told).toBe(0);
    });

    it('tells nothing more once it is closed', async ({ skip }) => {
      if (harness.openAnother === undefined) return skip('nobody else can reach this store');
      const other = await harness.openAnother();
      const run = runId('run-1');
      let told = 0;
      const tell = (): void => void (told += 1);
      backend.journal.watch(run, tell);
      backend.registry.watch('', tell);
      backend.queue.watch('q', tell);
      backend.bus.subscribe('a.b' as Subject, { message: tell, missed: tell });
      await harness.pass(SEEN_MS);
      const asking = backend.bus.request('nobody.here' as Subject, new Uint8Array(1), { timeoutMs: 60_000 });
      const unanswered = expect(asking).rejects.toThrow();
      await backend.close();
      await unanswered;
      const before = told;
      await other.journal.append(run, sealed(run, 1), { epoch: 1, after: 0 });
      await other.registry.put('a', 1);
      await other.queue.enqueue('q', 'item', new Uint8Array(1));
      await other.bus.publish('a.b' as Subject, new Uint8Array(1));
      await harness.pass(SEEN_MS);
      expect(told).toBe(before);
    });
  });
}
