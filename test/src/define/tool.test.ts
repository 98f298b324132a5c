import { describe, expect, expectTypeOf, test } from 'vitest';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import { createTroupe, durable, plan, tool, toolActor, type Exit, type Tool } from '../../../src/index.ts';

const bare = { name: 'send', description: 'Sends', inputSchema: z.object({}), execute: () => 1 };

describe('what is not said', () => {
  test('is irreversible, half a minute, three tries and no limit of its own', () => {
    expect(tool(bare)).toMatchObject({
      effect: 'irreversible',
      timeoutMs: 30_000,
      retry: { attempts: 3, delayMs: 500, maxDelayMs: 30_000 },
      concurrency: undefined,
      phrases: [],
    });
  });

  test('of retry stays as it is where a part is said', () => {
    const retry = (options: object): unknown => tool({ ...bare, retry: options }).retry;
    expect(retry({ attempts: 1 })).toEqual({ attempts: 1, delayMs: 500, maxDelayMs: 30_000 });
    expect(retry({ delay: '2s', maxDelay: '1m' })).toEqual({ attempts: 3, delayMs: 2_000, maxDelayMs: 60_000 });
  });
});

test.each<[object, RegExp]>([
  [{ name: 'send mail' }, /tool name "send mail" is not an id/],
  [{ timeout: 'soon' }, /timeout of tool send "soon" is not a duration/],
  [{ retry: { attempts: 0 } }, /retry.attempts of tool send is 0; use a whole number from 1/],
  [{ retry: { attempts: 1.5 } }, /retry.attempts of tool send is 1.5/],
  [{ retry: { delay: '-1s' } }, /retry.delay of tool send "-1s" is not a duration/],
  [{ retry: { maxDelay: NaN } }, /retry.maxDelay of tool send NaN is not a duration/],
  [{ concurrency: 0 }, /concurrency of tool send is 0; use a whole number from 1/],
])('%j is refused', (wrong, message) => {
  expect(() => tool({ ...bare, ...wrong })).toThrow(
    expect.objectContaining({ code: 'VALIDATION', message: expect.stringMatching(message) as string }),
  );
});

test('what it cannot be is refused where it is defined', () => {
  const messageOf = (options: object): string => {
    try {
      tool({ ...bare, ...options });
      return 'taken';
    } catch (error) {
      expect(error).toMatchObject({ code: 'VALIDATION' });
      return (error as Error).message;
    }
  };
  expect(messageOf({ needsApproval: true, approvers: 'ana' })).toContain("as in approvers: ['ana', 'bo']");
  expect(messageOf({ needsApproval: true, approvers: [] })).toContain('approvers');
  expect(messageOf({ needsApproval: true, approvers: [''] })).toContain('name');
  expect(messageOf({ approvers: ['ana'] })).toContain('needsApproval: true');
  expect(messageOf({ needsApproval: false, approvalTimeout: '1h' })).toContain(
    "'approvalTimeout' and no needsApproval",
  );
  expect(messageOf({ needsApproval: 'yes' })).toContain('neither a boolean nor a function');
  expect(messageOf({ needsAproval: true })).toContain("no option 'needsAproval'; closest: needsApproval");
  expect(messageOf({ needsApproval: true, approvers: ['ana'], approvalTimeout: '1h' })).toBe('taken');
});

describe('types', () => {
  const dated = tool({
    name: 'age',
    description: 'How old somebody is',
    inputSchema: z.object({ born: z.string().transform((text) => new Date(text)), unit: z.string().default('years') }),
    outputSchema: z.string().transform(Number),
    effect: 'read',
    execute: ({ born, unit }) => {
      expectTypeOf(born).toEqualTypeOf<Date>();
      expectTypeOf(unit).toEqualTypeOf<string>();
      return `${2026 - born.getUTCFullYear()}`;
    },
  });

  test('a caller gives what the input schema takes and is given what the output schema makes', async () => {
    expectTypeOf(dated).toExtend<Tool<{ born: string; unit?: string | undefined }, number>>();
    const ages = plan({ name: 'ages' }).step('age', dated, { input: () => ({ born: '1984-05-06' }) });
    // @ts-expect-error: a Date is what execute gets, not what a caller gives
    plan({ name: 'wrong' }).step('age', dated, { input: () => ({ born: new Date() }) });
    // @ts-expect-error: it must be born
    plan({ name: 'wrong' }).step('age', dated, { input: () => ({ unit: 'years' }) });

    const troupe = await createTroupe();
    const age = await troupe.execute(dated, { born: '1984-05-06' });
    expectTypeOf(age).toEqualTypeOf<number>();
    expect(age).toBe(42);
    expect(await troupe.execute(ages, {})).toEqual({ age: 42 });
    await troupe.close();
  });

  test('execute gives what the output schema takes, and whatever it likes where there is none', () => {
    const shared = { name: 'age', description: 'd', inputSchema: z.object({ n: z.number() }) };
    // @ts-expect-error: the schema takes a text
    tool({ ...shared, outputSchema: z.string().transform(Number), execute: () => 42 });
    tool({ ...shared, execute: () => 42 }) satisfies Tool<{ n: number }, number>;
    // @ts-expect-error: it gives a number
    tool({ ...shared, execute: () => 42 }) satisfies Tool<{ n: number }, string>;
  });

  test('a machine gives what the tool takes, and has what it gives once the call has succeeded', async () => {
    const actors = { age: toolActor(dated), late: toolActor(dated, { timeoutMs: 1 }) };
    const machine = setup({
      types: { context: {} as { years: number }, output: {} as number },
      actors,
    }).createMachine({
      context: { years: 0 },
      initial: 'asking',
      states: {
        asking: {
          invoke: {
            src: 'age',
            input: { born: '1984-05-06' },
            onDone: {
              target: 'asked',
              actions: assign(({ event: { output } }) => {
                expectTypeOf(output).toEqualTypeOf<Exit<number>>();
                return { years: output.status === 'succeeded' ? output.output : -1 };
              }),
            },
          },
        },
        asked: { type: 'final' },
      },
      output: ({ context }) => context.years,
    });
    setup({ actors }).createMachine({
      // @ts-expect-error: it must be born
      invoke: { src: 'age', input: { unit: 'years' } },
    });
    const troupe = await createTroupe();
    expect(await troupe.execute(durable(machine, { name: 'asks', version: '1' }))).toBe(42);
    await troupe.close();
  });
});
