import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import { durable, tool, toolActor, type RunHandle, type TroupeOptions } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { openedWith } from '../support/opened.ts';

/** Whoever is shown the state of a call that may need approval can change nothing of what is decided and begun, whatever he does to it. */

const opened = openedWith();

const ORDER = () => ({ cents: 100, when: new Date(0), bytes: new Uint8Array([1, 2]) });

/** Everything below it that he can reach, as he likes it. */
function spoil(value: unknown, known = new Set()): void {
  if (typeof value !== 'object' || value === null || known.has(value)) return;
  known.add(value);
  if (value instanceof Date) value.setTime(666);
  if (value instanceof Uint8Array) value.fill(66);
  const own = value as Record<string, unknown>;
  if ('cents' in own) own['cents'] = 666;
  if (Array.isArray(own['approvers'])) own['approvers'].push('eve');
  for (const key of Object.keys(own)) spoil(own[key], known);
}

async function paying(options: TroupeOptions = {}, waits?: Promise<boolean>) {
  const paid: unknown[] = [];
  const order = z.object({ cents: z.number(), when: z.date(), bytes: z.instanceof(Uint8Array) });
  const inputSchema = waits === undefined ? order : order.refine(() => waits);
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    inputSchema,
    needsApproval: true,
    approvers: ['ana'],
    execute: ({ cents, when, bytes }) => void paid.push({ cents, when, bytes: [...bytes] }),
  });
  const troupe = await opened({ backend: new FaultyStore(), definitions: [pay], ...options });
  return { paid, pay, troupe };
}
const contextOf = (snapshot: unknown): object => (snapshot as { context: object }).context;
const PAID = [{ cents: 100, when: new Date(0), bytes: [1, 2] }];

/** As it was begun, and as it is on record. */
async function approved(
  { paid, pay, troupe }: Awaited<ReturnType<typeof paying>>,
  { early, late }: { early?: (run: RunHandle) => void; late?: (context: object) => void },
) {
  const run = await troupe.start(pay, ORDER(), { id: 'x' });
  early?.(run);
  const [before] = await run.approvals();
  expect(before?.input).toMatchObject({ cents: 100, when: new Date(0) });
  late?.(contextOf(run.getSnapshot()));
  expect(await run.approvals()).toEqual([before]);
  await expect(run.approve('body', { by: 'eve' })).rejects.toMatchObject({ code: 'NOT_ALLOWED' });
  await run.approve('body', { by: 'ana', hash: before?.hash ?? '' });
  await run.result();
  expect(paid).toEqual(PAID);
  expect((await troupe.replay('x')).status).toBe('completed');
}

describe('what is begun is what was approved, by whoever may,', () => {
  test('whatever is done to a snapshot', async () => {
    await approved(await paying(), { late: spoil });
  });

  test('whatever is done to what a subscriber is given', async () => {
    let answer!: (yes: boolean) => void;
    let seen = 0;
    const early = (run: RunHandle): void => {
      run.subscribe((snapshot) => {
        seen += 1;
        spoil(contextOf(snapshot));
      });
      answer(true);
    };
    await approved(await paying({}, new Promise((resolve) => (answer = resolve))), { early });
    expect(seen).toBeGreaterThan(0);
  });

  test('whatever is put in the place of what stands in a snapshot', async () => {
    await approved(await paying(), {
      late: (context) => {
        for (const change of [{ parsed: { cents: 666 } }, { approval: undefined }, { input: null }])
          expect(() => Object.assign(context, change)).toThrow(TypeError);
      },
    });
  });

  test('whatever an inspector does to events and snapshots', async () => {
    let spoilt = 0;
    const inspect: TroupeOptions['inspect'] = (event) => {
      const own = event as { event?: object; snapshot?: { context?: object; input?: object } };
      spoilt += 1;
      spoil(own.event);
      spoil(own.snapshot?.context);
      spoil(own.snapshot?.input);
    };
    await approved(await paying({ inspect }), {});
    expect(spoilt).toBeGreaterThan(0);
  });

  test('whatever is done to the context of the machine that makes the call', async () => {
    const { paid, pay, troupe } = await paying();
    const order = ORDER();
    const machine = setup({
      types: { context: {} as { order: ReturnType<typeof ORDER> } },
      actors: { pay: toolActor(pay) },
    }).createMachine({
      context: { order },
      initial: 'paying',
      states: {
        paying: { invoke: { id: 'pay', src: 'pay', input: ({ context }) => context.order, onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'shop', version: '1' }));
    const [waiting] = await run.approvals();
    spoil(order);
    expect(await run.approvals()).toEqual([waiting]);
    await run.approve('body/pay', { by: 'ana', hash: waiting?.hash ?? '' });
    await run.result();
    expect(paid).toEqual(PAID);
    const begun = (await entriesOf(run)).find(({ type }) => type === 'leaf.started');
    expect(begun?.event).toMatchObject({ input: { input: { cents: 100 }, parsed: { cents: 100 } } });
  });
});
