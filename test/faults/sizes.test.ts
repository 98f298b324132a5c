import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createTroupe,
  durable,
  embedded,
  tool,
  ValidationError,
  type EntryType,
  type RunHandle,
  type Troupe,
} from 'troupe';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fromCallback, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { MAX_PAYLOAD, type Backend } from '../../src/backend.ts';
import { systemClock } from '../../src/clock.ts';
import { DEFAULT_TENANT, inboxOf, ownerId, runId } from '../../src/protocol/ids.ts';
import { inboxSubject } from '../../src/protocol/subject.ts';
import { until } from './job.ts';

vi.setConfig({ testTimeout: 30_000 });

/** Of one value in a journal. */
const CAP = 64 * 2 ** 20;
const REGISTRY_CAP = 64 * 2 ** 10;

/** A value that counts for so many bytes; of a hundred times the cap one that shares its parts, so that it fits into memory. */
const sized = (bytes: number): unknown =>
  bytes <= CAP + 1 ? 'x'.repeat(bytes) : Array.from<unknown>({ length: Math.ceil(bytes / CAP) }).fill(sized(CAP));

/** Keys and the type of an event count, too; of one that a leaf emits its place in the emission as well. */
const keep = (bytes: number, around = 'typeKEEPdata'): { type: 'KEEP'; data: unknown } => ({
  type: 'KEEP',
  data: sized(bytes > CAP + 1 ? bytes : bytes - around.length),
});

const box = durable(
  setup({
    types: {
      events: {} as { type: 'KEEP'; data: unknown } | { type: 'GIVE' | 'SAY'; bytes: number } | { type: 'END' },
    },
    actors: {
      give: fromPromise<unknown, number>(({ input }) => Promise.resolve(sized(input))),
      say: fromCallback<{ type: 'END' }, number>(({ input, sendBack }) => sendBack(keep(input, 'eventtypeKEEPdata'))),
    },
  }).createMachine({
    initial: 'open',
    states: {
      open: { on: { KEEP: {}, GIVE: 'giving', SAY: 'saying', END: 'done' } },
      giving: {
        invoke: {
          src: 'give',
          input: ({ event }) => ('bytes' in event ? event.bytes : 0),
          onDone: 'open',
          onError: 'open',
        },
      },
      saying: {
        invoke: { src: 'say', input: ({ event }) => ('bytes' in event ? event.bytes : 0), onError: 'open' },
        on: { KEEP: 'open' },
      },
      done: { type: 'final' },
    },
  }),
  { name: 'box', version: '1' },
);
// The input is whatever a test gives, and the handle as untyped.
const start = (input?: unknown): Promise<RunHandle> =>
  troupe.start(box, input as never) as unknown as Promise<RunHandle>;

/** Asks a leaf for that much. */
const ask = (type: 'GIVE' | 'SAY', bytes: number): { type: string } => Object.assign({ type }, { bytes });

const read = tool({
  name: 'read',
  description: 'Reads so many bytes.',
  effect: 'read',
  inputSchema: z.number(),
  execute: (bytes) => sized(bytes),
});

let dir: string;
let troupe: Troupe;
const open = (): Promise<Troupe> =>
  createTroupe({ backend: embedded({ dir }), definitions: [box], report: () => {}, recover: false });
beforeEach(async () => {
  dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'troupe-sizes-'));
  troupe = await open();
});
afterEach(async () => {
  await troupe.close();
  rmSync(dir, { recursive: true, force: true });
});

