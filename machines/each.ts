import { assign, enqueueActions, setup, type AnyActorLogic, type DoneActorEvent, type ErrorActorEvent } from 'xstate';
import { failure, toFailure, type Exit, type Failure } from '../src/protocol/exit.ts';

export interface Fan {
  items: readonly unknown[];
  /** Index of the item begun next. */
  next: number;
  active: number;
  outputs: Readonly<Record<number, unknown>>;
  error: Failure | undefined;
  exit: Exit<unknown[]>;
}

const CALL = 'call-';
const indexOf = (actorId: string): number => Number(actorId.slice(CALL.length));

/**
 * One call of `tool` per item, at most `concurrency` at once; its output is the list of theirs, in the order of the items.
 * After a failure nothing new begins and what runs ends.
 */
export function eachMachine({ id, tool, concurrency }: { id: string; tool: string; concurrency: number }) {
  const room = ({ next, items, active, error }: Fan): boolean =>
    error === undefined && next < items.length && active < concurrency;
  return setup({
    types: {
      input: {} as readonly unknown[],
      context: {} as Fan,
      events: {} as DoneActorEvent<Exit> | ErrorActorEvent | { type: 'troupe.kill' },
      output: {} as Exit<unknown[]>,
    },
    // The source's name is the tool's id: it stands in the keys of the calls.
    actors: {} as Record<string, AnyActorLogic>,
  }).createMachine({
    id,
    context: ({ input }) => ({
      items: input,
      next: 0,
      active: 0,
      outputs: {},
      error: undefined,
      exit: { status: 'killed' },
    }),
    initial: 'calling',
    on: { 'troupe.kill': '.killed' },
    states: {
      calling: {
        meta: { waitsFor: 'its calls' },
        always: [
          {
            guard: ({ context }) => room(context),
            actions: enqueueActions(({ context, enqueue }) => {
              let { next, active } = context;
              for (; room({ ...context, next, active }); next += 1, active += 1)
                enqueue.spawnChild(tool, { id: `${CALL}${next}`, input: context.items[next] });
              enqueue.assign({ next, active });
            }),
          },
          { guard: ({ context }) => context.active === 0, target: 'ended' },
        ],
        on: {
          'xstate.done.actor.*': {
            actions: enqueueActions(({ context, event, enqueue }) => {
              const { actorId, output } = event as DoneActorEvent<Exit> & { actorId: string };
              enqueue.stopChild(actorId);
              enqueue.assign({
                active: context.active - 1,
                ...(output.status === 'succeeded'
                  ? { outputs: { ...context.outputs, [indexOf(actorId)]: output.output } }
                  : {}),
                ...(output.status === 'succeeded' ? {} : { error: context.error ?? failureOf(output) }),
              });
            }),
          },
          'xstate.error.actor.*': {
            actions: assign(({ context, event }) => ({
              active: context.active - 1,
              error: context.error ?? toFailure((event as ErrorActorEvent).error),
            })),
          },
        },
      },
      ended: { type: 'final', entry: assign({ exit: ({ context }) => exitOf(context) }) },
      killed: { type: 'final' },
    },
    output: ({ context }) => context.exit,
  });
}

const failureOf = (exit: Exclude<Exit, { status: 'succeeded' }>): Failure =>
  exit.status === 'failed' ? exit.error : failure('KillSwitchTriggeredError', 'KILLED', 'killed');

const exitOf = ({ items, outputs, error }: Fan): Exit<unknown[]> =>
  error === undefined
    ? { status: 'succeeded', output: items.map((_, index) => outputs[index]) }
    : { status: 'failed', error };
