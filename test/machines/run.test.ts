import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { runMachine, type RunEvent } from '../../machines/run.ts';
import type { Exit } from '../../src/protocol/exit.ts';

const inputs: unknown[] = [];
const body = fromPromise<unknown, unknown>(({ input }) => Promise.resolve(input));
const machine = runMachine.provide({ actors: { body } });

type State = SnapshotFrom<typeof machine>;
const created = (exits = false): State => initialTransition(machine, { input: { sku: 'A1' }, exits })[0];
const step = (state: State, event: RunEvent | { type: string; output?: unknown; error?: unknown }): State =>
  transition(machine, state, event as RunEvent)[0];
const active = (exits = false): State => step(created(exits), { type: 'troupe.start' });
const done = (output: unknown) => ({ type: 'xstate.done.actor.body', output });
const kill: RunEvent = { type: 'troupe.kill', reason: 'wrong customer' };

test('its body begins with its input when it is started, not before', () => {
  const [state, none] = initialTransition(machine, { input: { sku: 'A1' }, exits: false });
  const [, actions] = transition(machine, state, { type: 'troupe.start' });
  expect([state.value, none]).toEqual(['created', []]);
  expect(actions).toMatchObject([{ type: 'xstate.spawnChild', params: { id: 'body', input: { sku: 'A1' } } }]);
  expect(inputs).toEqual([]);
});

describe('a body that ends', () => {
  test('with an output completes the run', () => {
    const state = step(active(), done(7));
    expect([state.value, state.output]).toEqual(['completed', { status: 'succeeded', output: 7 }]);
  });

  test('with an output that looks like an exit is taken at its word only if it gives exits', () => {
    const exit: Exit = { status: 'failed', error: { name: 'E', message: 'broke' } };
    const plain = step(active(false), done(exit));
    expect([plain.value, plain.output]).toEqual(['completed', { status: 'succeeded', output: exit }]);
    const exits = step(active(true), done(exit));
    expect([exits.value, exits.output]).toEqual(['failed', exit]);
  });

  test.each<[Exit, string]>([
    [{ status: 'succeeded', output: 1 }, 'completed'],
    [{ status: 'killed' }, 'failed'],
  ])('with the exit %j makes the run %s', (exit, end) => {
    const state = step(active(true), done(exit));
    expect([state.value, state.output]).toEqual([end, exit]);
  });

  test('with an error fails the run, whatever was thrown', () => {
    const state = step(active(), { type: 'xstate.error.actor.body', error: 'just text' });
    expect([state.value, state.output]).toEqual(['failed', { status: 'failed', error: 'just text' }]);
  });
});

test('a spent budget fails it and stops the body', () => {
  const error = { name: 'BudgetExceededError', message: 'spent' };
  const [state, actions] = transition(machine, active(), { type: 'troupe.budgetExceeded', error });
  expect([state.value, state.output]).toEqual(['failed', { status: 'failed', error }]);
  expect(actions).toMatchObject([{ type: 'xstate.stopChild' }]);
});

describe('a kill', () => {
  test('of a run that was never started', () => {
    expect(step(step(created(), kill), { type: 'troupe.killed' }).value).toBe('killed');
  });

  test('stops the body at once and waits until all has stopped', () => {
    const [state, actions] = transition(machine, active(), kill as RunEvent);
    expect([state.value, state.status]).toEqual(['killing', 'active']);
    expect(actions).toMatchObject([{ type: 'xstate.stopChild' }]);
    const killed = step(state, { type: 'troupe.killed' });
    expect([killed.value, killed.output]).toEqual(['killed', { status: 'killed' }]);
  });

  test('while it is being killed nothing else counts', () => {
    const killing = step(active(), kill);
    const others = [kill, { type: 'troupe.start' }, done(1), { type: 'troupe.budgetExceeded', error: {} }];
    expect(others.map((event) => step(killing, event).value)).toEqual(others.map(() => 'killing'));
  });

  test('nothing is killed that nobody asked for', () => {
    expect([step(active(), { type: 'troupe.killed' }).value, step(created(), done(1)).value]).toEqual([
      'active',
      'created',
    ]);
  });
});

test('an end absorbs', () => {
  const ends = [step(active(), done(1)), step(step(active(), kill), { type: 'troupe.killed' })];
  for (const end of ends)
    for (const event of [kill, { type: 'troupe.start' }, { type: 'troupe.killed' }])
      expect(step(end, event).value).toBe(end.value);
});
