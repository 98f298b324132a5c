import { assign, fromPromise, setup } from 'xstate';

export const STEPS = 10;

const step = fromPromise(async ({ input }: { input: number }) => ({ i: input, ok: true }));

const states = Object.fromEntries(
  Array.from({ length: STEPS }, (_, i) => [
    `s${i}`,
    {
      invoke: {
        src: 'step' as const,
        input: i,
        onDone: {
          target: `s${i + 1}`,
          actions: assign(({ context }: { context: { count: number } }) => ({ count: context.count + 1 })),
        },
      },
    },
  ]),
);

/** Ten promises one after another, each folded into the context. */
export const tenSteps = setup({ types: { context: {} as { count: number } }, actors: { step } }).createMachine({
  context: { count: 0 },
  initial: 's0',
  states: { ...states, [`s${STEPS}`]: { type: 'final' } },
});

/** Runs `one` for a while; µs per step. Bounded in time, warm-up included. */
export async function measure(one: (index: number) => Promise<void>, forMs: number): Promise<number> {
  let index = 0;
  const until = async (end: number): Promise<void> => {
    while (performance.now() < end) for (let i = 0; i < 20; i += 1) await one((index += 1));
  };
  await until(performance.now() + forMs / 2);
  globalThis.gc?.();
  const before = index;
  const start = performance.now();
  await until(start + forMs);
  return ((performance.now() - start) * 1000) / (index - before) / STEPS;
}
