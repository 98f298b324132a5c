import { assign, fromCallback, fromPromise, setup, type AnyActorRef } from 'xstate';
import { z } from 'zod';
import {
  durable,
  idempotencyKey,
  NetworkError,
  tool,
  toolActor,
  type RunHandle,
  type Troupe,
} from '../../src/index.ts';
import { quiet, type SimulatedClock } from './simulatedClock.ts';

/** A run with a bit of everything: a retry with jitter, an approval, an irreversible call, a timer, a stream, a child machine and a message. */

/** What its calls have told the outside, in order: the call and its idempotency key. */
export class Outside {
  readonly calls: { call: string; key: string }[] = [];

  keysOf(call: string): string[] {
    return this.calls.filter((one) => one.call === call).map(({ key }) => key);
  }
}

export interface ErrandOptions {
  version?: string;
  name?: string;
  /** In place of what it adds at the end. */
  bonus?: number;
  /** Another state in place of `cooling`. */
  resting?: boolean;
}

export function errand(
  outside: Outside,
  { version = '1', name = 'errand', bonus = 0, resting = false }: ErrandOptions = {},
) {
  const price = tool({
    name: 'price',
    description: 'Asks for a price',
    effect: 'read',
    inputSchema: z.object({ item: z.string() }),
    retry: { attempts: 3, delay: '4s' },
    execute: (_, { attempt, idempotencyKey: key }) => {
      outside.calls.push({ call: 'price', key });
      if (attempt === 1) throw new NetworkError('not just now');
      return { cents: 100 };
    },
  });
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    inputSchema: z.object({ cents: z.number() }),
    needsApproval: true,
    execute: ({ cents }, { idempotencyKey: key }) => {
      outside.calls.push({ call: 'pay', key });
      return { paid: cents };
    },
  });
  const machine = setup({
    types: {
      context: {} as { cents: number; paid: number; ticks: number; packed: boolean },
      events: {} as { type: 'TICK' } | { type: 'GO' },
      output: {} as { paid: number; ticks: number },
    },
    actors: {
      price: toolActor(price),
      pay: toolActor(pay),
      ship: fromPromise(async ({ self }) => {
        outside.calls.push({ call: 'ship', key: idempotencyKey(self as AnyActorRef) });
        await Promise.resolve();
      }),
      ticker: fromCallback(({ sendBack }) => {
        sendBack({ type: 'TICK' });
        sendBack({ type: 'TICK' });
      }),
      pack: setup({}).createMachine({
        initial: 'packing',
        states: { packing: { after: { 1_000: 'packed' } }, packed: { type: 'final' } },
      }),
    },
  }).createMachine({
    context: { cents: 0, paid: 0, ticks: 0, packed: false },
    initial: 'pricing',
    states: {
      pricing: {
        invoke: {
          src: 'price',
          input: { item: 'tea' },
          onDone: [
            {
              guard: ({ event }) => event.output.status === 'succeeded',
              target: 'paying',
              actions: assign({ cents: ({ event }) => valueOf<{ cents: number }>(event.output).cents }),
            },
            { target: 'refused' },
          ],
        },
      },
      paying: {
        invoke: {
          src: 'pay',
          input: ({ context }: { context: { cents: number } }) => ({ cents: context.cents }),
          onDone: {
            target: 'shipping',
            actions: assign({ paid: ({ event }) => valueOf<{ paid: number }>(event.output).paid }),
          },
        },
      },
      shipping: { invoke: { src: 'ship', onDone: resting ? 'resting' : 'cooling' } },
      cooling: { after: { 3_000: 'ticking' } },
      resting: { after: { 3_000: 'ticking' } },
      ticking: {
        invoke: { src: 'ticker' },
        on: { TICK: { actions: assign({ ticks: ({ context }) => Math.min(2, context.ticks + 1) }) } },
        always: { guard: ({ context }) => context.ticks === 2, target: 'packing' },
      },
      packing: { invoke: { src: 'pack', onDone: 'waiting' } },
      waiting: { on: { GO: 'done' } },
      refused: { type: 'final' },
      done: { type: 'final' },
    },
    output: ({ context }) => ({ paid: context.paid + bonus, ticks: context.ticks }),
  });
  return durable(machine, { name, version, effects: { ship: 'irreversible' } });
}

const valueOf = <T>(exit: unknown): T => (exit as { output: T }).output;

/** Does what people have to do for it, and lets time pass, until it has ended. */
export async function finish(
  troupe: Troupe,
  run: RunHandle<unknown, { type: string }>,
  clock: SimulatedClock,
): Promise<void> {
  let entries = 0;
  const end = run.on('*', () => (entries += 1));
  for (let step = 0; step < 100; step += 1) {
    await quiet(
      clock,
      () => false,
      () => entries,
    );
    if (!run.can('send')) break;
    const [approval] = await run.approvals();
    const [doubt] = await run.inDoubt();
    const { value } = (run.getSnapshot() ?? {}) as { value?: unknown };
    if (approval !== undefined) await run.approve(approval.call);
    else if (doubt !== undefined)
      await run.resolve(doubt.call, { output: doubt.call.includes('pay') ? { paid: 100 } : null });
    else if (value === 'waiting') await run.send({ type: 'GO' });
    else clock.increment(1_000);
  }
  end();
  if (run.can('send'))
    throw new Error(`Run ${run.id} does not end: ${JSON.stringify((await troupe.replay(run.id)).actors)}`);
}
