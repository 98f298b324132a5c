import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { durable, tool, type Entry } from '../../src/index.ts';
import { beginOf } from '../../src/protocol/entry.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { opened } from '../support/opened.ts';

/** What calls are given and give: changed on the way, made anew at each parsing, too large. */

/** What the journal of an ended run has as the input of its first call. */
async function recordedInput(run: { entries(): AsyncIterable<Entry> }): Promise<unknown> {
  for await (const entry of run.entries()) {
    const begun = beginOf(entry);
    if (begun !== undefined) return begun.input;
  }
  return undefined;
}

const base = { name: 'order', description: 'Orders', effect: 'idempotent', retry: { attempts: 1 } } as const;

describe('a call that changes its input', () => {
  test('is recorded with what it was given, and replays: a plain source', async () => {
    const troupe = await opened();
    const drain = fromPromise<number, { items: number[] }>(async ({ input }) => input.items.splice(0).length);
    const machine = setup({ actors: { drain } }).createMachine({
      initial: 'draining',
      states: {
        draining: { invoke: { src: 'drain', input: { items: [1, 2, 3] }, onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'draining', version: '1' }));
    expect((await run.result()).success).toBe(true);
    expect(await recordedInput(run)).toEqual({ items: [1, 2, 3] });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true });
  });

  test('is recorded with what it was given, and replays: a tool', async () => {
    const troupe = await opened();
    // z.any() hands on the very object.
    const order = tool({
      ...base,
      inputSchema: z.any(),
      execute: (input: { headers: { secret?: string } }) => {
        delete input.headers.secret;
        return 'ok';
      },
    });
    const run = await troupe.start(order, { headers: { secret: 's' } });
    expect((await run.result()).success).toBe(true);
    expect(await recordedInput(run)).toMatchObject({ input: { headers: { secret: 's' } } });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true });
  });
});

describe('a schema that is not pure', () => {
  const inputSchema = z.object({ ref: z.string().default(() => randomUUID()) }) as unknown as z.ZodType<{
    ref?: string;
  }>;
  const outputSchema = z.object({ id: z.string().default(() => randomUUID()) }) as unknown as z.ZodType<{
    id?: string;
  }>;

  test('completes, and replays equal', async () => {
    const troupe = await opened();
    const run = await troupe.start(tool({ ...base, inputSchema, outputSchema, execute: () => ({}) }), {});
    const result = await run.result();
    expect(result).toMatchObject({ success: true, data: { id: expect.any(String) as unknown } });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, summary: { output: result.data } });
  });

  test('does not keep its run from being recovered', async () => {
    const [store, refs] = [new FaultyStore(), [] as unknown[]];
    const order = tool({
      ...base,
      inputSchema,
      outputSchema,
      execute: ({ ref }) => (refs.push(ref) === 1 ? new Promise<never>(() => {}) : {}),
    });
    const first = await opened({ backend: store });
    await first.start(order, {}, { id: 'x' });
    await until(() => refs.length === 1, 'the call has begun');
    // Its begin is on record.
    await turn();
    await first.close();
    const second = await opened({ backend: store, definitions: [order] });
    const run = await second.attach('x', order);
    expect((await run.result()).success).toBe(true);
    expect(refs).toEqual([expect.any(String), expect.any(String)]);
    expect(await second.replay('x')).toMatchObject({ equal: true });
  });

  test('may wait', async () => {
    const troupe = await opened();
    const to = z.string().refine(async (given) => given !== 'nobody', 'there is no such person');
    const order = tool({
      ...base,
      inputSchema: z.object({ to }),
      outputSchema: z.object({ to }),
      execute: (input) => input,
    });
    const run = await troupe.start(order, { to: 'ana' });
    expect(await run.result()).toMatchObject({ success: true, data: { to: 'ana' } });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true });

    const refused = await troupe.start(order, { to: 'nobody' });
    expect(await refused.result()).toMatchObject({
      success: false,
      error: { name: 'ValidationError', message: expect.stringContaining('to: there is no such person') as unknown },
    });
    expect(await troupe.replay(refused.id)).toMatchObject({ equal: true });
  });
});

describe('an output of more than 64 MiB', () => {
  test('fails its call with a ValidationError, and the run goes on', async () => {
    const troupe = await opened({ clock: new SimulatedClock() });
    const load = fromPromise<unknown>(async () => new Uint8Array(65 * 2 ** 20));
    const machine = setup({
      types: { context: {} as { error: unknown }, output: {} as unknown },
      actors: { load },
    }).createMachine({
      context: { error: null },
      initial: 'loading',
      states: {
        loading: {
          invoke: {
            src: 'load',
            onDone: 'done',
            onError: { target: 'done', actions: assign({ error: ({ event }) => event.error }) },
          },
        },
        done: { type: 'final' },
      },
      output: ({ context }: { context: { error: unknown } }) => context.error,
    });
    const run = await troupe.start(durable(machine, { name: 'loading', version: '1' }));
    expect(await run.result()).toMatchObject({
      success: true,
      data: { name: 'ValidationError', message: expect.stringContaining('64 MiB') as unknown },
    });
  });
});

describe('an output of bytes', () => {
  test('is read under data only', async () => {
    const troupe = await opened();
    const bytes = tool({
      name: 'bytes',
      description: 'Gives three bytes.',
      effect: 'read',
      inputSchema: z.unknown(),
      execute: () => new Uint8Array([7, 8, 9]),
    });
    const result = await (await troupe.start(bytes, null)).result();
    expect(result.data).toEqual(Buffer.from([7, 8, 9]));
    expect(Object.keys(result)).toEqual(['success', 'data', 'metadata']);
  });
});
