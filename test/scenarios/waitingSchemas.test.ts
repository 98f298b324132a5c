import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import { childRun, durable, plan, tool } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { openedWith } from '../support/opened.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';

/**
 * Schemas that have to wait, for a service say, which may be down: whoever asks hears of it, and nobody else. What rejects where nobody listens
 * would end the process.
 */

const opened = openedWith();

const unheard: unknown[] = [];
const note = (error: unknown): void => void unheard.push(error);
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(async () => {
  await still();
  process.off('unhandledRejection', note);
  expect(unheard.splice(0)).toEqual([]);
});

function service(answer: () => boolean | Promise<boolean>) {
  let asked = 0;
  const schema = z.object({ to: z.string().refine(async () => ((asked += 1), await answer())) });
  return { schema, asked: () => asked };
}
const down = () => service(() => Promise.reject(new Error('the service is down')));
const shared = { description: 'Sends', effect: 'irreversible', retry: { attempts: 1 } } as const;

describe('a schema that rejects', () => {
  test('fails the call that may need approval, and is asked once', async () => {
    const { schema, asked } = down();
    const send = tool({ ...shared, name: 'send', inputSchema: schema, needsApproval: true, execute: () => 1 });
    const run = await (await opened()).start(send, { to: 'ana' });
    expect((await run.result()).error).toMatchObject({ message: 'the service is down', notPerformed: true });
    expect(asked()).toBe(1);
  });

  test('does not stand in the way of an output that is given by hand', async () => {
    const { schema, asked } = down();
    const execute = () => Promise.reject<{ to: string }>(Object.assign(new Error('lost'), { code: 'ECONNRESET' }));
    const send = tool({ ...shared, name: 'send', inputSchema: z.unknown(), outputSchema: schema, execute });
    const run = await (await opened()).start(send, null);
    await expect.poll(() => run.inDoubt()).toHaveLength(1);
    await run.resolve('body', { output: { to: 'ana' } });
    expect((await run.result()).data).toEqual({ to: 'ana' });
    expect(asked()).toBeGreaterThan(0);
  });

  test('does not stand in the way of an output that replaces another in a fork', async () => {
    let isDown = false;
    const { schema } = service(async () => {
      if (isDown) throw new Error('the service is down');
      return true;
    });
    const execute = () => ({ to: 'ana' });
    const send = tool({ ...shared, name: 'send', inputSchema: z.unknown(), outputSchema: schema, execute });
    const troupe = await opened({ backend: new FaultyStore() });
    const run = await troupe.start(send, null, { id: 'x' });
    await run.result();
    isDown = true;
    const seq = (await entriesOf(run)).find(({ type }) => type === 'leaf.succeeded')?.seq ?? 0;
    const fork = await troupe.fork('x', { at: seq, replace: { [seq]: { output: { to: 'bo' } } } });
    expect((await fork.result()).data).toEqual({ to: 'bo' });
  });

  test('is refused by name where it is of a plan, at the door and as a step', async () => {
    const { schema } = down();
    const asks = plan({ name: 'asks', version: '1', inputSchema: schema }).step('one', () => 1);
    const troupe = await opened();
    const refused = {
      code: 'VALIDATION',
      message: expect.stringContaining('input schema of asks has to wait') as unknown,
    };
    await expect(troupe.start(asks, { to: 'ana' })).rejects.toMatchObject(refused);
    const outer = plan({ name: 'outer', version: '1' }).step('inner', asks, { input: () => ({ to: 'ana' }) });
    expect((await (await troupe.start(outer)).result()).error).toMatchObject(refused);
    const machine = setup({ actors: { asks: childRun(asks) } }).createMachine({
      initial: 'calling',
      states: {
        calling: { invoke: { src: 'asks', input: { to: 'ana' }, onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'above', version: '1' }));
    expect((await run.result()).error).toMatchObject(refused);
  });

  test('is not heard where a plan in words has a value for it: the call itself will say', async () => {
    const { schema, asked } = down();
    const send = tool({ ...shared, name: 'send', inputSchema: schema, execute: () => 1 });
    const words = plan.parse('name: p\nsteps:\n  x: { tool: send, input: { to: ana } }', {
      tools: [send],
      file: 'plan.yaml',
    });
    expect([words.spec.steps.length, asked()]).toEqual([1, 1]);
  });

  test('whose check throws at once is refused by name, too', async () => {
    const broken = z.object({}).refine(() => {
      throw new Error('no rates today');
    });
    const asks = plan({ name: 'asks', version: '1', inputSchema: broken }).step('one', () => 1);
    await expect((await opened()).start(asks, {})).rejects.toMatchObject({
      code: 'VALIDATION',
      message: expect.stringContaining('no rates today'),
    });
  });
});

describe('a call whose schema waits', () => {
  test('says which field it has refused, in the words of its schema', async () => {
    const inputSchema = z.object({ to: z.string().refine(async () => false, 'unknown to us'), n: z.number() });
    const send = tool({ ...shared, name: 'send', inputSchema, needsApproval: true, execute: () => 1 });
    const troupe = await opened();
    const messageOf = async (input: unknown) =>
      (await (await troupe.start(send, input as never)).result()).error?.message;
    expect(await messageOf({ to: 'ana', n: 1 })).toBe('Invalid input: to: unknown to us');
    expect(await messageOf({ to: 'ana', n: 'x' })).toContain('n: Invalid input: expected number, received string');
  });

  test('is asked again, with all its time, where the owner that asked is gone', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    let answered: ((yes: boolean) => void) | undefined;
    const { schema, asked } = service(() => new Promise((resolve) => (answered = resolve)));
    const send = tool({
      ...shared,
      name: 'send',
      timeout: '1s',
      inputSchema: schema,
      needsApproval: true,
      execute: () => 'sent',
    });
    const options = { backend: store, clock, definitions: [send] };
    const first = await opened(options);
    await first.start(send, { to: 'ana' }, { id: 'x' });
    await until(() => asked() === 1, 'the schema is asked');
    await first.close();
    clock.increment(5_000);
    const troupe = await opened(options);
    const run = await troupe.attach('x');
    await until(() => asked() === 2, 'the schema is asked again');
    clock.increment(900);
    answered?.(true);
    expect(await run.approvals()).toHaveLength(1);
    await run.approve('body');
    expect((await run.result()).data).toBe('sent');
    expect((await troupe.replay('x')).status).toBe('completed');
  });

  test('fails where it is not answered in the time that it has again', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { schema, asked } = service(() => new Promise(() => {}));
    const send = tool({
      ...shared,
      name: 'send',
      timeout: '1s',
      inputSchema: schema,
      needsApproval: true,
      execute: () => 1,
    });
    const options = { backend: store, clock, definitions: [send] };
    const first = await opened(options);
    await first.start(send, { to: 'ana' }, { id: 'x' });
    await until(() => asked() === 1, 'the schema is asked');
    await first.close();
    clock.increment(5_000);
    const troupe = await opened(options);
    const run = await troupe.attach('x');
    await until(() => asked() === 2, 'the schema is asked again');
    clock.increment(1_000);
    expect((await run.result()).error).toMatchObject({ code: 'TOOL_TIMEOUT', notPerformed: true });
    expect((await troupe.replay('x')).status).toBe('failed');
  });
});
