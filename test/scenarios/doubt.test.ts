import { describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import { durable, module, plan, tool, toolActor, ValidationError, type Effect } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** Calls of which nobody knows whether they happened: which are, which are not, and who says so. */

const opened = openedWith();

const bare = { name: 'pay', description: 'Pays', effect: 'irreversible', inputSchema: z.object({}) } as const;

/** A run of a plain source that was begun as irreversible by a troupe that is gone. */
async function interrupted(effect: Effect = 'irreversible') {
  const [store, working] = [new FaultyStore(), new Working()];
  const first = await opened({ backend: store });
  await first.start(working.definition('irreversible'), undefined, { id: 'x' });
  await until(() => working.begun === 1, 'the call has begun');
  await first.close();
  const troupe = await opened({ backend: store, definitions: [working.definition(effect, '2')] });
  return { troupe, working };
}

describe('a call recorded as irreversible', () => {
  test('stays in doubt though its definition now says idempotent: a plain source', async () => {
    const { troupe, working } = await interrupted('idempotent');
    expect(await (await troupe.attach('x')).inDoubt()).toMatchObject([{ call: 'body/work' }]);
    expect(working.begun).toBe(1);
  });

  test('stays in doubt though its definition now says idempotent: a tool', async () => {
    let begun = 0;
    const pay = (effect: Effect) =>
      tool({
        ...bare,
        effect,
        execute: () => {
          begun += 1;
          return new Promise<never>(() => {});
        },
      });
    const store = new FaultyStore();
    const first = await opened({ backend: store });
    await first.start(pay('irreversible'), {}, { id: 'x' });
    await until(() => begun === 1, 'the call has begun');
    await first.close();
    const troupe = await opened({ backend: store, definitions: [pay('idempotent')] });
    expect(await (await troupe.attach('x')).inDoubt()).toMatchObject([{ call: 'body' }]);
    expect(begun).toBe(1);
  });
});

describe('a module that does not start', () => {
  test.each([new Error('no'), undefined, null, 'no', Symbol('no'), Object.create(null) as object])(
    'leaves nothing in doubt, whatever it throws (%#)',
    async (thrown: unknown) => {
      let executed = 0;
      const troupe = await opened();
      const start = (): never => {
        throw thrown;
      };
      const pay = tool({ ...bare, retry: { attempts: 1 }, execute: () => (executed += 1) });
      const paying = plan({ name: 'paying', tools: [module({ name: 'bank', tools: [pay], start })] }).step('a', pay, {
        input: () => ({}),
      });
      const run = await troupe.start(paying, {});
      expect(await run.settled()).toBe('ended');
      expect(await run.result()).toMatchObject({ success: false, error: { code: 'NETWORK' } });
      expect((await troupe.replay(run.id)).inDoubt).toEqual([]);
      expect((await run.kill()).inDoubt).toEqual([]);
      expect(executed).toBe(0);
    },
  );
});

describe('resolve', () => {
  async function doubtful() {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    let begun = false;
    const execute = (): Promise<never> => {
      begun = true;
      return new Promise(() => {});
    };
    const run = await troupe.start(tool({ ...bare, timeout: '1s', execute }), {});
    await until(() => begun, 'the call has begun');
    clock.increment(1_000);
    await run.settled();
    expect(await run.inDoubt()).toMatchObject([{ call: 'body' }]);
    return { troupe, run };
  }

  test('twice at once: the first decides', async () => {
    const { troupe, run } = await doubtful();
    const both = await Promise.allSettled([
      run.resolve('body', { output: 'done' }),
      run.resolve('body', { error: new Error('not done') }),
    ]);
    expect(both).toMatchObject([{ status: 'fulfilled' }, { reason: expect.any(ValidationError) as unknown }]);
    expect(await run.result()).toMatchObject({ success: true, data: 'done' });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true });
  });

  test.each([[{ retry: false }], [null], ['x'], [{}], [{ output: 1, retry: true }]])(
    'with %j is refused',
    async (decision) => {
      const { troupe, working } = await interrupted();
      const run = await troupe.attach('x');
      await expect(run.resolve('body/work', decision as never)).rejects.toBeInstanceOf(ValidationError);
      expect(await run.inDoubt()).toHaveLength(1);
      expect(working.begun).toBe(1);
    },
  );
});

