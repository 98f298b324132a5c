import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import {
  createTroupe,
  durable,
  module,
  plan,
  tool,
  toolActor,
  type Effect,
  type ModuleOptions,
  type Tool,
  type ToolContext,
  type Troupe,
} from '../../src/index.ts';
import { ModuleActor } from '../../actors/module.ts';
import type { AnyTool, Module } from '../../src/protocol/spec.ts';
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

interface Open {
  context: ToolContext;
  end: (output: unknown) => void;
  fail: (error: unknown) => void;
}
const LOST = Object.assign(new Error('no route'), { code: 'ECONNREFUSED' });

/** A module of two tools, whose calls end when the test says so. */
class Mail {
  readonly open: Open[] = [];
  readonly happened: string[] = [];
  executed = 0;
  start: () => Promise<void> = () => Promise.resolve();
  readonly module: Module;

  constructor(
    concurrency: number,
    effect: Effect = 'read',
    { sends, ...options }: { sends?: number } & Pick<ModuleOptions, 'rateLimit' | 'breaker'> = {},
  ) {
    const execute = (_: object, context: ToolContext): Promise<unknown> => {
      this.executed += 1;
      return new Promise<unknown>((end, fail) => void this.open.push({ context, end, fail }));
    };
    const shared = { description: 'Mails', inputSchema: z.object({}), effect, execute, timeout: '10s' } as const;
    const send = tool({ ...shared, name: 'send', ...(sends !== undefined && { concurrency: sends }) });
    this.module = module({
      ...options,
      name: 'mail',
      tools: [send, tool({ ...shared, name: 'list' })],
      concurrency,
      start: async () => {
        this.happened.push('start');
        await this.start();
      },
      stop: () => void this.happened.push('stop'),
    });
  }

  plan(name: string, which: 'send' | 'list' = 'send') {
    const called = this.module.tools.find((known) => known.name === which);
    if (called === undefined) throw new Error('no tool');
    return plan({ name, module: this.module, tools: [this.module] }).step('send', called, { input: () => ({}) });
  }

  endOne(): void {
    this.open.shift()?.end('sent');
  }
}

/** Time passes in steps, so that what falls due is recorded before the rest. */
async function pass(clock: SimulatedClock, ms: number, done: () => boolean): Promise<void> {
  for (let passed = 0; passed < ms && !done(); passed += 100) {
    clock.increment(100);
    for (let turns = 0; turns < 5; turns += 1) await turn();
    await until(() => clock.pendingTurns === 0, 'what fell due is recorded');
  }
}

describe('room', () => {
  test('over all runs no more calls are under way than the module takes, and each gets its turn in order', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(2);
    const work = mail.plan('work');
    const runs = [];
    for (const id of ['r0', 'r1', 'r2', 'r3', 'r4']) runs.push(await troupe.start(work, undefined, { id }));
    const order: string[] = [];
    for (let ended = 0; ended < 5; ended += 1) {
      await until(() => mail.open.length === Math.min(2, 5 - ended), `after ${ended} ends the room is used`);
      expect(mail.executed).toBe(Math.min(5, ended + 2));
      order.push(mail.open[0]?.context.run ?? '');
      mail.endOne();
    }
    const results = await Promise.all(runs.map((run) => run.result()));
    expect([order, results.every(({ success }) => success)]).toEqual([['r0', 'r1', 'r2', 'r3', 'r4'], true]);
    expect(mail.happened).toEqual(['start']);
  });

  test('a call that is killed gives its room back, and one killed while it waits takes none', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(1);
    const work = mail.plan('work');
    const [first, waiting, last] = [
      await troupe.start(work, undefined),
      await troupe.start(work, undefined),
      await troupe.start(work, undefined),
    ];
    await until(() => mail.open.length === 1, 'the first is under way');
    await waiting.kill();
    // What it does goes on, and nobody waits for that.
    await first.kill('enough', { grace: 0 });
    expect(mail.open[0]?.context.signal.aborted).toBe(true);
    await until(() => mail.open.length === 2, 'the last has its turn');
    expect(mail.open[1]?.context.run).toBe(last.id);
    mail.open[1]?.end('sent');
    expect([(await last.result()).success, mail.executed]).toEqual([true, 2]);
  });
});

