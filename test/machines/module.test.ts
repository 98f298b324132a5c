import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { moduleMachine, type ModuleEvent } from '../../machines/module.ts';

const machine = moduleMachine.provide({
  actors: {
    connect: fromPromise<unknown>(() => Promise.resolve()),
    disconnect: fromPromise<unknown>(() => Promise.resolve()),
  },
});
type State = SnapshotFrom<typeof machine>;
type Said = ModuleEvent | { type: string; error?: unknown };

const wanted: string[] = [];
const step = (state: State, ...events: readonly (Said | ModuleEvent['type'])[]): State => {
  let next = state;
  for (const event of events) {
    const [now, actions] = transition(
      machine,
      next,
      (typeof event === 'string' ? { type: event } : event) as ModuleEvent,
    );
    for (const { type, params } of actions as readonly { type: string; params: unknown }[])
      if (type === 'xstate.spawnChild') wanted.push((params as { src: string }).src);
    next = now;
  }
  return next;
};
/** What was begun on the way. */
const begins = (run: () => void): string[] => {
  wanted.length = 0;
  run();
  return [...wanted];
};

const connected = { type: 'xstate.done.actor.0.module.starting' };
const refused = { type: 'xstate.error.actor.0.module.starting', error: { name: 'E', message: 'no route' } };
const disconnected = { type: 'xstate.done.actor.0.module.stopping' };
const undone = { type: 'xstate.error.actor.0.module.stopping', error: { name: 'E', message: 'stuck' } };

const starting = (concurrency = 2): State => initialTransition(machine, { concurrency })[0];
const ready = (concurrency = 2): State => step(starting(concurrency), connected);

describe('starting', () => {
  test('connects, and takes no call before it has', () => {
    const [state, actions] = initialTransition(machine, { concurrency: 2 });
    expect(actions.at(-1)).toMatchObject({ type: 'xstate.spawnChild', params: { src: 'connect' } });
    expect([state.value, state.can({ type: 'module.admit' })]).toEqual(['starting', false]);
    expect(ready().value).toBe('ready');
  });

  test('that fails keeps the reason', () => {
    const state = step(starting(), refused);
    expect([state.value, state.status, state.context.error]).toEqual(['failed', 'done', refused.error]);
  });

  test('that is drained or killed ends', () => {
    expect(step(starting(), 'module.drain', disconnected).value).toBe('stopped');
    expect(step(starting(), 'troupe.kill').value).toBe('stopped');
  });
});

describe('room', () => {
  test('there is as much as its concurrency, and what is released is room again', () => {
    const full = step(ready(), 'module.admit', 'module.admit');
    expect([full.context.active, full.can({ type: 'module.admit' })]).toEqual([2, false]);
    expect(step(full, 'module.admit').context.active).toBe(2);
    const one = step(full, 'module.release');
    expect([one.context.active, one.can({ type: 'module.admit' })]).toEqual([1, true]);
  });

  test('a release too many makes no room', () => {
    expect(step(ready(), 'module.release').context.active).toBe(0);
  });
});

describe('draining', () => {
  const busy = (): State => step(ready(), 'module.admit', 'module.admit', 'module.drain');

  test('waits for the calls under way and takes no other', () => {
    expect([busy().value, busy().can({ type: 'module.admit' })]).toEqual(['draining', false]);
    expect(begins(() => step(busy(), 'module.release'))).toEqual([]);
    expect(step(busy(), 'module.release').value).toBe('draining');
    expect(begins(() => step(busy(), 'module.release', 'module.release'))).toEqual(['disconnect']);
    expect(step(busy(), 'module.release', 'module.release', disconnected).value).toBe('stopped');
  });

  test('with nothing under way it disconnects at once', () => {
    expect(begins(() => step(ready(), 'module.drain'))).toEqual(['connect', 'disconnect'].slice(1));
    expect(step(ready(), 'module.drain').value).toBe('stopping');
  });

  test('a disconnect that fails is an end too', () => {
    expect(step(ready(), 'module.drain', undone).value).toBe('stopped');
  });
});

describe('a kill', () => {
  test.each<[string, State, string]>([
    ['ready', step(ready(), 'module.admit'), 'stopping'],
    ['draining', step(ready(), 'module.admit', 'module.drain'), 'stopping'],
    ['stopping', step(ready(), 'module.drain'), 'stopped'],
  ])('does not wait for calls: %s', (from, state, to) => {
    expect([state.value, step(state, 'troupe.kill').value]).toEqual([from, to]);
  });
});
