import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMachine } from 'xstate';
import { z } from 'zod';
import { DefinitionChangedError, durable, plan, tool, ValidationError, type AnyDefinition } from '../../src/index.ts';
import { directory, openedWith } from '../support/opened.ts';

/** An asynchronous function where a plain one belongs, and it rejects: nobody waits for it, and it ends no process. */

const opened = openedWith();

const stray: unknown[] = [];
const hear = (error: unknown): void => void stray.push(error);
beforeEach(() => void process.on('unhandledRejection', hear));
afterEach(async () => {
  // Node tells of them once the turn in which they rejected is over.
  await turn();
  process.off('unhandledRejection', hear);
  expect(stray.splice(0)).toEqual([]);
});

const reject = async (): Promise<never> => {
  await turn();
  throw new Error('stray');
};
const rejecting = reject as never;
const thrower = (): never => {
  throw new Error('reported');
};

/** As a query of some libraries is: begun by whoever waits for it. */
// oxlint-disable-next-line unicorn/no-thenable
const later = { then: reject };

let began = 0;
const read = { description: 'd', inputSchema: z.unknown(), effect: 'read', retry: { attempts: 1 } } as const;
const counted = tool({ ...read, name: 'counted', execute: () => (began += 1) });
const stepped = (options: object): AnyDefinition =>
  plan({ name: 'p' }).step('a', counted, { input: () => 1, ...options } as never) as unknown as AnyDefinition;
const called = (execute: (context: { charge: (cost: never) => void }) => unknown): AnyDefinition =>
  tool({ ...read, name: 'called', execute: (_, context) => execute(context) });

describe('a promise that is given', () => {
  test.each<[string, () => AnyDefinition, string]>([
    ['by when', () => stepped({ when: rejecting }), 'Step a: when: it gives a promise'],
    ['by when, and is of no class of ours', () => stepped({ when: () => later }), 'when: it gives a promise'],
    ['by input', () => stepped({ input: rejecting }), 'Step a: input: it gives a promise'],
    ['by each', () => stepped({ each: rejecting, input: undefined }), 'Step a: each: it gives a promise'],
    ['for items', () => stepped({ each: () => [1, reject(), reject()], input: undefined }), 'each: it gives a promise'],
    ['for an item', () => stepped({ each: () => [1, 2], input: rejecting }), 'each: it gives a promise'],
    [
      'by output',
      () =>
        plan({ name: 'p' })
          .step('a', counted, { input: () => 1 })
          .output(rejecting) as unknown as AnyDefinition,
      'The output of plan p: it gives a promise',
    ],
    ['within what a tool gives', () => called(() => ({ a: [reject()], b: reject() })), 'output.a[0] is a Promise'],
    ['as a charge', () => called(({ charge }) => charge(reject() as never)), 'charge of body/attempt is not a cost'],
  ])('%s fails what it was for', async (_, definition, message) => {
    const troupe = await opened();
    const run = await troupe.start(definition(), undefined);
    expect((await run.result()).error).toMatchObject({ message: expect.stringContaining(message) as string });
    expect(await troupe.diff(run.id, definition())).toMatchObject({ equal: true });
  });

  test('by when is no yes', async () => {
    const [troupe, before] = [await opened(), began];
    const run = await troupe.start(stepped({ when: async () => false }), undefined as never);
    const { error } = await run.result();
    expect([error?.name, began]).toEqual(['ValidationError', before]);
  });

  test('by needsApproval is no plain no: somebody is asked', async () => {
    const troupe = await opened();
    const asking = tool({ ...read, name: 'asking', needsApproval: rejecting, execute: () => 1 });
    const run = await troupe.start(asking, 1);
    expect(await run.approvals()).toHaveLength(1);
  });

  test('within an event is refused', async () => {
    const troupe = await opened();
    const run = await troupe.start(durable(createMachine({}), { name: 'd', version: '1' }));
    const event = { type: 'GO', of: new Error('x', { cause: reject() }), by: reject() };
    await expect(run.send(event as never)).rejects.toBeInstanceOf(ValidationError);
  });

  test('by whoever is told of an error disturbs nobody', async () => {
    const troupe = await opened({ report: rejecting, inspect: thrower });
    const run = await troupe.start(durable(createMachine({}), { name: 'd', version: '1' }));
    expect(await run.kill()).toMatchObject({ status: 'killed' });
  });

  test('by a migration is a definition that does not fit', async () => {
    const backend = directory();
    const version = (name: string, rest: object) =>
      durable(createMachine({ initial: name, states: { [name]: {} } }), { name: 'm', version: name, ...rest });
    const first = version('one', {});
    const before = await opened({ backend, definitions: [first] });
    await before.start(first, undefined, { id: 'x' });
    await before.close();
    const reported: unknown[] = [];
    const second = version('two', { migrate: { from: first, to: rejecting } });
    await opened({ backend, definitions: [second], report: (error) => void reported.push(error) });
    expect(reported).toEqual([expect.any(DefinitionChangedError)]);
  });
});
