import { emit, enqueueActions, fromCallback, fromTransition, log, sendTo, setup } from 'xstate';
import type { Reference } from '../world.ts';

/** Everything an action can do besides: enqueue, emit, log, an event to a `systemId`, a custom action in between. */
export const clerks: Reference = {
  name: 'enqueueActions, emit, log, systemId and a reducer',
  create: (world) =>
    setup({
      types: {
        context: {} as { n: number },
        events: {} as { type: 'GO' } | { type: 'TOLD'; total: number },
        emitted: {} as { type: 'counted'; n: number },
        output: {} as { n: number; total: number },
      },
      actors: {
        sum: fromTransition((total: number, event: { type: 'ADD'; n: number }) => total + event.n, 0),
        ear: fromCallback<{ type: 'TELL'; total: number }>(({ receive, sendBack }) => {
          world.begin('ear');
          receive(({ total }) => sendBack({ type: 'TOLD', total }));
        }),
      },
      actions: { note: (_, { what }: { what: string }) => world.act(what) },
      guards: { enough: ({ context }) => context.n >= 3 },
    }).createMachine({
      context: { n: 0 },
      invoke: [
        { src: 'sum', id: 'sum', systemId: 'sum' },
        { src: 'ear', id: 'ear', systemId: 'ear' },
      ],
      initial: 'counting',
      states: {
        counting: {
          on: {
            GO: {
              actions: enqueueActions(({ enqueue, check, context }) => {
                enqueue.assign({ n: context.n + 1 });
                enqueue({ type: 'note', params: { what: `counted to ${context.n + 1}` } });
                enqueue.sendTo(
                  ({ system }) => system.get('sum'),
                  ({ context: now }) => ({ type: 'ADD', n: now.n }),
                );
                enqueue.emit({ type: 'counted', n: context.n + 1 });
                if (check('enough')) enqueue.raise({ type: 'TOLD', total: -1 });
              }),
            },
            TOLD: { target: 'telling' },
          },
          always: { guard: 'enough', target: 'telling' },
        },
        telling: {
          entry: [
            emit({ type: 'counted', n: 0 }),
            log('telling', 'clerks'),
            sendTo('ear', ({ system }) => ({
              type: 'TELL',
              total: (system.get('sum')?.getSnapshot() as { context: number } | undefined)?.context ?? -1,
            })),
          ],
          on: { TOLD: { target: 'told' } },
          after: { 1000: { target: 'telling', reenter: true } },
        },
        told: { type: 'final' },
      },
      output: ({ context, self }) => ({
        n: context.n,
        total: (self.system.get('sum')?.getSnapshot() as { context: number } | undefined)?.context ?? -1,
      }),
    }),
  rules: [
    (stage) => {
      if (!stage.in('counting')) return false;
      stage.send({ type: 'GO' });
      return true;
    },
  ],
  end: { type: 'run.completed', output: { n: 3, total: 6 } },
  detour: 'it tells again what may not have been heard',
};
