import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  createTroupe,
  module,
  plan,
  tool,
  type Effect,
  type Tool,
  type ToolContext,
  type Troupe,
} from '../../src/index.ts';
import type { Module } from '../../src/protocol/spec.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

const open: Troupe[] = [];
const troupeWith = async (clock = new SimulatedClock()): Promise<{ troupe: Troupe; clock: SimulatedClock }> => {
  const troupe = await createTroupe({ clock });
  open.push(troupe);
  return { troupe, clock };
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

/** A module of one tool, whose calls end when the test says so. */
class Mail {
  readonly open: { context: ToolContext; end: (output: unknown) => void }[] = [];
  readonly happened: string[] = [];
  executed = 0;
  start: () => Promise<void> = () => Promise.resolve();
  readonly module: Module;

  constructor(concurrency: number, effect: Effect = 'read') {
    const send = tool({
      name: 'send',
      description: 'Send one mail',
      inputSchema: z.object({}),
      effect,
      execute: (_: object, context: ToolContext) => {
        this.executed += 1;
        return new Promise<unknown>((end) => void this.open.push({ context, end }));
      },
    });
    this.module = module({
      name: 'mail',
      tools: [send],
      concurrency,
      start: async () => {
        this.happened.push('start');
        await this.start();
      },
      stop: () => void this.happened.push('stop'),
    });
  }

  plan(name: string) {
    const [send] = this.module.tools;
    if (send === undefined) throw new Error('no tool');
    return plan({ name, module: this.module, tools: [this.module] }).step('send', send, { input: () => ({}) });
  }

  endOne(): void {
    this.open.shift()?.end('sent');
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
    await first.kill();
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
    for (const tries of [1, 2]) {
      await until(() => mail.happened.length === tries && clock.nextDue !== undefined, `${tries} failed, it backs off`);
      clock.increment((clock.nextDue ?? 0) - clock.now());
    }
    const result = await run.result();
    expect(result.error).toMatchObject({ code: 'NETWORK', message: 'Step send: Module mail did not start: no route.' });
    expect([mail.happened, mail.executed]).toEqual([['start', 'start', 'start'], 0]);
  });

  test('that opens at the second try serves the call', async () => {
    const { troupe, clock } = await troupeWith();
    const mail = new Mail(1);
    mail.start = () => (mail.happened.length === 1 ? Promise.reject(new Error('no route')) : Promise.resolve());
    const run = await troupe.start(mail.plan('work'), undefined);
    await until(() => clock.nextDue !== undefined, 'it backs off');
    clock.increment(500);
    await until(() => mail.open.length === 1, 'the call is under way');
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
