import { assign, fromPromise, setup, type AnyEventObject } from 'xstate';
import { z } from 'zod';
import { tool, toolActor } from '../src/index.ts';

/** What is run: the same machines beside Troupe and in it. */

export const STEPS = 10;

interface Counting {
  context: { count: number };
  event: AnyEventObject;
}

/** Ten calls one after another, each folded into the context. */
const ten = (input: (i: number) => unknown, succeeded: (output: unknown) => boolean) => ({
  context: { count: 0 },
  initial: 's0',
  states: {
    ...Object.fromEntries(
      Array.from({ length: STEPS }, (_, i) => [
        `s${i}`,
        {
          invoke: {
            src: 'step' as const,
            input: input(i) as never,
            onDone: {
              target: `s${i + 1}`,
              actions: assign(({ context, event }: Counting) => ({
                count: context.count + Number(succeeded(event.output)),
              })),
            },
          },
        },
      ]),
    ),
    [`s${STEPS}`]: { type: 'final' as const },
  },
  output: ({ context }: { context: { count: number } }) => context.count,
});

const types = {} as { context: { count: number }; output: number };

export const step = async (i: number): Promise<{ i: number; ok: true }> => ({ i, ok: true });
const call = fromPromise(async ({ input }: { input: number }) => step(input));

export const tenSteps = setup({ types, actors: { step: call } }).createMachine(
  ten(
    (i) => i,
    (output) => (output as { ok: boolean }).ok,
  ),
);

/** With a schema for its input, as every tool has. */
export const stepTool = tool({
  name: 'step',
  description: 'One step',
  inputSchema: z.object({ i: z.number() }),
  effect: 'idempotent',
  execute: ({ i }) => step(i),
});

/** Each call through the chart of a tool. */
export const tenTools = setup({ types, actors: { step: toolActor(stepTool) } }).createMachine(
  ten(
    (i) => ({ i }),
    (output) => (output as { status: string }).status === 'succeeded',
  ),
);

let begun = 0;
/** How often a call of `manySteps` has begun in this process. */
export const callsBegun = (): number => begun;

/** As many calls as its input says, one after another. */
export const manySteps = setup({
  types: { input: {} as number, context: {} as { count: number; calls: number }, output: {} as number },
  actors: {
    step: fromPromise(async ({ input }: { input: number }) => {
      begun += 1;
      return step(input);
    }),
  },
  guards: { last: ({ context }) => context.count + 1 === context.calls },
  actions: { count: assign({ count: ({ context }) => context.count + 1 }) },
}).createMachine({
  context: ({ input }) => ({ count: 0, calls: input }),
  initial: 'calling',
  states: {
    calling: {
      invoke: {
        src: 'step',
        input: ({ context }) => context.count,
        onDone: [
          { guard: 'last', target: 'done', actions: 'count' },
          { target: 'calling', reenter: true, actions: 'count' },
        ],
      },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.count,
});

const WAITS = ['idle', 'planning', 'acting', 'waiting'] as const;

/** It does nothing until somebody sends it something. */
export const idle = setup({
  types: { context: {} as { last: string | null; count: number }, events: {} as { type: 'NEXT' } | { type: 'FAIL' } },
}).createMachine({
  context: () => ({ last: null, count: 0 }),
  initial: 'idle',
  states: {
    ...Object.fromEntries(WAITS.map((name, i) => [name, { on: { NEXT: WAITS[i + 1] ?? 'done', FAIL: 'failed' } }])),
    done: { type: 'final' },
    failed: { type: 'final' },
  },
});
