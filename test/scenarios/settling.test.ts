import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import { childRun, durable, tool, type Troupe, type TroupeOptions } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { openedWith } from '../support/opened.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';

/** Whether a run only waits for somebody, where that depends on runs that it has begun and on who owns them. */

const MINUTE = 60_000;
const opened = openedWith({ parkAfter: '1m', report: () => {} });

const asker = (states: Parameters<ReturnType<typeof setup>['createMachine']>[0]['states']) => {
  const child = durable(
    setup({}).createMachine({ initial: 'waiting', states: { ...states, done: { type: 'final' } } }),
    {
      name: 'child',
      version: '1',
    },
  );
  return durable(
    setup({ actors: { ask: childRun(child) } }).createMachine({
      initial: 'asking',
      states: { asking: { invoke: { src: 'ask', onDone: 'done' } }, done: { type: 'final' } },
    }),
    { name: 'parent', version: '1' },
  );
};

describe('a run that is taken over while it and the one that it has begun rest', () => {
  async function takenOver(definition: ReturnType<typeof asker>) {
    const [clock, backend] = [new SimulatedClock(), new FaultyStore()];
    const options: TroupeOptions = { clock, backend, definitions: [definition] };
    const parked = (troupe: Troupe): Promise<void> =>
      until(() => troupe.counts.parked === 2 && troupe.counts.live === 0, 'both are parked');
    const first = await opened(options);
    await first.start(definition, undefined, { id: 'p' });
    await still();
    clock.increment(MINUTE);
    await parked(first);
    backend.crash();
    const troupe = await opened(options);
    await parked(troupe);
    return { clock, run: await troupe.attach('p', definition) };
  }

  test('does not wait for somebody where a timer below moves it on', async () => {
    const { clock, run } = await takenOver(asker({ waiting: { after: { [10 * MINUTE]: 'done' } } }));
    let how: string | undefined;
    void run.settled().then((settled) => (how = settled));
    await still();
    expect(how).toBeUndefined();
    clock.increment(10 * MINUTE);
    await until(() => how !== undefined, 'it has settled');
    expect(how).toBe('ended');
  });

  test('waits for somebody where that does', async () => {
    const { run } = await takenOver(asker({ waiting: { on: { GO: 'done' } } }));
    expect(await run.settled()).toBe('waiting');
  });
});

describe('a run whose call waits for one in another process', () => {
  let paying = 0;
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    inputSchema: z.object({}),
    execute: () => {
      paying += 1;
      return new Promise<never>(() => {});
    },
  });
  const look = tool({
    name: 'look',
    description: 'Looks',
    effect: 'read',
    inputSchema: z.object({}),
    execute: () => {
      paying += 1;
      return new Promise<never>(() => {});
    },
  });
  const desk = durable(
    setup({ actors: { pay: childRun(pay) } }).createMachine({
      initial: 'paying',
      states: { paying: { invoke: { src: 'pay', input: {}, onDone: 'paid' } }, paid: { type: 'final' } },
    }),
    { name: 'desk', version: '1' },
  );
  const office = durable(
    setup({ actors: { desk: childRun(desk) } }).createMachine({
      initial: 'asking',
      states: { asking: { invoke: { src: 'desk', onDone: 'done' } }, done: { type: 'final' } },
    }),
    { name: 'office', version: '1' },
  );

  const looking = durable(
    setup({ actors: { look: childRun(look) } }).createMachine({
      initial: 'looking',
      states: { looking: { invoke: { src: 'look', input: {}, onDone: 'seen' } }, seen: { type: 'final' } },
    }),
    { name: 'looking', version: '1' },
  );

  /** Recovered by one process each; those of what is `here` by the one that `p` is in. */
  async function apart(
    definition: typeof desk | typeof office | typeof looking,
    here: string[] = [],
    parkAfter = MINUTE,
  ) {
    paying = 0;
    const [clock, backend] = [new SimulatedClock(), new FaultyStore()];
    const options: TroupeOptions = {
      clock,
      backend,
      definitions: [desk, office, pay, looking, look],
      recover: false,
      parkAfter,
    };
    const first = await opened(options);
    await first.start(definition, undefined, { id: 'p' });
    await until(() => paying === 1, 'it pays');
    const runs = await first.runs();
    backend.crash();
    const troupe = await opened(options);
    for (const { run, definition: of } of runs.toReversed()) {
      const owner = run === 'p' || here.includes(of) ? troupe : await opened(options);
      await owner.recover(run);
    }
    await still();
    const seconds = async (count: number, until: () => boolean = () => false): Promise<void> => {
      for (let passed = 0; !until() && passed < count; passed += 1) {
        await still();
        clock.increment(1_000);
        await still();
      }
    };
    return { troupe, seconds, run: await troupe.attach('p') };
  }

  test.each([
    ['desk', desk],
    ['office', office],
  ] as const)('is in doubt where that is (%s)', async (_, definition) => {
    const { troupe, seconds, run } = await apart(definition);
    const executed = troupe.execute(definition, undefined, { id: 'p' }).then(
      () => 'done',
      (error: { code?: string }) => error.code,
    );
    let how: unknown;
    void Promise.all([run.settled(), executed]).then((both) => (how = both));
    await seconds(3, () => how !== undefined);
    expect(how).toEqual(['waiting', 'IN_DOUBT']);
    const [call] = await run.inDoubt();
    await run.resolve(call?.call ?? '', { output: 'paid' });
    expect((await run.result()).success).toBe(true);
  });

  test('is looked at also where what it has begun would soon rest', async () => {
    const { troupe, seconds, run } = await apart(office, ['desk'], 500);
    expect(troupe.counts).toEqual({ live: 2, parked: 0 });
    await seconds(5, () => troupe.counts.parked === 2);
    let how: unknown;
    void run.settled().then((settled) => (how = settled));
    await seconds(3, () => how !== undefined);
    expect(how).toBe('waiting');
  });

  test('waits for nobody while that works, and for somebody once that is paused', async () => {
    const { troupe, seconds, run } = await apart(looking);
    await until(() => paying === 2, 'it looks again');
    let how: string | undefined;
    void run.settled().then((settled) => (how = settled));
    await seconds(3);
    expect(how).toBeUndefined();
    const child = (await troupe.runs()).find(({ parent }) => parent?.run === 'p')?.run ?? '';
    await (await troupe.attach(child)).pause();
    await seconds(3, () => how !== undefined);
    expect(how).toBe('waiting');
  });
});
