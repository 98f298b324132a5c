import { describe, expect, test } from 'vitest';
import { assign, sendParent, setup } from 'xstate';
import { z } from 'zod';
import { DefinitionChangedError, durable, plan, tool, ValidationError } from '../../src/index.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** What callers hand in that no honest caller would. */

const opened = openedWith();

const counting = durable(
  setup({ types: { context: {} as { n: number }, events: {} as { type: 'INC' } } }).createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  }),
  { name: 'counting', version: '1' },
);

describe('start', () => {
  test('with a signal that is aborted already begins nothing', async () => {
    const [troupe, working] = [await opened(), new Working()];
    const signal = AbortSignal.abort();
    await expect(troupe.start(working.definition(), undefined, { signal })).rejects.toBe(signal.reason);
    expect(await troupe.runs()).toEqual([]);
    expect(working.begun).toBe(0);
  });

  test('and kill at once: an irreversible call does not begin', async () => {
    const [troupe, working] = [await opened(), new Working()];
    const run = await troupe.start(working.definition('irreversible'));
    expect(await run.kill()).toMatchObject({ status: 'killed' });
    expect(working.begun).toBe(0);
  });

  test('of another text under the name and the id of a run is refused', async () => {
    const [troupe, tools] = [await opened(), [step('first'), step('second')]];
    await troupe.execute(plan.parse('a. do first', { tools }), {}, { id: 'x' });
    await expect(troupe.start(plan.parse('a. do second', { tools }), {}, { id: 'x' })).rejects.toBeInstanceOf(
      DefinitionChangedError,
    );
    expect(await troupe.execute(plan.parse('a. do first', { tools }), {}, { id: 'x' })).toEqual({ a: 'first' });
  });
});

describe('replay', () => {
  test('of a parsed plan finds the tools of its definition beside those of the troupe', async () => {
    const parsed = plan.parse('a. do first', { tools: [step('first')] });
    const troupe = await opened({ tools: [step('second')], definitions: [parsed] });
    await troupe.execute(parsed, {}, { id: 'x' });
    expect(await troupe.replay('x')).toMatchObject({ equal: true, summary: { output: { a: 'first' } } });
  });
});

describe('send', () => {
  const malformed = [{}, { type: 5 }, 'X', [], null, undefined, { type: '*' }, { type: '' }];
  test.each(malformed.map((event) => [event]))('of %j is refused, and the run lives', async (event) => {
    const troupe = await opened();
    const run = await troupe.start(counting);
    await expect(run.send(event as never)).rejects.toBeInstanceOf(ValidationError);
    await run.send({ type: 'INC' });
    expect(run.getSnapshot()?.context).toEqual({ n: 1 });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, status: 'running', entries: 3 });
  });

  test('by a body to its parent is not a command to the run', async () => {
    const troupe = await opened();
    const machine = setup({}).createMachine({
      entry: sendParent({ type: 'troupe.kill' }),
      initial: 'waiting',
      states: { waiting: { on: { GO: 'done' } }, done: { type: 'final' } },
    });
    const run = await troupe.start(durable(machine, { name: 'selfless', version: '1' }));
    expect(run.status).toBe('running');
    await run.send({ type: 'GO' });
    expect((await run.result()).success).toBe(true);
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, status: 'completed' });
  });
});

describe('what throws where nobody listens', () => {
  test('an observer, an inspector and a report disturb nobody', async () => {
    const thrower = (): never => {
      throw new Error('thrown');
    };
    const troupe = await opened({ report: thrower, inspect: thrower });
    const run = await troupe.start(counting);
    run.on('*', thrower);
    run.subscribe(thrower);
    await run.send({ type: 'INC' });
    await run.send({ type: 'INC' });
    expect(run.getSnapshot()?.context).toEqual({ n: 2 });
    expect(await run.kill()).toMatchObject({ status: 'killed' });
  });
});

function step(name: string) {
  return tool({
    name,
    description: name,
    phrases: [`do ${name}`],
    effect: 'read',
    inputSchema: z.object({}),
    execute: () => name,
  });
}
