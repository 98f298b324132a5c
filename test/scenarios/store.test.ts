import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import {
  createTroupe,
  durable,
  embedded,
  StorageError,
  StorageFullError,
  type Entry,
  type Troupe,
} from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';

/** What the store refuses, loses or is asked for too often. */

const open: Troupe[] = [];
const opened = async (...given: Parameters<typeof createTroupe>): Promise<Troupe> => {
  const troupe = await createTroupe(...given);
  open.push(troupe);
  return troupe;
};
afterEach(async () => {
  await Promise.allSettled(open.splice(0).map((troupe) => troupe.close()));
});

const report = (): void => {};
const full = (): StorageFullError => new StorageFullError('full', {});
const counting = durable(
  setup({ types: { context: {} as { n: number }, events: {} as { type: 'INC' } } }).createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  }),
  { name: 'counting', version: '1' },
);

describe('a full store', () => {
  test('refuses a kill: the run stops here all the same, and is recovered in this process', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const troupe = await opened({ backend: store, clock: new SimulatedClock(), report });
    const run = await troupe.start(working.definition(), undefined, { id: 'x' });
    expect(working.running).toBe(1);
    await still();

    store.failOnce('append', full());
    await expect(run.kill()).rejects.toBeInstanceOf(StorageFullError);
    expect(working).toMatchObject({ begun: 1, aborted: 1 });

    expect(await troupe.recover()).toEqual({ recovered: ['x'], left: [] });
    expect(working).toMatchObject({ begun: 2, aborted: 1 });
    expect(await run.kill()).toMatchObject({ status: 'killed' });
    expect(working.running).toBe(0);
  });

  test('refuses another try of a call in doubt: it is in doubt as before, and can be decided', async () => {
    const [store, clock, working] = [new FaultyStore(), new SimulatedClock(), new Working()];
    const definitions = [working.definition('irreversible')];
    const first = await opened({ backend: store, clock, definitions });
    await first.start(definitions[0]!, undefined, { id: 'x' });
    await until(() => working.begun === 1, 'the call has begun');
    await first.close();

    const troupe = await opened({ backend: store, clock, definitions, report });
    const run = await troupe.attach('x', definitions[0]!);
    const inDoubt = await run.inDoubt();
    expect(inDoubt).toMatchObject([{ call: 'body/work' }]);
    const idle = clock.nextDue;
    store.failOnce('append', full());
    await expect(run.resolve('body/work', { retry: true })).rejects.toBeInstanceOf(StorageFullError);
    expect(await run.inDoubt()).toEqual(inDoubt);

    await until(() => clock.nextDue !== idle, 'recording waits for space');
    clock.increment(1_000);
    await run.resolve('body/work', { output: null });
    expect((await run.result()).success).toBe(true);
    expect(working.begun).toBe(1);
    const calls: Entry[] = [];
    for await (const entry of run.entries()) if (entry.target === 'body/work') calls.push(entry);
    expect(calls).toMatchObject([{ type: 'leaf.started' }, { type: 'leaf.succeeded', cause: calls[0]?.seq }]);
  });
});

describe('a store whose directory was deleted', () => {
  test.each(['process', 'disk'] as const)('acknowledges nothing (level %s)', async (level) => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-deleted-'));
    const troupe = await opened({ backend: embedded({ dir, level }), report });
    const run = await troupe.start(counting);
    await run.send({ type: 'INC' });
    rmSync(dir, { recursive: true });
    await expect(run.send({ type: 'INC' })).rejects.toBeInstanceOf(StorageError);
    expect(run.getSnapshot()?.context).toEqual({ n: 1 });
  });
});

describe('a journal that is followed', () => {
  test('is read once, however many entries come', async () => {
    const [store, MESSAGES] = [new FaultyStore(), 300];
    const troupe = await opened({ backend: store });
    const run = await troupe.start(counting);
    const seqs: number[] = [];
    const following = (async () => {
      for await (const { seq } of run.entries()) seqs.push(seq);
    })();
    for (let sent = 0; sent < MESSAGES; sent += 1) {
      const { seq } = await run.send({ type: 'INC' });
      await until(() => seqs.at(-1) === seq, 'the follower has the entry');
      await turn();
    }
    expect(seqs).toEqual(Array.from({ length: MESSAGES + 2 }, (_, index) => index + 1));
    expect(store.read).toBe(seqs.length);
    await run.kill();
    await following;
  });
});
