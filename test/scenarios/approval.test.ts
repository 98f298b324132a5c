import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import { setImmediate as turn } from 'node:timers/promises';
import { childRun, durable, plan, tool, type TroupeOptions } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** Calls that begin only once somebody has approved them. */

const opened = openedWith();

function mail(options: { approvers?: string[]; approvalTimeout?: '1h' } = {}) {
  const sent: string[] = [];
  const send = tool({
    name: 'send',
    description: 'Sends a mail',
    inputSchema: z.object({ to: z.string(), body: z.string() }),
    needsApproval: ({ to }) => !to.endsWith('@example.com'),
    retry: { attempts: 1 },
    ...options,
    execute: ({ to }) => {
      sent.push(to);
      return { id: to };
    },
  });
  return { sent, send };
}
const OUT = { to: 'eve@elsewhere.org', body: 'hello' };

/** A run of one call that waits for approval. */
async function waiting(options: Parameters<typeof mail>[0] = {}, troupeOptions: TroupeOptions = {}) {
  const { sent, send } = mail(options);
  const troupe = await opened(troupeOptions);
  const run = await troupe.start(send, OUT, { id: 'x' });
  const approvals = await run.approvals();
  return { sent, send, troupe, run, approvals };
}

describe('a call that needs approval', () => {
  test('begins only where its predicate says so', async () => {
    const { sent, send } = mail();
    const troupe = await opened();
    expect(await troupe.execute(send, { to: 'bob@example.com', body: 'hi' })).toEqual({ id: 'bob@example.com' });
    const run = await troupe.start(send, OUT);
    expect(await run.settled()).toBe('waiting');
    expect(sent).toEqual(['bob@example.com']);
    expect(await run.approvals()).toMatchObject([{ run: run.id, call: 'body', tool: 'send', input: OUT }]);
  });

  test('begins when it is approved, once, and who approved it is on record', async () => {
    const { sent, run } = await waiting();
    await run.approve('body', { by: 'ana' });
    expect((await run.result()).success).toBe(true);
    expect(sent).toEqual([OUT.to]);
    const told = (await entriesOf(run)).filter(({ type }) => type === 'message.received');
    expect(told).toMatchObject([
      { target: 'body', event: { event: { type: 'troupe.judged', parsed: OUT } } },
      { target: 'body', event: { event: { type: 'troupe.approve' }, by: 'ana' } },
    ]);
  });

  test('fails when it is denied, or when nobody decides in time, and never begins', async () => {
    const denied = await waiting();
    await denied.run.deny('body', { by: 'ana', reason: 'not to them' });
    expect(await denied.run.result()).toMatchObject({
      error: { code: 'APPROVAL_DENIED', data: { by: 'ana', reason: 'not to them' } },
    });
    const clock = new SimulatedClock();
    const late = await waiting({ approvalTimeout: '1h' }, { clock });
    clock.increment(3_600_000);
    expect(await late.run.result()).toMatchObject({ error: { code: 'APPROVAL_DENIED' } });
    expect([...denied.sent, ...late.sent]).toEqual([]);
  });

  test('is decided by those who may, about what they were shown, and once', async () => {
    const { run, approvals, sent } = await waiting({ approvers: ['ana'] });
    await expect(run.approve('body', { by: 'eve' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(run.approve('body', { by: 'ana', hash: 'another' })).rejects.toMatchObject({ code: 'VALIDATION' });
    await expect(run.approve('body/attempt', { by: 'ana' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(sent).toEqual([]);
    const { hash = '' } = approvals[0] ?? {};
    await run.approve('body', { by: 'ana', hash });
    await expect(run.approve('body', { by: 'ana', hash })).rejects.toThrow();
    expect((await run.result()).success).toBe(true);
  });

  test('has another hash in another run, with other arguments, and the same for another order of keys', async () => {
    const { send } = mail();
    const troupe = await opened();
    const hashOf = async (id: string, input: { to: string; body: string }, store?: FaultyStore): Promise<string> => {
      const owner = store === undefined ? troupe : await opened({ backend: store });
      const run = await owner.start(send, input, { id });
      return (await run.approvals())[0]?.hash ?? '';
    };
    const first = await hashOf('x', OUT);
    expect(await hashOf('y', OUT)).not.toBe(first);
    expect(await hashOf('z', { ...OUT, body: 'other' })).not.toBe(first);
    expect(await hashOf('x', { body: OUT.body, to: OUT.to }, new FaultyStore())).toBe(first);
  });

  test('waits still after a crash, and is approved from another process', async () => {
    const store = new FaultyStore();
    const { sent, send, troupe } = await waiting({ approvers: ['ana'] }, { backend: store });
    await troupe.close();
    const owner = await opened({ backend: store, definitions: [send] });
    const other = await opened({ backend: store, definitions: [send] });
    const far = await other.attach('x');
    expect(await far.approvals()).toMatchObject([{ call: 'body', approvers: ['ana'] }]);
    await far.approve('body', { by: 'ana' });
    expect((await (await owner.attach('x')).result()).success).toBe(true);
    expect(sent).toEqual([OUT.to]);
  });

  test('of a plan waits alone: the other steps go on', async () => {
    const { sent, send } = mail();
    const steps = plan({ name: 'mails', version: '1', inputSchema: z.object({}) })
      .step('out', send, { input: () => OUT })
      .step('in', send, { input: () => ({ to: 'bob@example.com', body: 'hi' }) });
    const troupe = await opened();
    const run = await troupe.start(steps, {});
    await until(() => sent.length === 1, 'the other one is sent');
    for (let turns = 0; turns < 10; turns += 1) await turn();
    expect(sent).toEqual(['bob@example.com']);
    const [approval] = await run.approvals();
    await run.approve(approval?.call ?? '', { by: 'ana' });
    expect((await run.result()).success).toBe(true);
    expect(sent).toEqual(['bob@example.com', OUT.to]);
  });

  test('of a run that a run has begun is found and decided at the first of them', async () => {
    const { sent, send } = mail();
    const desk = durable(
      setup({ actors: { out: childRun(send) } }).createMachine({
        type: 'parallel',
        states: {
          a: {
            initial: 'on',
            states: { on: { invoke: { src: 'out', input: OUT, onDone: 'off' } }, off: { type: 'final' } },
          },
          b: {
            initial: 'on',
            states: { on: { invoke: { src: 'out', input: OUT, onDone: 'off' } }, off: { type: 'final' } },
          },
        },
      }),
      { name: 'desk', version: '1' },
    );
    const troupe = await opened();
    const run = await troupe.start(desk);
    let approvals = await run.approvals();
    for (let turns = 0; turns < 100 && approvals.length < 2; turns += 1) {
      await turn();
      approvals = await run.approvals();
    }
    expect(approvals).toMatchObject([{ call: 'body' }, { call: 'body' }]);
    await expect(run.approve('body')).rejects.toMatchObject({ code: 'VALIDATION' });
    for (const { call, hash } of approvals) await run.approve(call, { by: 'ana', hash });
    expect((await run.result()).success).toBe(true);
    expect(sent).toEqual([OUT.to, OUT.to]);
  });

  test('is judged and shown by what the schema makes of its input', async () => {
    const paid: number[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({ cents: z.number().default(500) }),
      needsApproval: ({ cents }) => cents > 100,
      execute: ({ cents }) => void paid.push(cents),
    });
    const troupe = await opened();
    const run = await troupe.start(pay, {});
    expect(await run.settled()).toBe('waiting');
    expect(await run.approvals()).toMatchObject([{ input: { cents: 500 } }]);
    expect(paid).toEqual([]);
    const wrong = await troupe.start(pay, { cents: 'many' } as never);
    expect((await wrong.result()).error).toMatchObject({ code: 'VALIDATION' });
  });

  test('is decided once: of decisions that race the first counts, and the others are told', async () => {
    const { run, sent } = await waiting();
    const decisions = [run.deny('body', { by: 'ana' }), run.approve('body', { by: 'bo' })];
    expect((await Promise.allSettled(decisions)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect((await run.result()).success).toBe(false);
    expect(sent).toEqual([]);
  });

  test('is killed with its run', async () => {
    const { sent, run } = await waiting();
    await run.kill();
    await expect(run.approve('body')).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' });
    expect(sent).toEqual([]);
  });
});
