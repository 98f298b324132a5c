import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { charge, childRun, durable, type BudgetOptions, type RunHandle, type WrapUp } from '../../src/index.ts';
import { accountOf, mustStayWithin } from '../support/accounts.ts';
import { entriesOf } from '../support/entries.ts';
import { openedWith } from '../support/opened.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

/** A run that is to hand back what it has, and whose budget is spent by a run that it has begun. */

/** Spends 30 tokens a turn, once it is told to, without end. */
const digger = durable(
  setup({
    types: { events: {} as { type: 'GO' } },
    actors: { dig: fromPromise(async () => 1) },
  }).createMachine({
    initial: 'waiting',
    states: {
      waiting: { on: { GO: 'digging' } },
      digging: { invoke: { src: 'dig', onDone: { target: 'digging', reenter: true } } },
    },
  }),
  { name: 'digger', version: '1', costs: { dig: { tokens: 30 } } },
);

const bossOf = (budget?: BudgetOptions) =>
  durable(
    setup({
      types: { context: {} as { end: string }, events: {} as WrapUp, output: {} as string },
      actors: {
        work: childRun(digger, budget === undefined ? {} : { budget }),
        answer: fromPromise<string>(async ({ self }) => {
          charge(self, { tokens: 15 });
          return 'what there is';
        }),
      },
    }).createMachine({
      context: { end: 'failed' },
      initial: 'working',
      states: {
        working: { invoke: { src: 'work', onError: 'failed' }, on: { 'troupe.wrapUp': 'answering' } },
        answering: { invoke: { src: 'answer', onDone: { target: 'answered', actions: assign({ end: 'answered' }) } } },
        answered: { type: 'final' },
        failed: { type: 'final' },
      },
      output: ({ context }) => context.end,
    }),
    { name: 'boss', version: '1' },
  );

const opened = openedWith();
const HAND_BACK = { tokens: 100, onExhausted: 'handBack', reserve: { tokens: 20 } } as const;

async function stage({
  own,
  budget = HAND_BACK,
  parks,
}: {
  own?: BudgetOptions;
  budget?: BudgetOptions;
  parks?: true;
}) {
  const clock = new SimulatedClock();
  const troupe = await opened({ clock, parkAfter: parks === undefined ? false : '1m' });
  const run = await troupe.start(bossOf(own), undefined, { budget });
  let child: RunHandle | undefined;
  const look = async (): Promise<void> => {
    const found = (await troupe.runs()).find(({ definition }) => definition === 'digger');
    if (found !== undefined) child ??= (await troupe.attach(found.run)) as RunHandle;
  };
  await until(() => {
    void look();
    return child !== undefined;
  }, 'the child is there');
  if (parks) {
    await turn();
    clock.increment(60_000);
    await until(() => troupe.counts.parked === 2, 'both rest');
  }
  await child?.send({ type: 'GO' });
  return { troupe, run };
}

describe('a child that has spent all that was left', () => {
  test.each([{}, { parks: true }] as const)('lets its parent hand back: %j', async (options) => {
    const { troupe, run } = await stage(options);
    const { success, data, metadata } = await run.result();
    expect([success, data, metadata.partial]).toEqual([true, 'answered', true]);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    // Two turns of the child, and the answer: what was held back for more has come back.
    expect(accountOf(entries)).toMatchObject({ spent: { tokens: 75 }, reserved: { tokens: 0 } });
    expect(entries.find(({ type }) => type === 'budget.exceeded')?.event).toEqual({
      resource: 'tokens',
      spent: 60,
      limit: 80,
      onExhausted: 'handBack',
    });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, status: 'completed' });
  });

  test.each<[string, { own?: BudgetOptions; budget?: BudgetOptions }]>([
    ['it had a smaller budget of its own', { own: { tokens: 40 } }],
    ['its parent is to fail', { budget: { tokens: 100 } }],
    [
      'its parent is to be paused: a run that has failed does not go on',
      { budget: { tokens: 100, onExhausted: 'pause' } },
    ],
  ])('fails the call where %s', async (_, options) => {
    const { run } = await stage(options);
    expect((await run.result()).data).toBe('failed');
    expect((await entriesOf(run)).some(({ type }) => type === 'budget.exceeded')).toBe(false);
  });
});
