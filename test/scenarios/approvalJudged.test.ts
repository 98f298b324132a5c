import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { tool, type AnyDefinition, type BackendFactory, type TroupeOptions } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { openedWith } from '../support/opened.ts';
import { until } from '../support/simulatedClock.ts';

/** What a call that may need approval comes to is found out once, is on record, and is what begins. */

const opened = openedWith();

/** Its schema makes 100, 200, 300 … of nothing, each time it is asked. */
function payments(needsApproval: boolean | ((input: { cents: number }) => boolean) = true, approvers?: string[]) {
  const paid: number[] = [];
  let asked = 0;
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    inputSchema: z.object({ cents: z.number().default(() => (asked += 1) * 100) }),
    needsApproval,
    ...(approvers && { approvers }),
    execute: ({ cents }) => void paid.push(cents),
  });
  return { paid, pay, asked: () => asked };
}

describe('what a call is given', () => {
  test('is what was shown, whatever the schema would make of its input the next time', async () => {
    const { paid, pay } = payments();
    const run = await (await opened()).start(pay, {});
    expect(await run.approvals()).toMatchObject([{ input: { cents: 100 } }]);
    await run.approve('body');
    await run.result();
    expect(paid).toEqual([100]);
  });

  test('is what was shown, whatever whoever looks at it does to that', async () => {
    const paid: { cents: number }[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({ cents: z.number() }),
      needsApproval: true,
      approvers: ['ana'],
      execute: (input) => void paid.push(input),
    });
    const troupe = await opened();
    const run = await troupe.start(pay, { cents: 100 });
    run.on('*', ({ event }) => {
      const { parsed } = (event as { event?: { parsed?: { cents: number } } } | null)?.event ?? {};
      if (parsed !== undefined) parsed.cents = 999;
    });
    const [shown] = await run.approvals();
    if (shown === undefined) throw new Error('nothing waits');
    (shown.input as { cents: number }).cents = 1_000_000;
    (shown.approvers as string[]).push('mallory');
    await expect(run.approve('body', { by: 'mallory' })).rejects.toThrow('may not decide');
    await run.approve('body', { by: 'ana', hash: shown.hash });
    await run.result();
    expect(paid).toEqual([{ cents: 100 }]);
  });

  test('is what was judged, also where it needs no approval', async () => {
    const { paid, pay } = payments(({ cents }) => cents > 100);
    await (await opened()).execute(pay, {});
    expect(paid).toEqual([100]);
  });

  test('is what was shown after a crash and in a fork, too', async () => {
    const store = new FaultyStore();
    const { paid, pay, asked } = payments(({ cents }) => cents < 200, ['ana']);
    const options: TroupeOptions = { backend: store, definitions: [pay] };
    const first = await opened(options);
    const shown = await (await first.start(pay, {}, { id: 'x' })).approvals();
    await first.close();
    const troupe = await opened(options);
    const run = await troupe.attach('x');
    expect(await run.approvals()).toEqual(shown);
    const fork = await troupe.fork('x', { id: 'y' });
    expect(await fork.approvals()).toMatchObject([{ run: 'y', input: { cents: 100 } }]);
    for (const one of [run, fork]) {
      await one.approve('body', { by: 'ana' });
      expect((await one.result()).success).toBe(true);
    }
    expect([paid, asked()]).toEqual([[100, 100], 1]);
  });

  test('is nothing where its schema has refused its input, though it would take it later', async () => {
    let asked = 0;
    const paid: unknown[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({ at: z.number().refine(() => (asked += 1) > 1, 'too early') }),
      needsApproval: true,
      execute: (input) => void paid.push(input),
    });
    const run = await (await opened()).start(pay, { at: 1 });
    expect((await run.result()).error).toMatchObject({
      code: 'VALIDATION',
      message: expect.stringContaining('too early'),
    });
    expect(paid).toEqual([]);
  });

  test('is what a schema makes that has to wait', async () => {
    const paid: unknown[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({ cents: z.string().transform(async (text) => Number(text)) }),
      needsApproval: ({ cents }) => cents > 100,
      execute: ({ cents }) => void paid.push(cents),
    });
    const troupe = await opened();
    await troupe.execute(pay, { cents: '5' });
    const run = await troupe.start(pay, { cents: '500' });
    expect(await run.approvals()).toMatchObject([{ input: { cents: 500 } }]);
    await run.approve('body');
    await run.result();
    expect(paid).toEqual([5, 500]);
  });

  test('can be kept: what the schema makes otherwise does not begin', async () => {
    const { paid } = payments();
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({}).transform(() => new Map([['cents', 1]])),
      needsApproval: () => false,
      execute: () => void paid.push(1),
    });
    const { error } = await (await (await opened()).start(pay, {})).result();
    expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('cannot be kept') });
    expect(paid).toEqual([]);
  });
});

test('a call whose schema makes what is no data does not begin, and is not shown as nothing', async () => {
  let asked = 0;
  const read = tool({
    name: 'read',
    description: 'Reads a page',
    inputSchema: z.object({ from: z.string().transform((text) => new URL(text)) }),
    needsApproval: ({ from }) => ((asked += 1), from.hostname === 'elsewhere.org'),
    execute: ({ from }) => from.href,
  });
  const run = await (await opened()).start(read, { from: 'https://elsewhere.org/x' });
  expect((await run.result()).error).toMatchObject({
    code: 'VALIDATION',
    message: expect.stringContaining('input.from is a URL'),
  });
  expect(asked).toBe(0);
});

