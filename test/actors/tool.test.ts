import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import {
  createTroupe,
  durable,
  embedded,
  idempotencyKey,
  plan,
  RateLimitError,
  tool,
  toolActor,
  type Effect,
  type Tool,
  type ToolContext,
  type Troupe,
} from '../../src/index.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

const open: Troupe[] = [];
const troupeWith = async (clock = new SimulatedClock()): Promise<{ troupe: Troupe; clock: SimulatedClock }> => {
  const troupe = await createTroupe({ clock, recover: false });
  open.push(troupe);
  return { troupe, clock };
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

/** Something is due soon. */
const backsOff = (clock: SimulatedClock, within: number): boolean =>
  clock.nextDue !== undefined && clock.nextDue > clock.now() && clock.nextDue <= clock.now() + within;

type Execute = (input: { to: string }, context: ToolContext) => unknown;
const mailer = (
  execute: Execute,
  options: { effect?: Effect; attempts?: number } = {},
): Tool<{ to: string }, unknown> =>
  tool({
    name: 'send',
    description: 'Send one mail',
    timeout: '1s',
    effect: options.effect ?? 'idempotent',
    retry: { attempts: options.attempts ?? 3 },
    inputSchema: z.object({ to: z.string() }),
    execute,
  });

describe('a tool as a run', () => {
  test('gives its output', async () => {
    const { troupe } = await troupeWith();
    const send = mailer(({ to }) => Promise.resolve({ id: `mail to ${to}` }));
    expect(await troupe.execute(send, { to: 'ana' })).toEqual({ id: 'mail to ana' });
  });

  test('zod stands before it: what it refuses is not executed', async () => {
    const { troupe } = await troupeWith();
    let executed = 0;
    const result = await (
      await troupe.start(
        mailer(() => (executed += 1)),
        { to: 7 as never },
      )
    ).result();
    expect(result).toMatchObject({ success: false, error: { name: 'ValidationError', code: 'VALIDATION' } });
    expect([result.error?.message, executed]).toEqual([expect.stringMatching(/^Invalid input: to: /), 0]);
  });

  test('and behind it: an output that it refuses is a failure, with what it makes of another', async () => {
    const { troupe } = await troupeWith();
    const of = (output: unknown): Tool<unknown, { id: string }> =>
      tool({
        name: `gives-${typeof output}`,
        description: 'd',
        inputSchema: z.unknown(),
        effect: 'read',
        outputSchema: z.object({ id: z.string().default('none') }),
        execute: () => output as { id: string },
      });
    expect(await troupe.execute(of({}), null)).toEqual({ id: 'none' });
    const result = await (await troupe.start(of('text'), null)).result();
    expect(result.error?.message).toMatch(/^Invalid output of gives-string: /);
  });

  test('R37: what it throws becomes a result, whatever it is', async () => {
    const { troupe } = await troupeWith();
    const thrown = [
      new Error('no route'),
      'text',
      null,
      { toString: null },
      Object.assign(new Error('m'), { code: 'AUTH' }),
    ];
    for (const [index, what] of thrown.entries()) {
      const send = mailer(
        () => {
          throw what;
        },
        { attempts: 1 },
      );
      const run = await troupe.start({ ...send, name: `throws-${index}` }, { to: 'ana' });
      const result = await run.result();
      expect([index, result.success, typeof result.error?.message]).toEqual([index, false, 'string']);
    }
  });
});

describe('attempts', () => {
  test('are given the same key, which no other call has', async () => {
    const { troupe, clock } = await troupeWith();
    const seen: ToolContext[] = [];
    const send = mailer((_, context) => {
      seen.push(context);
      if (context.attempt === 1) throw new RateLimitError('later', { retryAfterMs: 7_000 });
      return context.idempotencyKey;
    });
    const [one, other] = [await troupe.start(send, { to: 'a' }), await troupe.start(send, { to: 'a' })];
    await until(() => seen.length === 2 && clock.nextDue !== undefined, 'both wait for their second attempt');
    await until(() => clock.pendingTurns === 0, 'what they said is recorded');
    clock.increment(6_999);
    expect(seen.length).toBe(2);
    // A tenth more, at most.
    clock.increment(701);
    const keys = [await one.result(), await other.result()].map(({ data }) => data);
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 1, 2, 2]);
    for (const [index, { id }] of [one, other].entries())
      expect(new Set(seen.filter(({ run }) => run === id).map((context) => context.idempotencyKey))).toEqual(
        new Set([keys[index]]),
      );
    expect(new Set(keys).size).toBe(2);
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9_-]{32}$/);
  });

  test.each<[string, object, readonly [earliest: number, latest: number]]>([
    ['axios', { response: { status: 429, headers: { 'retry-after': '3' } } }, [3_000, 3_300]],
    ['fetch', { response: new Response(null, { status: 503, headers: { 'retry-after': '3' } }) }, [3_000, 3_300]],
    ['an SDK', { status: 429, headers: new Headers({ 'retry-after': '3' }) }, [3_000, 3_300]],
    ['one that does not ask', { statusCode: 429 }, [500, 1_000]],
  ])('an error of %s is tried again when it asks', async (_, fields, [earliest, latest]) => {
    const { troupe, clock } = await troupeWith();
    let executed = 0;
    const send = mailer(
      () => {
        executed += 1;
        throw Object.assign(new Error('not now'), fields);
      },
      { attempts: 2 },
    );
    const run = await troupe.start(send, { to: 'a' });
    await until(() => run.getSnapshot()?.matches('backingOff') === true, 'it backs off');
    clock.increment(earliest - 1);
    await until(() => clock.pendingTurns === 0, 'what fell due is recorded');
    expect([run.getSnapshot()?.value, executed]).toEqual(['backingOff', 1]);
    clock.increment(latest - earliest + 1);
    const result = await run.result();
    expect([result.error, executed]).toMatchObject([
      { message: 'not now', data: { status: expect.any(Number) as number } },
      2,
    ]);
  });

  test.each([401, 403, 404, 422])('an error with status %i is not tried again, and keeps its data', async (status) => {
    const { troupe } = await troupeWith();
    let executed = 0;
    const send = mailer(() => {
      executed += 1;
      throw Object.assign(new Error('no'), { status, code: 'ERR_BAD_REQUEST', data: { field: 'to' } });
    });
    const result = await (await troupe.start(send, { to: 'a' })).result();
    expect([result.error, executed]).toEqual([
      { name: 'Error', message: 'no', code: 'ERR_BAD_REQUEST', data: { field: 'to', status } },
      1,
    ]);
  });

  test('whoever recovers a call waits as long as its first owner would have', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-jitter-'));
    const send = mailer(() => Promise.reject(new Error('no')));
    const clock = new SimulatedClock();
    const options = { clock, backend: embedded({ dir }), definitions: [send] };
    const first = await createTroupe(options);
    const runs = await Promise.all([1, 2, 3, 4].map(() => first.start(send, { to: 'a' })));
    await until(() => runs.every((run) => run.getSnapshot()?.matches('backingOff') === true), 'all back off');
    const dues = [clock.nextDue];
    await first.close();
    const second = await createTroupe(options);
    dues.push(clock.nextDue);
    await second.close();
    rmSync(dir, { recursive: true });
    expect([dues[1], (dues[0] ?? 0) - clock.now() < 500]).toEqual([dues[0], true]);
  });

  test('a plain source has a key, too: one for each call', async () => {
    const { troupe } = await troupeWith();
    const keys: string[] = [];
    const keyed = fromPromise(({ self }) => Promise.resolve(keys.push(idempotencyKey(self))));
    const both = setup({ actors: { keyed } }).createMachine({
      initial: 'one',
      states: {
        one: { invoke: { src: 'keyed', onDone: 'two' } },
        two: { invoke: { src: 'keyed', onDone: 'end' } },
        end: { type: 'final' },
      },
    });
    await troupe.execute(durable(both, { name: 'both', version: '1' }), undefined);
    expect([keys.length, new Set(keys).size]).toEqual([2, 2]);
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9_-]{32}$/);
  });
});

