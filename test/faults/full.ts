import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { addressOf, createTroupe, durable, embedded, StorageFullError, type BackendFactory } from 'troupe';
import { assign, fromPromise, setup } from 'xstate';
import { SEQ_BITS } from '../../src/backends/embedded/check.ts';
import { entryOf } from '../../src/chain.ts';

/**
 * A process whose disk is filled and freed, again and again, while a run makes calls that must not happen unrecorded and somebody sends it
 * messages. `disk`: 'small', the directory is on a disk of a few MB, which is filled; or 'refusing', nothing that would be written is.
 */
const [dir = '', disk = '', cycles = '0'] = process.argv.slice(2);
const ballast = join(dir, 'ballast');
const PATIENCE_MS = 10_000;

let refusing = false;
function refusingStore(inner: BackendFactory): BackendFactory {
  const mustHaveSpace = (): void => {
    if (refusing) throw new StorageFullError('No space is left. Nothing was written; make room and repeat.', {});
  };
  return {
    open: async (ports) => {
      const backend = await inner.open(ports);
      const { journal, registry } = backend;
      return {
        ...backend,
        journal: {
          ...journal,
          append: async (...given) => (mustHaveSpace(), journal.append(...given)),
        },
        registry: { ...registry, put: async (...given) => (mustHaveSpace(), registry.put(...given)) },
      };
    },
  };
}

/** Until nothing more fits. */
function fill(): void {
  if (disk === 'refusing') return void (refusing = true);
  const file = openSync(ballast, 'a');
  try {
    for (let size = 1 << 18; size >= 256;) {
      try {
        if (writeSync(file, Buffer.alloc(size, 1)) < size) size >>= 1;
      } catch {
        size >>= 1;
      }
    }
  } finally {
    closeSync(file);
  }
}
function free(): void {
  refusing = false;
  rmSync(ballast, { force: true });
}

async function until(fact: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!fact()) {
    if (performance.now() > deadline)
      throw new Error(`Waited ${PATIENCE_MS} ms in vain: ${what}; ${JSON.stringify(seen)}`);
    await pass(2);
  }
}

const seen = {
  calls: 0,
  premature: [] as string[],
  sent: [] as number[],
  refused: [] as number[],
  others: [] as string[],
};
const isFull = (error: unknown): boolean => error instanceof StorageFullError && error.code === 'STORAGE_FULL';
const note = (error: unknown, where: string): void => {
  if (!isFull(error)) seen.others.push(`${where}: ${String(error)}`);
};

let intents: (key: string) => boolean = () => false;
const work = setup({
  types: { context: {} as { notes: number[]; calls: number }, output: {} as number[] },
  actors: {
    charge: fromPromise(async ({ self }) => {
      const { key } = addressOf(self);
      if (!intents(key)) seen.premature.push(key);
      seen.calls += 1;
      await pass(10);
    }),
  },
}).createMachine({
  context: { notes: [], calls: 0 },
  on: {
    NOTE: { actions: assign({ notes: ({ context, event }) => [...context.notes, Number(event['n'])] }) },
    STOP: '.stopped',
  },
  initial: 'charging',
  states: {
    charging: { invoke: { src: 'charge', onDone: 'resting' } },
    resting: { after: { 10: 'charging' } },
    stopped: { type: 'final' },
  },
  output: ({ context }) => context.notes,
});
const charger = durable(work, { name: 'charger', version: '1', effects: { charge: 'irreversible' } });
const idle = durable(
  setup({}).createMachine({
    initial: 'idle',
    states: { idle: { on: { STOP: 'stopped' } }, stopped: { type: 'final' } },
  }),
  { name: 'idle', version: '1' },
);

const store = embedded({ dir: join(dir, 'store') });
const troupe = await createTroupe({
  backend: disk === 'refusing' ? refusingStore(store) : store,
  report: note,
});
const run = await troupe.start(charger, undefined, { id: 'charger' });

const db = new DatabaseSync(join(dir, 'store', 'troupe.db'), { readOnly: true, timeout: 1_000 });
// An id is the number of its journal and its seq in one: those of other runs come before.
const newest = db.prepare(
  `SELECT bytes FROM entries WHERE id < (SELECT no + 1 FROM runs WHERE run = 'charger') << ${SEQ_BITS} ORDER BY id DESC LIMIT 40`,
);
intents = (key) =>
  newest.all().some(({ bytes }) => {
    const { type, target } = entryOf(bytes as Uint8Array);
    return type === 'leaf.started' && target === key;
  });

let speaking = true;
async function speak(): Promise<void> {
  for (let n = 0; speaking; n += 1) {
    try {
      await run.send({ type: 'NOTE', n });
      seen.sent.push(n);
    } catch (error) {
      note(error, 'send');
      seen.refused.push(n);
    }
    await pass(15);
  }
}
const spoken = speak();

const goneOnMs: number[] = [];
for (let cycle = 0; cycle < Number(cycles); cycle += 1) {
  const [calls, sent] = [seen.calls, seen.sent.length];
  await until(() => seen.calls > calls + 3 && seen.sent.length > sent + 3, 'work goes on');
  const refused = seen.refused.length;
  // A log that was folded is written again from its beginning, which takes no space.
  await until(() => (fill(), seen.refused.length > refused), 'nothing more is taken');
  for (let refusal = false; !refusal;) {
    fill();
    try {
      await (await troupe.start(idle)).kill();
    } catch (error) {
      note(error, 'start');
      refusal = true;
    }
  }
  const before = { calls: seen.calls, sent: seen.sent.length };
  free();
  const since = performance.now();
  await until(() => seen.calls > before.calls && seen.sent.length > before.sent, 'it goes on');
  goneOnMs.push(performance.now() - since);
}
speaking = false;
await spoken;
await run.send({ type: 'STOP' });
const { data: notes = [] } = await run.result();
const { equal, entries } = await troupe.replay(run.id);
let recorded = 0;
for await (const { type } of run.entries()) if (type === 'leaf.started') recorded += 1;
db.close();
await troupe.close();

console.log(
  JSON.stringify({
    ...seen,
    lost: seen.sent.filter((n) => !notes.includes(n)),
    phantoms: seen.refused.filter((n) => notes.includes(n)),
    sent: seen.sent.length,
    refused: seen.refused.length,
    intents: recorded,
    worstMs: Math.round(Math.max(...goneOnMs)),
    equal,
    entries,
  }),
);
