import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { runMachine, type RunEvent } from '../../machines/run.ts';
import type { Exhausted } from '../../src/protocol/entry.ts';
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

test('it is paused from its begin where it is started so, and ends with its body', () => {
  const paused = step(created(), { type: 'troupe.start', paused: true });
  expect(paused.value).toEqual({ active: 'paused' });
  expect(step(paused, { type: 'troupe.resume' }).value).toEqual({ active: 'running' });
  expect(step(paused, done(7)).value).toBe('completed');
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
  const [state, actions] = transition(machine, active(), { type: 'troupe.budgetExceeded', onExhausted: 'fail', error });
  expect([state.value, state.output]).toEqual(['failed', { status: 'failed', error }]);
  expect(actions).toMatchObject([{ type: 'xstate.stopChild' }]);
});

test('a budget that is spent while it is paused changes nothing, unless it fails it', () => {
  const paused = step(active(), { type: 'troupe.pause' });
  const exceeded = (onExhausted: 'fail' | 'pause' | 'handBack') =>
    step(paused, {
      type: 'troupe.budgetExceeded',
      onExhausted,
      error: { name: 'BudgetExceededError', message: 'spent' },
    }).value;
  expect([exceeded('pause'), exceeded('handBack'), exceeded('fail')]).toEqual([
    { active: 'paused' },
    { active: 'paused' },
    'failed',
  ]);
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
    const others = [
      kill,
      { type: 'troupe.start' },
      done(1),
      { type: 'troupe.budgetExceeded', onExhausted: 'fail', error: {} },
    ];
    expect(others.map((event) => step(killing, event).value)).toEqual(others.map(() => 'killing'));
  });

  test('nothing is killed that nobody asked for', () => {
    expect([step(active(), { type: 'troupe.killed' }).value, step(created(), done(1)).value]).toEqual([
      { active: 'running' },
      'created',
    ]);
  });
});

describe('a pause', () => {
  const [pause, resume] = [{ type: 'troupe.pause' }, { type: 'troupe.resume' }];
  const error = { name: 'BudgetExceededError', message: 'spent' };
  const exceeded = (onExhausted: Exhausted) => ({ type: 'troupe.budgetExceeded', onExhausted, error });

  test('holds until it is resumed, and the body goes on all the time', () => {
    const [paused, actions] = transition(machine, active(), pause as RunEvent);
    expect([paused.value, actions]).toEqual([{ active: 'paused' }, []]);
    expect(step(paused, resume).value).toEqual({ active: 'running' });
    expect(step(paused, done(1)).value).toBe('completed');
    expect(step(paused, kill).value).toBe('killing');
  });

  test('can be taken only by a run that goes on, ended only by one that is paused', () => {
    const paused = step(active(), pause);
    const can = [active(), paused, created(), step(active(), done(1))].map((state) => [
      state.can(pause as RunEvent),
      state.can(resume as RunEvent),
    ]);
    expect(can).toEqual([
      [true, false],
      [false, true],
      [false, false],
      [false, false],
    ]);
  });

  test('is what a spent budget comes to, or one last turn, as it was agreed', () => {
    expect(step(active(), exceeded('pause')).value).toEqual({ active: 'paused' });
    const [last, actions] = transition(machine, active(), exceeded('handBack') as RunEvent);
    expect(last.value).toEqual({ active: 'wrappingUp' });
    expect(actions).toMatchObject([{ type: 'xstate.sendTo', params: { event: { type: 'troupe.wrapUp', error } } }]);
    // There is no second one.
    expect(step(last, exceeded('handBack')).value).toBe('failed');
    expect(step(last, done(1)).value).toBe('completed');
  });
});

test('an end absorbs', () => {
  const ends = [step(active(), done(1)), step(step(active(), kill), { type: 'troupe.killed' })];
  for (const end of ends)
    for (const event of [kill, { type: 'troupe.start' }, { type: 'troupe.killed' }])
      expect(step(end, event).value).toBe(end.value);
});