describe('its connection', () => {
  test('is not opened before the first call, nor closed before the last has ended', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(1);
    await troupe.start(mail.plan('work'), undefined);
    await until(() => mail.open.length === 1, 'the call is under way');
    expect(mail.happened).toEqual(['start']);
    await troupe.close();
    expect(mail.happened).toEqual(['start', 'stop']);
  });

  test('a module that nobody calls is not started', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(1);
    const [send] = mail.module.tools;
    const nothing = plan({ name: 'nothing', module: mail.module, tools: [mail.module] }).step(
      'send',
      send as Tool<object, unknown>,
      {
        each: () => [],
      },
    );
    expect(await troupe.execute(nothing, undefined)).toEqual({ send: [] });
    await troupe.close();
    expect(mail.happened).toEqual([]);
  });

  test('that cannot be opened is tried again with each attempt, and then fails the call, naming the module', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(1);
    mail.start = () => Promise.reject(new Error('no route'));
    const run = await troupe.start(mail.plan('work'), undefined);
    await pass(clock, 5_000, () => mail.happened.length === 3);
    const result = await run.result();
    expect(result.error).toMatchObject({ code: 'NETWORK', message: 'Step send: Module mail did not start: no route.' });
    expect([mail.happened, mail.executed]).toEqual([['start', 'start', 'start'], 0]);
  });

  test('that opens at the second try serves the call', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(1);
    mail.start = () => (mail.happened.length === 1 ? Promise.reject(new Error('no route')) : Promise.resolve());
    const run = await troupe.start(mail.plan('work'), undefined);
    await pass(clock, 2_000, () => mail.open.length === 1);
    mail.endOne();
    expect((await run.result()).success).toBe(true);
  });

  test('that cannot be opened leaves nothing in doubt: nothing has begun', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(1, 'irreversible');
    mail.start = () => Promise.reject(new Error('no route'));
    const run = await troupe.start(mail.plan('work'), undefined);
    const seen: string[] = [];
    run.on('*', ({ type }) => seen.push(type));
    await until(() => seen.includes('leaf.failed'), 'the gate has refused');
    expect(await run.inDoubt()).toEqual([]);
    expect(clock.nextDue).toBeDefined();
  });
});

describe('a line', () => {
  test('a call whose state is left while it waits gives its place up, and is not counted as a step', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(1);
    const actor = new ModuleActor(mail.module, clock);
    const send = toolActor(mail.module.tools[0] as AnyTool, { module: { name: 'mail', actor } });
    const impatient = setup({ actors: { send } }).createMachine({
      initial: 'sending',
      states: {
        sending: { invoke: { src: 'send', input: {} }, after: { 1_000: 'calling' } },
        calling: { invoke: { src: 'send', input: {}, onDone: 'sent' } },
        sent: { type: 'final' },
      },
    });
    // Timers of two runs that are due in one ms fire in the order of their ids.
    const first = await troupe.start(durable(impatient, { name: 'impatient', version: '1' }), undefined, { id: 'a' });
    await until(() => mail.open.length === 1, 'the first is under way');
    const second = await troupe.start(durable(impatient, { name: 'other', version: '1' }), undefined, {
      id: 'b',
      budget: { steps: 1 },
    });
    await pass(clock, 1_000, () => second.getSnapshot()?.matches('calling') === true);
    // The first call of the first run was left, too: the line is now its second call, then the second run's.
    await until(() => mail.open.length === 2, 'the second call of the first run is under way');
    expect(mail.open.map(({ context }) => context.run)).toEqual([first.id, first.id]);
    mail.open[1]?.end('sent');
    await until(() => mail.open.length === 3, 'the second run is next');
    expect(mail.open[2]?.context.run).toBe(second.id);
    mail.open[2]?.end('sent');
    expect((await second.result()).success).toBe(true);
    await actor.stop();
  });

  test('a tool that may have one call under way lets those of others pass', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(4, 'read', { sends: 1 });
    const [sends, lists] = [mail.plan('sends'), mail.plan('lists', 'list')];
    for (const [id, work] of Object.entries({ s0: sends, s1: sends, l0: lists, l1: lists }))
      await troupe.start(work, undefined, { id });
    await until(() => mail.open.length === 3, 'what may run, runs');
    expect(mail.open.map(({ context }) => context.run)).toEqual(['s0', 'l0', 'l1']);
    mail.endOne();
    await until(() => mail.open.length === 3, 'the second has its turn');
    expect(mail.open.at(-1)?.context.run).toBe('s1');
  });

  test('one call too many is refused, and says what to do', () => {
    const mail = new Mail(1);
    const actor = new ModuleActor(mail.module, new SimulatedClock());
    for (let n = 0; n < 10_000; n += 1) actor.admit('send');
    expect(() => actor.admit('send')).toThrow(
      expect.objectContaining({
        code: 'OVERLOADED',
        message: expect.stringMatching(/^10000 calls wait for module mail/),
      }),
    );
  });

  test('R45: a call that fails cancels no other', async () => {
    const { troupe } = await troupeWith();
    const mail = new Mail(2);
    const work = mail.plan('work');
    const [wrong, right] = [await troupe.start(work, undefined), await troupe.start(work, undefined)];
    await until(() => mail.open.length === 2, 'both are under way');
    mail.open[0]?.fail(Object.assign(new Error('refused'), { code: 'AUTH' }));
    expect((await wrong.result()).error).toMatchObject({ code: 'AUTH' });
    expect(mail.open[1]?.context.signal.aborted).toBe(false);
    mail.open[1]?.end('sent');
    expect((await right.result()).success).toBe(true);
  });
});

