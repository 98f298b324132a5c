import { enqueueActions, setup, type AnyActorLogic } from 'xstate';
import type { Exit, Failure } from '../src/protocol/exit.ts';
import type { OnFailure } from '../src/protocol/spec.ts';
import { endOf, failureOf, inDoubt, listener, onlyDoubts, type CallEvent } from './calls.ts';
import { at, put, type Vector } from './vector.ts';

export interface Fan {
  items: readonly unknown[];
  /** Index of the item begun next. */
  next: number;
  /** Calls that are not over, those in doubt among them. */
  running: number;
  inDoubt: number;
  /** What is known of the calls, by item. */
  calls: Vector<'inDoubt' | 'failed' | { output: unknown }>;
  error: Failure | undefined;
  /** What it comes to when it ends now. */
  exit: Exit<unknown[]>;
}

export interface FanOptions {
  id: string;
  /** The source of its calls: its name stands in their keys. */
  call: string;
  concurrency: number;
  /** When one fails nothing new begins and all fails, or its item is left out of the output, or is undefined there. */
  onFailure: OnFailure;
}

type FanEvent = CallEvent | { type: 'troupe.kill' };

const CALL = 'call-';
const indexOf = (actorId: string): number => Number(actorId.slice(CALL.length));

/** One call per item, at most `concurrency` at once; its output is the list of theirs, in the order of the items. A call in doubt gives its place up. */
export function eachMachine({ id, call, concurrency, onFailure }: FanOptions) {
  const room = ({ items, next, running, inDoubt, error }: Fan): boolean =>
    error === undefined && next < items.length && running - inDoubt < concurrency;
  return setup({
    types: {
      input: {} as readonly unknown[],
      context: {} as Fan,
      events: {} as FanEvent,
      output: {} as Exit<unknown[]>,
    },
    actors: {} as Record<string, AnyActorLogic>,
    actions: {
      call: enqueueActions(({ context, event, enqueue, self }) => {
        const fan = 'actorId' in event ? heard(context, event, onFailure) : { ...context };
        if ('actorId' in event && endOf(event) !== undefined) enqueue.stopChild(event.actorId);
        for (; room(fan); fan.next += 1, fan.running += 1)
          enqueue.spawnChild(call, { id: `${CALL}${fan.next}`, input: fan.items[fan.next] });
        enqueue.assign({ ...fan, exit: exitOf(fan, onFailure) ?? fan.exit });
        if (onlyDoubts(fan) && !onlyDoubts(context)) enqueue.sendTo(listener({ self }), inDoubt({ self }));
      }),
    },
  }).createMachine({
    id,
    context: ({ input: items }) => ({
      items,
      next: 0,
      running: 0,
      inDoubt: 0,
      calls: [],
      error: undefined,
      exit: { status: 'killed' },
    }),
    initial: 'calling',
    on: { 'troupe.kill': '.killed' },
    states: {
      calling: {
        meta: { waitsFor: 'its calls' },
        entry: 'call',
        always: { guard: ({ context }) => context.exit.status !== 'killed', target: 'ended' },
        on: {
          'xstate.done.actor.*': { actions: 'call' },
          'xstate.error.actor.*': { actions: 'call' },
          'troupe.inDoubt': { actions: 'call' },
        },
      },
      ended: { type: 'final' },
      killed: { type: 'final' },
    },
    output: ({ context }) => context.exit,
  });
}

function heard(fan: Fan, event: CallEvent, onFailure: OnFailure): Fan {
  const index = indexOf(event.actorId);
  const wasInDoubt = at(fan.calls, index) === 'inDoubt';
  const exit = endOf(event);
  if (exit === undefined)
    return { ...fan, inDoubt: fan.inDoubt + (wasInDoubt ? 0 : 1), calls: put(fan.calls, index, 'inDoubt') };
  const left = { ...fan, running: fan.running - 1, inDoubt: fan.inDoubt - (wasInDoubt ? 1 : 0) };
  if (exit.status === 'succeeded') return { ...left, calls: put(fan.calls, index, { output: exit.output }) };
  const error = onFailure === 'fail' ? (fan.error ?? failureOf(exit)) : undefined;
  return { ...left, calls: put(fan.calls, index, 'failed'), error };
}

/** Undefined while something may still happen. */
function exitOf({ items, next, running, calls, error }: Fan, onFailure: OnFailure): Exit<unknown[]> | undefined {
  if (running > 0 || (error === undefined && next < items.length)) return undefined;
  if (error !== undefined) return { status: 'failed', error };
  const outputs = items.flatMap((_, index) => {
    const call = at(calls, index);
    if (typeof call === 'object') return [call.output];
    return onFailure === 'skip' ? [] : [undefined];
  });
  return { status: 'succeeded', output: outputs };
}
