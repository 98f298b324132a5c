import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createActor, toPromise } from 'xstate';
import { createTroupe, durable, embedded, type Effect, type EmbeddedOptions, type Level } from '../src/index.ts';
import { byHand } from './byHand.ts';
import { answer, measure, must, scratch, type Figures } from './measure.ts';
import { idle, STEPS, tenSteps, tenTools } from './workload.ts';

/** What does a step cost? */

async function xstate(): Promise<Figures> {
  return measure(async () => {
    must((await toPromise(createActor(tenSteps).start())) === STEPS, 'a run did not take its ten steps');
  });
}

/** One autocommitted row a step, as small as a step's own record would be. */
async function sqlite(dir: string): Promise<Figures> {
  const db = new DatabaseSync(join(dir, 'raw.db'));
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE e(run TEXT, seq INTEGER, body TEXT, PRIMARY KEY(run, seq)) WITHOUT ROWID',
  );
  const insert = db.prepare('INSERT INTO e VALUES (?, ?, ?)');
  let runs = 0;
  const figures = await measure(async (index) => {
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
    runs += 1;
  });
  must(db.prepare('SELECT count(*) AS rows FROM e').get()?.['rows'] === runs * STEPS, 'a row is missing');
  db.close();
  return figures;
}

interface Case {
  machine?: typeof tenSteps | typeof tenTools;
  effect?: Effect;
  inFlight?: number;
}

async function troupe(
  options: EmbeddedOptions,
  { machine = tenSteps, effect = 'idempotent', inFlight = 1 }: Case = {},
): Promise<Figures> {
  // A tool says itself what it does to the world.
  const effects = machine === tenTools ? {} : { step: effect };
  const steps = durable(machine as typeof tenSteps, { name: 'ten-steps', version: '1', effects });
  const waits = durable(idle, { name: 'waits', version: '1' });
  const own = await createTroupe({ backend: embedded(options), definitions: [steps, waits] });
  let last = '';
  const figures = await measure(
    async () => {
      const run = await own.start(steps, undefined);
      const { success, data, metadata } = await run.result();
      must(success && data === STEPS && metadata.steps === STEPS, 'a run did not take its ten steps');
      must(effect !== 'irreversible' || metadata.byType['leaf.started'].count === STEPS, 'an intent is not recorded');
      last = run.id;
    },
    { inFlight },
  );
  const { status, summary } = await own.replay(last);
  must(status === 'completed' && summary.steps === STEPS, 'the journal does not have it');
  const { level } = await (await own.start(waits, undefined)).send({ type: 'NEXT' });
  const said: Level = options.dir === undefined ? 'memory' : (options.level ?? 'process');
  must(level === said, `its level is ${level}, not ${said}`);
  await own.close();
  return figures;
}

await answer({
  xstate,
  sqlite: () => sqlite(scratch()),
  'by-hand': () => byHand(scratch(), 1),
  'by-hand-100': () => byHand(scratch(), 100),
  memory: () => troupe({}),
  tools: () => troupe({}, { machine: tenTools }),
  process: () => troupe({ dir: scratch() }),
  'process-100': () => troupe({ dir: scratch() }, { inFlight: 100 }),
  'process-irreversible': () => troupe({ dir: scratch() }, { effect: 'irreversible' }),
  disk: () => troupe({ dir: scratch(), level: 'disk' }),
  'disk-100': () => troupe({ dir: scratch(), level: 'disk' }, { inFlight: 100 }),
  'disk-irreversible': () => troupe({ dir: scratch(), level: 'disk' }, { effect: 'irreversible' }),
});