describe('a rate limit', () => {
  test('over all runs no more calls begin within its time, and the others wait their turn', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(9, 'read', { rateLimit: { limit: 2, per: '5s' } });
    const work = mail.plan('work');
    const runs = await Promise.all(['r0', 'r1', 'r2', 'r3', 'r4'].map((id) => troupe.start(work, undefined, { id })));
    await until(() => mail.executed === 2, 'the first are under way');
    for (const begun of [2, 4, 5]) {
      await pass(clock, 5_000, () => mail.executed === begun);
      expect(mail.executed).toBe(begun);
      await pass(clock, 4_900, () => mail.executed > begun);
      expect(mail.executed).toBe(begun);
      while (mail.open.length > 0) mail.endOne();
    }
    expect((await Promise.all(runs.map((run) => run.result()))).map(({ success }) => success)).toEqual(
      Array(5).fill(true),
    );
  });
});

describe('a breaker', () => {
  const breaker = { failures: 2, cooldown: '30s' } as const;

  test('that is open refuses even irreversible calls without a doubt, and they come again after its cooldown', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(4, 'irreversible', { breaker });
    const work = mail.plan('work');
    const lost = [await troupe.start(work, undefined), await troupe.start(work, undefined)];
    await until(() => mail.open.length === 2, 'two are under way');
    for (const { fail } of mail.open.splice(0)) fail(LOST);
    for (const run of lost) await until(() => run.getSnapshot()?.status === 'active', 'they are in doubt');
    const late = await troupe.start(work, undefined);
    const refused: unknown[] = [];
    late.on('leaf.failed', ({ event }) => refused.push(event.error));
    await pass(clock, 29_000, () => mail.executed > 2);
    expect([mail.executed, await late.inDoubt()]).toEqual([2, []]);
    expect(refused).toEqual([
      expect.objectContaining({
        code: 'NETWORK',
        notPerformed: true,
        message: 'Module mail is not called for now: 2 calls in a row did not reach its service; the last: no route.',
        data: { module: 'mail', failures: 2, retryAfterMs: 30_000 },
      }),
    ]);
    await pass(clock, 5_000, () => mail.executed > 2);
    mail.endOne();
    expect((await late.result()).success).toBe(true);
  });

  test('hears of calls that took too long', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(4, 'read', { breaker });
    const run = await troupe.start(mail.plan('work'), undefined);
    const refused: unknown[] = [];
    run.on('leaf.failed', ({ event }) => refused.push(event.error));
    // Ten seconds, then twenty.
    await pass(clock, 31_000, () => refused.length > 0);
    expect(refused).toEqual([
      expect.objectContaining({
        message: expect.stringContaining(
          '2 calls in a row did not reach its service; the last: Tool mail.send timed out after 20s',
        ),
      }),
    ]);
  });
});