describe('an output that is given by hand', () => {
  /** A call in doubt of a tool with this schema, as each who owns its run in turn has it. */
  async function doubtful(outputSchema: z.ZodType) {
    let begun = false;
    const execute = (): Promise<never> => {
      begun = true;
      return new Promise(() => {});
    };
    const machine = setup({ actors: { pay: toolActor(tool({ ...bare, outputSchema, execute })) } }).createMachine({
      context: { receipt: undefined as unknown },
      initial: 'paying',
      states: {
        paying: {
          invoke: {
            src: 'pay',
            input: {},
            onDone: {
              target: 'paid',
              actions: assign({ receipt: ({ event }) => event.output.status === 'succeeded' && event.output.output }),
            },
          },
        },
        paid: {},
      },
    });
    const order = durable(machine, { name: 'order', version: '1' });
    const options = { backend: new FaultyStore(), definitions: [order] };
    const first = await opened(options);
    await first.start(order, undefined, { id: 'x' });
    await until(() => begun, 'the call has begun');
    await first.close();
    return async () => {
      const troupe = await opened(options);
      return { troupe, run: await troupe.attach('x', order) };
    };
  }
  const paid = { value: 'paid', context: { receipt: 'receipt 99' } };

  test('holds once it is acknowledged, whatever its schema says later', async () => {
    let takes = true;
    const next = await doubtful(z.string().refine(() => takes));
    const { troupe, run } = await next();
    await run.resolve('body/pay', { output: 'receipt 99' });
    await until(() => run.getSnapshot()?.value === 'paid', 'it is paid');
    takes = false;
    expect((await troupe.replay('x')).equal).toBe(true);
    await troupe.close();
    const again = await next();
    expect(again.run.getSnapshot()).toMatchObject(paid);
    expect(await again.run.inDoubt()).toEqual([]);
  });

  test('is held against its schema as it is given, and in no fold', async () => {
    let asked = 0;
    const next = await doubtful(z.string().refine(async () => ((asked += 1), true)));
    const { troupe, run } = await next();
    await run.resolve('body/pay', { output: 'receipt 99' });
    await until(() => run.getSnapshot()?.value === 'paid', 'it is paid');
    expect((await troupe.replay('x')).equal).toBe(true);
    await troupe.close();
    expect((await next()).run.getSnapshot()).toMatchObject(paid);
    expect(asked).toBe(1);
  });

  test.each<[string, z.ZodType, unknown]>([
    ['a type', z.string(), 99],
    ['a part that has a default', z.object({ cents: z.number().default(0) }), { cents: 'many' }],
    ['a part that is coerced', z.object({ cents: z.coerce.number() }), { cents: 'many' }],
  ])('is refused where the call could not have given it: %s', async (_, outputSchema, output) => {
    const { run } = await (await doubtful(outputSchema))();
    await expect(run.resolve('body/pay', { output })).rejects.toBeInstanceOf(ValidationError);
    expect(await run.inDoubt()).toHaveLength(1);
  });

  class Receipt {
    readonly cents = 99;
  }
  test.each<[string, z.ZodType, unknown]>([
    ['a transform', z.string().transform(Number), 99],
    ['a transform of a part', z.object({ all: z.array(z.string().transform(Number)) }), { all: [99] }],
    ['a pipe', z.string().pipe(z.coerce.number()), 99],
    ['a codec', z.stringbool(), true],
    ['a default that it would refuse', z.object({ cents: z.number().min(1).default(0) }), { cents: 0 }],
    ['a part that it has filled in', z.object({ cents: z.number().default(0) }), { cents: 0 }],
    ['what it catches with', z.number().min(1).catch(0), 0],
    [
      'a string that is changed',
      z
        .string()
        .regex(/^[a-z]+$/)
        .toUpperCase(),
      'RECEIPT',
    ],
    ['an instance of a class', z.instanceof(Receipt), { cents: 99 }],
  ])('is what the schema makes of what the tool gives: %s', async (_, outputSchema, output) => {
    const { run } = await (await doubtful(outputSchema))();
    await run.resolve('body/pay', { output });
    await until(() => run.getSnapshot()?.value === 'paid', 'it is paid');
    expect(run.getSnapshot()?.context).toEqual({ receipt: output });
  });
});
