import { createTroupe, durable, RateLimitError, tool, type Troupe } from 'troupe';
import { hang, script } from 'troupe/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { until } from '../../support/simulatedClock.ts';

let troupe: Troupe;
beforeEach(async () => {
  troupe = await createTroupe();
});
afterEach(() => troupe.close());

const city = z.object({ city: z.string() });
const asked = (execute: ReturnType<typeof script<string, { city: string }>>) =>
  tool({
    name: 'weather',
    description: 'Looks at the weather.',
    inputSchema: city,
    effect: 'read',
    retry: { delay: 1 },
    execute,
  });

describe('as the execute of a tool', () => {
  test('answers in order: an error, then by a function; and records what it was asked', async () => {
    const weather = script<string, { city: string }>([
      new RateLimitError('not now', { retryAfterMs: 1 }),
      ({ city }) => `sun in ${city}`,
    ]);
    const run = await troupe.start(asked(weather), { city: 'Lille' });
    expect((await run.result()).data).toBe('sun in Lille');
    expect(weather.calls.map(({ input }) => input)).toEqual([{ city: 'Lille' }, { city: 'Lille' }]);
    expect(weather.left).toBe(0);
  });

  test('says that it has run out, and is not called again for it', async () => {
    const weather = script<string, { city: string }>([]);
    const run = await troupe.start(asked(weather), { city: 'Lille' });
    const { error } = await run.result();
    expect(error).toMatchObject({ name: 'ValidationError' });
    expect(error?.message).toContain('This script has 0 answers and was asked for another');
  });

  test('hangs until it is aborted', async () => {
    const weather = script<string, { city: string }>([hang]);
    const run = await troupe.start(asked(weather), { city: 'Lille' });
    await until(() => weather.calls.length === 1, 'the call has begun');
    const [call] = weather.calls;
    expect(call?.context.signal.aborted).toBe(false);
    await troupe.kill(run.id, 'enough');
    expect(call?.context.signal.aborted).toBe(true);
  });
});

describe('as the creator of a promise source', () => {
  const adder = (add: ReturnType<typeof script<number, number>>) =>
    setup({
      types: { context: {} as { sum: number }, output: {} as number },
      actors: { add: fromPromise<number, number>(add) },
    }).createMachine({
      context: { sum: 0 },
      initial: 'adding',
      states: {
        adding: {
          invoke: {
            src: 'add',
            input: ({ context }) => context.sum,
            onDone: {
              target: 'looking',
              actions: assign({ sum: ({ context, event }) => context.sum + event.output }),
            },
            onError: 'done',
          },
        },
        looking: { always: [{ guard: ({ context }) => context.sum < 5, target: 'adding' }, { target: 'done' }] },
        done: { type: 'final' },
      },
      output: ({ context }) => context.sum,
    });

  test('answers each invocation with the next, and records the inputs', async () => {
    const add = script<number, number>([2, (sum) => Promise.resolve(sum + 1)]);
    const run = await troupe.start(durable(adder(add), { name: 'adder', version: '1' }));
    expect((await run.result()).data).toBe(5);
    expect(add.calls.map(({ input }) => input)).toEqual([0, 2]);
  });

  test('rejects with the error it is given', async () => {
    const add = script<number, number>([4, new Error('no more')]);
    const run = await troupe.start(durable(adder(add), { name: 'adder', version: '1' }));
    expect((await run.result()).data).toBe(4);
    expect(add.left).toBe(0);
  });
});

test('undefined is an answer, too', async () => {
  const nothing = script<undefined>([undefined]);
  const { signal } = new AbortController();
  expect(await nothing('x', { signal })).toBeUndefined();
  await expect(nothing('y', { signal })).rejects.toThrow('asked for another');
  expect(nothing.calls).toEqual([{ input: 'x', context: { signal } }]);
});

test('a hanging call whose signal is aborted already fails at once', async () => {
  await expect(script([hang])('x', { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
});
