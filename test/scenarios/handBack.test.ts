import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { charge, durable, tool, toolActor, type Entry, type WrapUp } from '../../src/index.ts';
import { accountOf, mustStayWithin } from '../support/accounts.ts';
import { entriesOf } from '../support/entries.ts';
import { bare, Calls, fanOut } from '../support/spending.ts';
import { openedWith } from '../support/opened.ts';

/** A run whose budget is spent hands back what it has. */

const opened = openedWith();

/** What came of the run, each time that its budget was spent. */
const exceededIn = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ type, event }) => (type === 'budget.exceeded' ? [event.onExhausted] : []));

describe('handBack', () => {
  const search = tool({ ...bare, name: 'search', cost: { tokens: 10 }, execute: () => 'found' });
  const machine = setup({
    types: {
      context: {} as { found: number; refused: string | null },
      events: {} as WrapUp,
      output: {} as { found: number; refused: string | null; answer: string },
    },
    actors: {
      search: toolActor(search),
      answer: fromPromise<string, number>(async ({ input, self }) => {
        charge(self, { tokens: 15 });
        return `of ${input}`;
      }),
    },
  }).createMachine({
    context: { found: 0, refused: null },
    initial: 'searching',
    states: {
      searching: {
        invoke: {
          src: 'search',
          input: {},
          onDone: {
            target: 'searching',
            reenter: true,
            actions: assign({ found: ({ context }) => context.found + 1 }),
          },
        },
        on: { 'troupe.wrapUp': 'tryingOnce' },
      },
      tryingOnce: {
        invoke: {
          src: 'search',
          input: {},
          onDone: {
            target: 'answering',
            actions: assign({
              refused: ({ event }) => (event.output.status === 'failed' ? String(event.output.error.code) : null),
            }),
          },
        },
      },
      answering: {
        invoke: {
          src: 'answer',
          input: ({ context }) => context.found,
          onDone: { target: 'done', actions: ({ event }) => void event },
        },
      },
      done: { type: 'final' },
    },
    output: ({ context, event }) => ({
      ...context,
      answer: 'output' in event ? String(event.output) : '',
    }),
  });
  const researcher = durable(machine, { name: 'researcher', version: '1', costs: { answer: { tokens: 20 } } });

  test('gives the body one last turn, without tools, from what was kept back', async () => {
    const troupe = await opened();
    const run = await troupe.start(researcher, undefined, {
      budget: { tokens: 55, onExhausted: 'handBack', reserve: { tokens: 20 } },
    });
    const result = await run.result();
    expect(result.error).toBeUndefined();
    expect(result.data).toMatchObject({ found: 3, refused: 'NOT_ALLOWED' });
    expect(result.metadata.partial).toBe(true);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountOf(entries).spent).toMatchObject({ tokens: 45, toolCalls: 3 });
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'completed' });
  });

  test('fails when what was kept back is not enough', async () => {
    const troupe = await opened();
    const run = await troupe.start(researcher, undefined, {
      budget: { tokens: 39, onExhausted: 'handBack', reserve: { tokens: 19 } },
    });
    const { error, metadata } = await run.result();
    expect([error?.code, metadata.partial]).toEqual(['BUDGET_EXCEEDED', false]);
    expect(exceededIn(await entriesOf(run))).toEqual(['handBack', 'fail']);
  });

  test('fails at once a body that does not know of a last turn', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const budget = { tokens: 100, onExhausted: 'handBack', reserve: { tokens: 50 } } as const;
    const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
    expect(await run.result()).toMatchObject({ error: { code: 'BUDGET_EXCEEDED', data: { limit: 50 } } });
    expect(calls.begun).toBe(5);
  });

  test('is the last one: its fork fails where its budget is spent, also one that is to pause', async () => {
    const troupe = await opened();
    const run = await troupe.start(researcher, undefined, {
      budget: { tokens: 55, onExhausted: 'handBack', reserve: { tokens: 20 } },
    });
    await run.result();
    const at = (await entriesOf(run)).find(({ type }) => type === 'budget.exceeded')?.seq ?? 0;
    const fork = await troupe.fork(run.id, { at, budget: { tokens: 40, onExhausted: 'pause' } });
    expect((await fork.result()).error?.code).toBe('BUDGET_EXCEEDED');
    expect(exceededIn(await entriesOf(fork))).toEqual(['handBack', 'fail']);
    expect(await troupe.replay(fork.id)).toMatchObject({ equal: true });
  });
});