/** What a refusal names. */
async function refused(giving: Promise<unknown>): Promise<string> {
  const error = await giving.then(
    () => new Error('it was taken'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ValidationError);
  return (error as ValidationError).message;
}

/** What is recorded of a run, and all of it can be read again. */
async function recorded(run: RunHandle): Promise<string[]> {
  const { entries, equal } = await troupe.replay(run.id);
  expect(equal).toBe(true);
  const types: string[] = [];
  for await (const { type } of run.entries()) if (types.push(type) === entries) break;
  return types;
}

/** Once an entry of this type is there, the error it tells of. The entry itself is too large to be shown by an assertion. */
async function errorIn(run: RunHandle, wanted: EntryType): Promise<string | undefined> {
  for await (const { type, event } of run.entries())
    if (type === wanted)
      return event !== null && 'error' in event ? (event.error as { name?: string }).name : undefined;
  throw new Error(`The run ended without ${wanted}`);
}

// Each is written and read several times.
describe.each(process.env['FAULT_SIZES'] === 'all' ? [CAP - 1, CAP] : [CAP])('a value of %i bytes is kept', (bytes) => {
  test('as an input, and sent, and given by a leaf', async () => {
    const run = await start(sized(bytes));
    await run.send(keep(bytes));
    await run.send(ask('GIVE', bytes));
    await errorIn(run, 'leaf.succeeded');
    expect((await recorded(run)).filter((type) => type === 'message.received')).toHaveLength(2);
  });

  test('emitted by a leaf', async () => {
    const run = await start();
    await run.send(ask('SAY', bytes));
    await errorIn(run, 'leaf.emitted');
  });

  test('given by a tool, which is the output of a run, too', async () => {
    const result = await (await troupe.start(read, bytes)).result();
    expect((result.data as string).length).toBe(bytes);
  });
});

describe.each([CAP + 1, 100 * CAP])('a value of %i bytes is refused, and nothing of it is kept', (bytes) => {
  const LARGE = 'more than 64 MiB';

  test('as an input: there is no run', async () => {
    expect(await refused(start(sized(bytes)))).toContain(LARGE);
    expect(await troupe.runs()).toEqual([]);
  });

  test('sent to a run here, or to one that lives elsewhere', async () => {
    const run = await start();
    const before = await recorded(run);
    expect(await refused(run.send(keep(bytes)))).toContain(LARGE);
    expect(await recorded(run)).toEqual(before);
    const other = await open();
    try {
      expect(await refused((await other.attach(run.id)).send(keep(bytes)))).toContain(LARGE);
    } finally {
      await other.close();
    }
    const backend = await embedded({ dir }).open({ owner: ownerId('reader'), clock: systemClock() });
    expect(await backend.journal.tail(inboxOf(run.id))).toBeUndefined();
    await backend.close();
    await run.send({ type: 'END' });
    expect((await run.result()).success).toBe(true);
  });

  test('given or emitted by a leaf: it has failed, by name, and its run goes on', async () => {
    for (const type of ['GIVE', 'SAY'] as const) {
      const run = await start();
      await run.send(ask(type, bytes));
      expect(await errorIn(run, 'leaf.failed')).toBe('ValidationError');
      await run.send({ type: 'END' });
      expect((await run.result()).success).toBe(true);
    }
  });

  test('given by a tool: its run fails, by name', async () => {
    const { error } = await (await troupe.start(read, bytes)).result();
    expect(error).toMatchObject({ name: 'ValidationError', message: expect.stringContaining(LARGE) });
  });

  test('said beside what is asked: a reason, a label, a name, a cause', async () => {
    const run = await start();
    const before = await recorded(run);
    const text = 'x'.repeat(Math.min(bytes, 2 ** 29 - 100));
    for (const asked of [
      () => run.pause(text),
      () => run.kill(text),
      () => run.checkpoint(text),
      () => run.send({ type: 'END' }, { cause: text }),
      () => run.pause('well', { by: text }),
    ])
      expect(await refused(asked())).toMatch(/characters/);
    expect(await recorded(run)).toEqual(before);
  });
});

describe('of what is not for a journal', () => {
  let backend: Backend;
  beforeEach(async () => {
    backend = await embedded({ dir }).open({ owner: ownerId('owner'), clock: systemClock() });
  });
  afterEach(() => backend.close());

  test.each([
    ['registry', REGISTRY_CAP - 1, REGISTRY_CAP],
    ['queue', MAX_PAYLOAD, MAX_PAYLOAD + 1],
    ['bus', MAX_PAYLOAD, MAX_PAYLOAD + 1],
  ] as const)('a %s takes %i bytes, and no more', async (part, most, tooMany) => {
    const heard: number[] = [];
    const subject = inboxSubject(DEFAULT_TENANT, runId('run'));
    const unsubscribe = backend.bus.subscribe(subject, { message: ({ length }) => void heard.push(length) });
    const give = (bytes: number): Promise<unknown> => {
      switch (part) {
        case 'registry':
          // In msgpack a text of this length has three bytes in front, and five from 64 KiB on.
          return backend.registry.put('key', 'x'.repeat(bytes - 3));
        case 'queue':
          return backend.queue.enqueue('q', `${bytes}`, new Uint8Array(bytes));
        case 'bus':
          return backend.bus.publish(subject, new Uint8Array(bytes));
      }
    };
    for (const bytes of [most - 1, most]) await give(bytes);
    for (const bytes of [tooMany, 100 * most]) expect(await refused(give(bytes))).toMatch(/\d+ bytes.*at most|under/);
    switch (part) {
      case 'registry':
        expect((await backend.registry.get('key'))?.value).toHaveLength(most - 3);
        break;
      case 'queue':
        for (const bytes of [most - 1, most])
          expect((await backend.queue.claim('q', { leaseMs: 60_000 }))?.payload).toHaveLength(bytes);
        expect(await backend.queue.claim('q', { leaseMs: 60_000 })).toBeUndefined();
        break;
      case 'bus':
        await until(() => heard.length === 2, 'both are heard');
        expect(heard).toEqual([most - 1, most]);
    }
    unsubscribe();
  });
});
