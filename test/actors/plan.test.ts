import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  createTroupe,
  module,
  NotAllowedError,
  plan,
  RunFailedError,
  tool,
  ToolNotFoundError,
  ValidationError,
  type Tool,
  type ToolContext,
  type Effect,
  type RunHandle,
  type Troupe,
  type TroupeOptions,
} from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

const open: Troupe[] = [];
const troupeWith = async (options: TroupeOptions = {}): Promise<Troupe> => {
  const troupe = await createTroupe({ clock: new SimulatedClock(), ...options });
  open.push(troupe);
  return troupe;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

type Call = {
  name: string;
  input: unknown;
  signal: AbortSignal;
  key: string;
  end: (output: unknown) => void;
  fail: (error: Error) => void;
};

/** Tools whose calls end when the test says so. */
class Desk {
  readonly calls: Call[] = [];

  tool(name: string, effect: Effect = 'read'): Tool<{ n: number }, unknown> {
    return tool({
      name,
      description: name,
      inputSchema: z.object({ n: z.number() }),
      effect,
      retry: { attempts: 1 },
      execute: (input: { n: number }, { signal, idempotencyKey }: ToolContext) =>
        new Promise<unknown>((end, fail) => {
          this.calls.push({ name, input, signal, key: idempotencyKey, end, fail });
        }),
    });
  }

  /** Waits until so many calls have begun in all. */
  async begun(count: number): Promise<string[]> {
    await until(() => this.calls.length >= count, `${count} calls have begun`);
    return this.calls.map(({ name }) => name);
  }
}
const n = (value: number) => ({ input: () => ({ n: value }) });

describe('order', () => {
  test('independent steps run at once; a finished step triggers those that wait for it', async () => {
    const troupe = await troupeWith();
    const desk = new Desk();
    const work = plan({ name: 'work' })
      .step('a', desk.tool('a'), n(1))
      .step('b', desk.tool('b'), n(2))
      .step('c', desk.tool('c'), { needs: ['a', 'b'], input: ({ a, b }) => ({ n: Number(a) + Number(b) }) });
    const run = await troupe.start(work, undefined);
    expect(await desk.begun(2)).toEqual(['a', 'b']);
    desk.calls[1]?.end(20);
    desk.calls[0]?.end(10);
    expect(await desk.begun(3)).toEqual(['a', 'b', 'c']);
    expect(desk.calls[2]?.input).toEqual({ n: 30 });
    desk.calls[2]?.end('done');
    expect(await run.result()).toMatchObject({ success: true, data: { a: 10, b: 20, c: 'done' } });
  });

  test('R45: one call of many that fails begins nothing new and cancels none that runs', async () => {
    const troupe = await troupeWith();
    const desk = new Desk();
    const items = [1, 2, 3, 4, 5, 6].map((value) => ({ n: value }));
    const work = plan({ name: 'work' }).step('send', desk.tool('send'), { each: () => items });
    const run = await troupe.start(work, undefined);
    await desk.begun(4);
    desk.calls[1]?.fail(new Error('no such mailbox'));
    const seen: string[] = [];
    run.on('*', ({ type }) => seen.push(type));
    await until(() => seen.includes('leaf.failed'), 'the failure is delivered');
    expect([run.status, desk.calls.map(({ signal }) => signal.aborted)]).toEqual([
      'running',
      [false, false, false, false],
    ]);
    for (const call of desk.calls) call.end('sent');
    const result = await run.result();
    expect(result.error?.message).toBe('Step send: no such mailbox');
    expect([desk.calls.length, result.metadata.failures]).toEqual([4, 1]);
    expect(seen.filter((type) => type === 'leaf.succeeded').length).toBe(3);
  });

  test('each call of a list has a key of its own', async () => {
    const troupe = await troupeWith();
    const desk = new Desk();
    const work = plan({ name: 'work' }).step('send', desk.tool('send'), { each: () => [{ n: 1 }, { n: 1 }, { n: 1 }] });
    const run = await troupe.start(work, undefined);
    await desk.begun(3);
    for (const [index, call] of desk.calls.entries()) call.end(index);
    expect((await run.result()).data).toEqual({ send: [0, 1, 2] });
    expect(new Set(desk.calls.map(({ key }) => key)).size).toBe(3);
  });

  test('a step that fails lets the others end, then the plan fails', async () => {
    const troupe = await troupeWith();
    const desk = new Desk();
    const work = plan({ name: 'work' }).step('a', desk.tool('a'), n(1)).step('b', desk.tool('b'), n(2));
    const result = troupe.execute(work.step('c', desk.tool('c'), { needs: ['a'], ...n(3) }), undefined);
    await desk.begun(2);
    desk.calls[0]?.fail(new Error('broke'));
    desk.calls[1]?.end('kept');
    await expect(result).rejects.toThrow(RunFailedError);
    await expect(result).rejects.toThrow('Step a: broke');
    expect([desk.calls.length, desk.calls[1]?.signal.aborted]).toEqual([2, false]);
  });

  test('its input is checked at the door', async () => {
    const troupe = await troupeWith();
    const work = plan({ name: 'work', inputSchema: z.object({ who: z.string() }) });
    await expect(troupe.start(work, { who: 7 as never })).rejects.toThrow(ValidationError);
    expect(await troupe.runs()).toEqual([]);
  });
});

describe('what a plan may call', () => {
  const desk = new Desk();
  const send = desk.tool('send');
  const purge = desk.tool('purge');
  const list = desk.tool('list');
  const wipe = desk.tool('wipe');
  const contacts = module({ name: 'contacts', tools: [list, wipe] });
  const admin = module({ name: 'admin', tools: [purge] });
  const mail = module({ name: 'mail', tools: [send], allow: ['contacts.list'] });
  const given = () => plan({ name: 'given', module: mail, tools: [mail, contacts, admin] });

  test('given a module: its tools and those it allows', async () => {
    const troupe = await troupeWith();
    const run = await troupe.start(given().step('a', send, n(1)).step('b', list, n(2)), undefined);
    await desk.begun(2);
    for (const call of desk.calls.splice(0)) call.end(call.name);
    expect((await run.result()).data).toEqual({ a: 'send', b: 'list' });
  });

  test('nothing else: refused when it is defined', () => {
    for (const [id, denied] of [
      ['contacts.wipe', wipe],
      ['admin.purge', purge],
      ['stray', desk.tool('stray')],
    ] as const) {
      expect(() => given().step('x', denied, n(1))).toThrow(NotAllowedError);
      expect(() => given().step('x', denied, n(1))).toThrow(`may not call ${id}; allowed: mail.send, contacts.list`);
    }
  });

  test('a tool of the same name elsewhere is another tool', () => {
    const lookalike = desk.tool('list');
    const evil = module({ name: 'evil', tools: [lookalike] });
    expect(() => plan({ name: 'p', module: mail, tools: [mail, contacts, evil] }).step('x', lookalike, n(1))).toThrow(
      NotAllowedError,
    );
  });

  test('an empty list allows nothing of others', () => {
    const closed = module({ name: 'closed', tools: [] });
    expect(() => plan({ name: 'p', module: closed, tools: [closed, contacts] }).step('x', list, n(1))).toThrow(
      'allowed: nothing',
    );
  });

  test('what a module allows must exist', () => {
    const vague = module({ name: 'vague', tools: [], allow: ['contacts.lst'] });
    expect(() => plan({ name: 'p', module: vague, tools: [vague, contacts] })).toThrow(ToolNotFoundError);
    expect(() => plan({ name: 'p', module: vague, tools: [vague, contacts] })).toThrow('closest: contacts.list');
    for (const allow of ['*', 'contacts.*', 'contacts', '.list', 'a.b.c'])
      expect(() => module({ name: 'm', tools: [], allow: [allow] })).toThrow(ValidationError);
  });

  test('the gate asks again: a grant that is gone begins nothing', async () => {
    const troupe = await troupeWith();
    const before = desk.calls.length;
    const work = given().step('a', send, n(1));
    const tampered = { ...work, spec: { ...work.spec, grants: ['contacts.list', 'mail', 'mail.*', 'MAIL.SEND'] } };
    const run = await troupe.start(tampered, undefined);
    const result = await run.result();
    expect(result.error).toMatchObject({ name: 'NotAllowedError', code: 'NOT_ALLOWED', data: { tool: 'mail.send' } });
    const types: string[] = [];
    for await (const { type } of run.entries()) types.push(type);
    expect([desk.calls.length, types]).toEqual([before, ['run.created', 'run.started', 'leaf.failed', 'run.failed']]);
  });
});

const targetsOf = async (run: RunHandle, of: (type: string) => boolean): Promise<string[]> => {
  const targets: string[] = [];
  for await (const { type, target } of run.entries()) if (of(type)) targets.push(target);
  return targets;
};

describe('R42: at once', () => {
  test('go four steps, and four calls of one step, unless the plan says otherwise', async () => {
    const troupe = await troupeWith();
    for (const [options, most] of [
      [{}, 4],
      [{ concurrency: 2 }, 2],
    ] as const) {
      const desk = new Desk();
      let work = plan({ name: `work-${most}`, ...options });
      for (let index = 0; index < 6; index += 1)
        work = work.step(`s${index}`, desk.tool(`t${index}`), n(index)) as never;
      const run = await troupe.start(work, undefined);
      await desk.begun(most);
      for (let ended = 0; ended < 6; ended += 1) {
        expect(desk.calls.length).toBe(Math.min(6, ended + most));
        desk.calls[ended]?.end(ended);
        await desk.begun(Math.min(6, ended + 1 + most));
      }
      expect((await run.result()).success).toBe(true);
    }
  });

  test('calls in doubt hold no place: the others go on, and they are waited for', async () => {
    const clock = new SimulatedClock();
    const troupe = await troupeWith({ clock });
    const desk = new Desk();
    const items = [1, 2, 3].map((value) => ({ n: value }));
    const work = plan({ name: 'work', concurrency: 1 })
      .step('send', desk.tool('send', 'irreversible'), { each: () => items, concurrency: 2 })
      .step('other', desk.tool('other'), n(4));
    const run = await troupe.start(work, undefined);
    expect(await desk.begun(2)).toEqual(['send', 'send']);
    // Nobody knows whether they happened.
    clock.increment(30_000);
    expect(await desk.begun(3)).toEqual(['send', 'send', 'send']);
    clock.increment(30_000);
    expect(await desk.begun(4)).toEqual(['send', 'send', 'send', 'other']);
    desk.calls[3]?.end('other');
    await run.settled();
    for (const { call } of await run.inDoubt()) await run.resolve(call, { output: `decided ${call}` });
    expect((await run.result()).data).toEqual({
      send: ['decided body/send/send', 'decided body/send/send:2', 'decided body/send/send:3'],
      other: 'other',
    });
  });
});

describe('a step that fails and is forgiven', () => {
  test('leaves its failure on record, and the plan goes on', async () => {
    const troupe = await troupeWith();
    const work = plan({ name: 'work' })
      .step('a', () => Promise.reject(new Error('broke')), { onFailure: 'continue' })
      .step('b', ({ a }) => `after ${String(a)}`, { needs: ['a'] })
      .step('c', () => Promise.reject(new Error('broke')), { onFailure: 'skip' })
      .step('d', () => 'never', { needs: ['c'] });
    const result = await (await troupe.start(work, undefined)).result();
    expect([result.data, result.metadata.failures]).toEqual([{ b: 'after undefined' }, 2]);
  });

  test('costs a list its own item alone', async () => {
    const troupe = await troupeWith();
    const half = (count: number): number => {
      if (count % 2 === 1) throw new Error(`${count} is odd`);
      return count / 2;
    };
    const each = (): number[] => [2, 3, 4];
    const work = plan({ name: 'work' })
      .step('skipped', half, { each, onFailure: 'skip' })
      .step('kept', half, { each, onFailure: 'continue' });
    expect(await troupe.execute(work, undefined)).toEqual({ skipped: [1, 2], kept: [1, undefined, 2] });
  });
});

describe('a function as a step', () => {
  test('is a leaf: its output is recorded, and it is not called again', async () => {
    let calls = 0;
    const troupe = await troupeWith();
    const work = plan({ name: 'work', inputSchema: z.object({ from: z.number() }) })
      .step('count', async ({ input }, { idempotencyKey }) => ({
        count: (calls += 1) + input.from,
        key: idempotencyKey,
      }))
      .step('total', ({ count }) => count.count * 2, { needs: ['count'] });
    const run = await troupe.start(work, { from: 41 });
    expect((await run.result()).data).toMatchObject({ count: { count: 42 }, total: 84 });
    expect(await targetsOf(run, (type) => type === 'leaf.succeeded')).toEqual([
      'body/count/attempt',
      'body/total/attempt',
    ]);
    expect((await troupe.replay(run.id)).equal).toBe(true);
    expect(calls).toBe(1);
  });

  test('is tried once, as long as a tool, unless its step says otherwise', async () => {
    const clock = new SimulatedClock();
    const troupe = await troupeWith({ clock });
    let calls = 0;
    const work = plan({ name: 'work' }).step(
      'a',
      (_, { signal }) => {
        calls += 1;
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
      },
      { timeout: '2s', retry: { attempts: 2 } },
    );
    let over = false;
    const result = troupe.execute(work, undefined).finally(() => (over = true));
    result.catch(() => {});
    await until(() => clock.nextDue === clock.now() + 2_000, 'it is called, for two seconds');
    await until(() => (clock.increment(500), over), 'it is called again, and given up');
    expect(calls).toBe(2);
    await expect(result).rejects.toThrow('Step a: Tool a timed out');
    await expect(
      troupe.execute(
        plan({ name: 'once' }).step('a', () => Promise.reject(new Error('broke'))),
        undefined,
      ),
    ).rejects.toThrow('Step a: broke');
  });
});

test('what a step asks for stands in place of what its tool says', async () => {
  const clock = new SimulatedClock();
  const troupe = await troupeWith({ clock });
  const desk = new Desk();
  const slow = desk.tool('slow');
  const work = plan({ name: 'work' })
    .step('a', slow, { ...n(1), timeout: '1s', onFailure: 'continue' })
    .step('b', slow, n(2));
  const run = await troupe.start(work, undefined);
  await desk.begun(2);
  clock.increment(1_000);
  await until(() => desk.calls[0]?.signal.aborted === true, 'the first is given up');
  expect(desk.calls[1]?.signal.aborted).toBe(false);
  desk.calls[1]?.end('kept');
  expect((await run.result()).data).toEqual({ b: 'kept' });
});

describe('a plan as a step', () => {
  test("runs within: its calls are keyed below it, and its output is the step's", async () => {
    const troupe = await troupeWith();
    const double = plan({
      name: 'double',
      inputSchema: z.object({ n: z.number().default(7) }),
      output: ({ twice }) => Number(twice),
    })
      .step('once', ({ input }) => input.n)
      .step('twice', ({ once }) => once * 2, { needs: ['once'] });
    const work = plan({ name: 'work' })
      .step('one', double, { input: () => ({ n: 1 }) })
      .step('default', double, { input: () => ({}) as never })
      .step('all', double, { needs: ['one'], each: ({ one }) => [{ n: one }, { n: 3 }] });
    const run = await troupe.start(work, undefined);
    expect((await run.result()).data).toEqual({ one: 2, default: 14, all: [4, 6] });
    expect((await targetsOf(run, (type) => type === 'leaf.succeeded')).filter((key) => key.includes('/all/'))).toEqual([
      'body/all/double/once/attempt',
      'body/all/double:2/once/attempt',
      'body/all/double/twice/attempt',
      'body/all/double:2/twice/attempt',
    ]);
  });

  test('refuses an input that is not what it asks for, before anything of it begins', async () => {
    const troupe = await troupeWith();
    const inner = plan({ name: 'inner', inputSchema: z.object({ n: z.number() }) }).step('a', () => 1);
    const work = plan({ name: 'work' }).step('x', inner, { input: () => ({ n: 'one' }) as never });
    const run = await troupe.start(work, undefined);
    expect((await run.result()).error?.message).toMatch(
      /^Step x: The input of inner is not what its schema asks for: n: /,
    );
    expect(await targetsOf(run, (type) => type.startsWith('leaf.'))).toEqual([]);
  });

  test('fails as its step, which says what becomes of that', async () => {
    const troupe = await troupeWith();
    const inner = plan({ name: 'inner' }).step('a', () => Promise.reject(new Error('broke')));
    await expect(troupe.execute(plan({ name: 'work' }).step('x', inner), undefined)).rejects.toThrow(
      'Step x: Step a: broke',
    );
    const forgiven = plan({ name: 'forgiven' })
      .step('x', inner, { onFailure: 'skip' })
      .step('y', () => 2);
    expect(await troupe.execute(forgiven, undefined)).toEqual({ y: 2 });
  });

  test('the gate asks again: what the plan around it may not call, it may not', async () => {
    const troupe = await troupeWith();
    const desk = new Desk();
    const inner = plan({ name: 'inner' }).step('a', desk.tool('send'), n(1));
    const work = plan({ name: 'work' }).step('x', inner);
    const run = await troupe.start({ ...work, spec: { ...work.spec, grants: [] } }, undefined);
    expect((await run.result()).error).toMatchObject({ code: 'NOT_ALLOWED', data: { tool: 'send' } });
    expect(desk.calls).toEqual([]);
  });
});

describe('a plan that is a document', () => {
  const text = `
input: { names: list }
steps:
  greeted: { plan: greeting, each: "\${input.names}", input: { name: "\${item}" } }
  sent:
    tool: send
    when: { step: greeted, field: length, above: 0 }
    input: { n: "\${greeted.length}" }
  quiet: { tool: send, when: { step: greeted, field: length, equals: 0 }, input: { n: 0 } }
  last: { tool: send, anyOf: [sent, quiet], input: { n: 9 } }
output: "\${greeted[0]} \${last}"
`;
  const greeting = plan({ name: 'greeting', output: ({ text: made }) => made }).step(
    'text',
    ({ input }) => `Hello ${(input as { name: string }).name}`,
  );

  test('is recovered from what was stored, with the tools and plans of that process', async () => {
    const [store, desk] = [new FaultyStore(), new Desk()];
    const tools = [desk.tool('send')];
    const first = await troupeWith({ backend: store });
    const parsed = plan.parse(text, { name: 'doc', tools, plans: [greeting], format: 'yaml' });
    await first.start(parsed, { names: ['Ana'] }, { id: 'x' });
    await desk.begun(1);
    await first.close();
    const lost = await troupeWith({ backend: store, tools, recover: false });
    const { left } = await lost.recover('x');
    expect(left).toMatchObject([
      { run: 'x', error: { message: expect.stringContaining('plan greeting, which is not known here') as string } },
    ]);
    await lost.close();
    const second = await troupeWith({ backend: store, tools, definitions: [greeting] });
    const run = await second.attach('x');
    await desk.begun(2);
    desk.calls[1]?.end(1);
    await desk.begun(3);
    expect(desk.calls.map(({ input }) => input)).toEqual([{ n: 1 }, { n: 1 }, { n: 9 }]);
    desk.calls[2]?.end('Ben');
    expect((await run.result()).data).toBe('Hello Ana Ben');
  });

  test('refuses at the door what it does not declare', async () => {
    const troupe = await troupeWith();
    const parsed = plan.parse(text, {
      name: 'doc',
      tools: [new Desk().tool('send')],
      plans: [greeting],
      format: 'yaml',
    });
    await expect(troupe.start(parsed, { names: 'Ana' })).rejects.toThrow(ValidationError);
  });
});