test('a call for which the question throws waits for a person', async () => {
  const { paid, pay } = payments(() => {
    throw new Error('no rates today');
  });
  const run = await (await opened()).start(pay, {});
  expect(await run.approvals()).toHaveLength(1);
  expect(paid).toEqual([]);
});

describe('an approval of a call whose outcome nobody knows', () => {
  /** Approved, begun, and left by its owner at its first attempt. */
  async function inDoubt() {
    const store = new FaultyStore();
    let begun = 0;
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({}),
      needsApproval: true,
      approvers: ['ana'],
      execute: () => ((begun += 1) === 1 ? new Promise<string>(() => {}) : 'paid'),
    });
    const options = { backend: store as BackendFactory, definitions: [pay] as AnyDefinition[] };
    const first = await opened(options);
    const run = await first.start(pay, {}, { id: 'x' });
    const { hash } = (await run.approvals())[0] ?? {};
    if (hash === undefined) throw new Error('nothing waits');
    await run.approve('body', { by: 'ana' });
    await until(() => begun === 1, 'it has begun');
    await first.close();
    const troupe = await opened(options);
    const again = await troupe.attach('x');
    expect(await again.inDoubt()).toHaveLength(1);
    return { troupe, run: again, hash, begun: () => begun };
  }

  test('serves once: to begin again it waits for another one', async () => {
    const { run, hash, begun } = await inDoubt();
    await run.resolve('body', { retry: true }, { by: 'eve' });
    expect(await run.approvals()).toHaveLength(1);
    await expect(run.approve('body', { by: 'ana', hash })).rejects.toMatchObject({ code: 'VALIDATION' });
    await expect(run.approve('body', { by: 'eve' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    expect(begun()).toBe(1);
    await run.approve('body', { by: 'ana' });
    expect((await run.result()).data).toBe('paid');
    expect(begun()).toBe(2);
  });

  test('is none in a fork', async () => {
    const { troupe, begun } = await inDoubt();
    const fork = await troupe.fork('x', { id: 'y' });
    await fork.resolve('body', { retry: true }, { by: 'eve' });
    expect(await fork.approvals()).toMatchObject([{ run: 'y' }]);
    expect(begun()).toBe(1);
    await fork.approve('body', { by: 'ana' });
    expect((await fork.result()).data).toBe('paid');
  });

  test('denied the second time leaves it in doubt', async () => {
    const { run, begun } = await inDoubt();
    await run.resolve('body', { retry: true });
    await run.deny('body', { by: 'ana' });
    expect(await run.inDoubt()).toHaveLength(1);
    const { runs } = await run.kill();
    expect(runs).toMatchObject([{ inDoubt: ['body'] }]);
    expect(begun()).toBe(1);
  });
});

describe('a decision that is refused', () => {
  const send = tool({
    name: 'send',
    description: 'Sends',
    inputSchema: z.object({}),
    needsApproval: true,
    approvers: ['ana'],
    execute: () => 'sent',
  });

  test('is refused at once where the run lives in another process, and on record there', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store, definitions: [send] });
    const other = await opened({ backend: store, definitions: [send] });
    const run = await owner.start(send, {}, { id: 'x' });
    const far = await other.attach('x');
    await expect(far.approve('body', { by: 'eve' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await expect(far.deny('body', { by: 'ana', hash: 'beef' })).rejects.toMatchObject({ code: 'VALIDATION' });
    await expect(run.approve('body', { by: 'bo' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    await far.approve('body', { by: 'ana' });
    await run.result();
    await expect(far.approve('body', { by: 'ana' })).rejects.toThrow();
    const refused = (await entriesOf(run)).filter(({ type }) => type === 'message.refused');
    expect(refused.map(({ event }) => (event as { by: string }).by).sort()).toEqual(['ana', 'bo', 'eve']);
  });

  test('does not take a run over that nobody owns, and is in the audit all the same', async () => {
    const store = new FaultyStore();
    const first = await opened({ backend: store, definitions: [send] });
    const run = await first.start(send, {}, { id: 'x' });
    expect(await run.settled()).toBe('waiting');
    await first.close();
    const troupe = await opened({ backend: store, definitions: [send], recover: false });
    const far = await troupe.attach('x');
    const before = (await far.summary()).entries;
    await expect(far.approve('body', { by: 'eve' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
    expect((await far.summary()).entries).toBe(before);
    const rows = [];
    for await (const row of troupe.audit({ by: 'eve' })) rows.push(row);
    expect(rows).toMatchObject([{ action: 'refuse', about: 'approve', error: 'NOT_ALLOWED', tenant: 'default' }]);
  });

  test('has a hash, where it has one', async () => {
    const run = await (await opened()).start(send, {});
    for (const hash of [null, '', 5])
      await expect(run.approve('body', { by: 'ana', hash: hash as never })).rejects.toMatchObject({
        code: 'VALIDATION',
      });
    expect(await run.approvals()).toHaveLength(1);
  });
});