describe('inside a machine of a user', () => {
  const checkout = (send: Tool<{ to: string }, unknown>) =>
    durable(
      setup({
        actors: { send: toolActor(send) },
      }).createMachine({
        initial: 'sending',
        states: {
          sending: { invoke: { src: 'send', input: { to: 'ana' }, onDone: 'sent' } },
          sent: { type: 'final', output: ({ event }: { event: { output?: unknown } }) => event.output },
        },
        output: ({ event }) => event.output,
      }),
      { name: 'checkout', version: '1' },
    );

  test('a tool that hangs is aborted at its timeout, and the next attempt has twice the time', async () => {
    const { troupe, clock } = await troupeWith();
    const signals: AbortSignal[] = [];
    const send = mailer(
      (_, { signal }) => {
        signals.push(signal);
        return new Promise(() => {});
      },
      { attempts: 2 },
    );
    const since = clock.now();
    const run = await troupe.start(checkout(send), undefined);
    const dues: number[] = [];
    for (const attempt of [1, 2]) {
      await until(() => signals.length === attempt && (clock.nextDue ?? 0) > clock.now(), `attempt ${attempt} runs`);
      const due = clock.nextDue ?? NaN;
      dues.push(due - since);
      clock.increment(due - clock.now() - 1);
      expect(signals.map(({ aborted }) => aborted).at(-1)).toBe(false);
      clock.increment(1);
    }
    const result = await run.result();
    expect([result.success, dues, signals.map(({ aborted }) => aborted)]).toEqual([true, [1_000, 3_000], [true, true]]);
    expect(result.data).toMatchObject({ status: 'failed', error: { code: 'TOOL_TIMEOUT' } });
  });

  test('a step may ask for another timeout and other tries than its tool', async () => {
    const { troupe, clock } = await troupeWith();
    let begun = 0;
    const send = mailer(() => ((begun += 1), new Promise(() => {})));
    const hasty = toolActor(send, { timeoutMs: 300, retry: { attempts: 1 } });
    const once = setup({ actors: { hasty } }).createMachine({
      initial: 'sending',
      states: {
        sending: { invoke: { src: 'hasty', input: { to: 'ana' }, onDone: 'sent' } },
        sent: { type: 'final', output: ({ event }: { event: { output?: unknown } }) => event.output },
      },
      output: ({ event }) => event.output,
    });
    const run = await troupe.start(durable(once, { name: 'hasty', version: '1' }), undefined);
    await until(() => begun === 1 && backsOff(clock, 300), 'it is under way');
    clock.increment(300);
    expect((await run.result()).data).toMatchObject({ error: { data: { timeoutMs: 300 } } });
    expect(begun).toBe(1);
  });

  test('R45: a call that fails cancels no other', async () => {
    const { troupe } = await troupeWith();
    const ends: (() => void)[] = [];
    const signals: AbortSignal[] = [];
    const slow = toolActor(
      mailer((_, { signal }) => (signals.push(signal), new Promise((end) => ends.push(() => end('sent'))))),
    );
    const wrong = toolActor(
      mailer(() => {
        throw Object.assign(new Error('refused'), { code: 'AUTH' });
      }),
    );
    const region = (src: 'slow' | 'wrong') =>
      ({
        initial: 'calling',
        states: { calling: { invoke: { src, input: { to: 'ana' }, onDone: 'ended' } }, ended: { type: 'final' } },
      }) as const;
    const both = setup({ actors: { slow, wrong } }).createMachine({
      type: 'parallel',
      states: { slow: region('slow'), wrong: region('wrong') },
    });
    const run = await troupe.start(durable(both, { name: 'both', version: '1' }), undefined);
    await until(() => run.getSnapshot()?.matches({ wrong: 'ended' }) === true && ends.length === 1, 'one has failed');
    expect([run.getSnapshot()?.value, signals.map(({ aborted }) => aborted)]).toEqual([
      { slow: 'calling', wrong: 'ended' },
      [false],
    ]);
    ends[0]?.();
    expect((await run.result()).success).toBe(true);
  });

  test('two calls of one machine have different keys', async () => {
    const { troupe } = await troupeWith();
    const keys: string[] = [];
    const send = toolActor(mailer((_, { idempotencyKey: key }) => keys.push(key)));
    const twice = setup({ actors: { send } }).createMachine({
      initial: 'one',
      states: {
        one: { invoke: { src: 'send', input: { to: 'a' }, onDone: 'two' } },
        two: { invoke: { src: 'send', input: { to: 'a' }, onDone: 'end' } },
        end: { type: 'final' },
      },
    });
    await troupe.execute(durable(twice, { name: 'twice', version: '1' }), undefined);
    expect([keys.length, new Set(keys).size]).toEqual([2, 2]);
  });
});

