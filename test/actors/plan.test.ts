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
  type Troupe,
} from '../../src/index.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

const open: Troupe[] = [];
const troupeWith = async (): Promise<Troupe> => {
  const troupe = await createTroupe({ clock: new SimulatedClock() });
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

  tool(name: string): Tool<{ n: number }, unknown> {
    return tool({
      name,
      description: name,
      inputSchema: z.object({ n: z.number() }),
      effect: 'read',
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
