import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import {
  createTroupe,
  embedded,
  ownerId,
  runId,
  type Backend,
  type BackendFactory,
  type RunId,
  type Stored,
  type Troupe,
} from '../../src/index.ts';
import { encode } from '../../src/codec.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';
import { definitions, tools } from './definitions.ts';

/** Journals as released versions have written them: today's code folds each to what it was, and goes on with those that have not ended. */

interface Golden {
  run: string;
  status: string;
  output: unknown;
  error: unknown;
  steps: number;
  actors: unknown;
  entries: [seq: number, epoch: number, hash: string, bytes: string][];
}

const files = readdirSync(new URL('.', import.meta.url), { recursive: true, encoding: 'utf8' }).filter((name) =>
  /^v\d+\/.*\.json$/.test(name),
);
const read = (file: string): Golden => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as Golden;

const storedOf = ({ entries }: Golden): Stored[] =>
  entries.map(([seq, epoch, hash, bytes]) => ({
    seq,
    epoch,
    hash: Buffer.from(hash, 'base64'),
    bytes: Buffer.from(bytes, 'base64'),
  }));

const open: Troupe[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

/** A troupe on a store in memory that holds just these. */
async function troupeOn(run: RunId, stored: readonly Stored[]): Promise<{ troupe: Troupe; backend: Backend }> {
  const clock = new SimulatedClock();
  const backend = await embedded().open({ owner: ownerId('golden'), clock });
  await backend.journal.append(run, stored, { epoch: 1, after: 0 });
  const factory: BackendFactory = { open: () => Promise.resolve(backend) };
  const troupe = await createTroupe({ backend: factory, clock, definitions, tools });
  open.push(troupe);
  return { troupe, backend };
}

const textOf = ({ bytes }: Pick<Stored, 'bytes'>): string => Buffer.from(bytes).toString('base64');

const bytesOf = async (backend: Backend, run: RunId): Promise<string[]> => {
  const stored: string[] = [];
  for await (const entry of backend.journal.read(run)) stored.push(textOf(entry));
  return stored;
};

test('there are some of every released format', () => {
  expect(new Set(files.map((file) => file.split('/')[0]))).toEqual(new Set(['v1']));
  expect(files.length).toBeGreaterThanOrEqual(6);
});

describe.each(files)('%s', (file) => {
  test('folds to what it was', async () => {
    const golden = read(file);
    const run = runId(golden.run);
    const { troupe, backend } = await troupeOn(run, storedOf(golden));
    const { status, actors, summary, entries } = await troupe.replay(run);
    expect(entries).toBe(golden.entries.length);
    const { output = null, error = null, steps } = summary;
    expect(JSON.parse(JSON.stringify({ status, output, error, steps, actors }))).toEqual({
      status: golden.status,
      output: golden.output,
      error: golden.error,
      steps: golden.steps,
      actors: golden.actors,
    });
    expect(await bytesOf(backend, run)).toEqual(storedOf(golden).map(textOf));
  });
});

test('a run that has not ended goes on', async () => {
  const golden = read('v1/order-waiting.json');
  const run = runId(golden.run);
  const { troupe } = await troupeOn(run, storedOf(golden));
  expect(await troupe.recover(run)).toEqual({ recovered: [run], left: [] });
  const order = await troupe.attach(run);
  await order.send({ type: 'PAY' });
  expect(order.getSnapshot()).toMatchObject({ value: 'charging' });
});

test.each([
  ['version', [2, 'order-odd', 1, 1, 0, 'run.created', 'run', {}, null]],
  ['type', [1, 'order-odd', 1, 1, 0, 'run.dreamt', 'run', {}, null]],
])('an entry of a %s that nobody knows is refused by name, and stays as it is', async (_, entry) => {
  const { hash } = await import('node:crypto');
  const bytes = encode(entry);
  const digest = hash('sha256', Buffer.concat([Buffer.alloc(32), bytes]), 'buffer');
  const run = runId('order-odd');
  const { troupe, backend } = await troupeOn(run, [{ seq: 1, epoch: 1, bytes, hash: digest }]);
  await expect(troupe.replay(run)).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
    context: { run, seq: 1, version: entry[0], type: entry[5] },
  });
  expect((await troupe.recover(run)).left).toMatchObject([{ run, error: { code: 'UNSUPPORTED_FORMAT' } }]);
  expect(await bytesOf(backend, run)).toEqual([textOf({ bytes })]);
});