describe('a tool with a concurrency of its own', () => {
  test('has no more calls under way in this process, over all runs, and each gets its turn', async () => {
    const { troupe } = await troupeWith();
    const ends: (() => void)[] = [];
    const order: string[] = [];
    const send = tool({
      name: 'send',
      description: 'Send one mail',
      effect: 'read',
      concurrency: 2,
      inputSchema: z.object({}),
      execute: (_, { run }) => (order.push(run), new Promise<string>((end) => ends.push(() => end('sent')))),
    });
    const ids = ['r0', 'r1', 'r2', 'r3'];
    const runs = [];
    for (const id of ids) runs.push(await troupe.start(send, {}, { id }));
    for (let ended = 0; ended < 4; ended += 1) {
      await until(() => ends.length === 1 || ended < 3, 'the room is used');
      await until(() => order.length === Math.min(4, ended + 2), `after ${ended} ends the next has begun`);
      ends.shift()?.();
    }
    const results = await Promise.all(runs.map((run) => run.result()));
    expect([order, results.every(({ success }) => success)]).toEqual([ids, true]);
  });
});

test('an irreversible call that times out asks, and is what somebody says it is', async () => {
  const { troupe, clock } = await troupeWith();
  let executed = 0;
  const send = mailer(() => ((executed += 1), new Promise(() => {})), { effect: 'irreversible' });
  const run = await troupe.start(send, { to: 'ana' });
  await until(() => executed === 1 && clock.nextDue !== undefined, 'it is under way');
  clock.increment(1_000);
  let calls = await run.inDoubt();
  await until(() => (void run.inDoubt().then((now) => (calls = now)), calls.length > 0), 'it is in doubt');
  assert(calls[0] !== undefined);
  expect(calls[0].input).toEqual({ to: 'ana' });
  await run.resolve(calls[0].call, { output: { id: 'by hand' } });
  expect(await run.result()).toMatchObject({ success: true, data: { id: 'by hand' } });
  expect(executed).toBe(1);
});

test('R56: a plan whose tool is gone is left where it is, with the closest names', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-gone-'));
  const begun = mailer(() => new Promise(() => {}));
  const first = await createTroupe({ backend: embedded({ dir }), tools: [begun] });
  await first.start(plan.parse('a. Send: "ana"', { tools: [begun] }), {}, { id: 'monday' });
  await first.close();
  const second = await createTroupe({
    backend: embedded({ dir }),
    tools: [
      { ...begun, name: 'sends' },
      { ...begun, name: 'weather' },
    ],
    recover: false,
  });
  const { left } = await second.recover();
  await second.close();
  rmSync(dir, { recursive: true });
  expect(left).toEqual([
    {
      run: 'monday',
      error: expect.objectContaining({ code: 'TOOL_NOT_FOUND', context: { tool: 'send', closest: ['sends'] } }),
    },
  ]);
});
