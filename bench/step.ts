/** What does a step cost? One variant in a process of its own; prints µs per step. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createActor, toPromise } from 'xstate';
import { createTroupe, durable, embedded, type Effect } from '../src/index.ts';
import { measure, STEPS, tenSteps } from './workload.ts';

const FOR_MS = Number(process.env['BENCH_MS'] ?? 1_500);
const dir = mkdtempSync(join(tmpdir(), 'troupe-bench-'));

async function xstate(): Promise<number> {
  return measure(async () => void (await toPromise(createActor(tenSteps).start())), FOR_MS);
}

/** One autocommitted row a step, as small as a step's own record would be. */
async function sqlite(): Promise<number> {
  const db = new DatabaseSync(join(dir, 'raw.db'));
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE e(run TEXT, seq INTEGER, body TEXT, PRIMARY KEY(run, seq)) WITHOUT ROWID',
  );
  const insert = db.prepare('INSERT INTO e VALUES (?, ?, ?)');
  return measure(async (index) => {
    for (let seq = 0; seq < STEPS; seq += 1) {
      await Promise.resolve();
      const row = {
        run: `r${index}`,
        seq,
        type: 'step.done',
        at: Date.now(),
        data: { i: seq, ok: true, note: 'result of a trivial step' },
      };
      insert.run(row.run, seq, JSON.stringify(row));
    }
  }, FOR_MS);
}

async function troupe(options: { dir?: string; level?: 'process' | 'disk' }, effect: Effect): Promise<number> {
  const steps = durable(tenSteps, { name: 'ten-steps', version: '1', effects: { step: effect } });
  const own = await createTroupe({ backend: embedded(options), definitions: [steps] });
  const cost = await measure(async () => {
    const run = await own.start(steps, undefined);
    const result = await run.result();
    if (!result.success) throw new Error(result.error.message);
  }, FOR_MS);
  await own.close();
  return cost;
}

const variants: Record<string, () => Promise<number>> = {
  xstate,
  sqlite,
  memory: () => troupe({}, 'idempotent'),
  process: () => troupe({ dir }, 'idempotent'),
  disk: () => troupe({ dir, level: 'disk' }, 'idempotent'),
  'process-irreversible': () => troupe({ dir }, 'irreversible'),
};

const variant = variants[process.argv[2] ?? ''];
if (variant === undefined) throw new Error(`Which one? ${Object.keys(variants).join(', ')}`);
console.log(await variant());
rmSync(dir, { recursive: true, force: true });
