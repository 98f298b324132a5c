import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { assign, createActor, setup } from 'xstate';
import { measure, must, type Figures } from './measure.ts';
import { step, STEPS } from './workload.ts';

/**
 * The thinnest durable statechart that can be written by hand: a step's result goes to disk as an event and only then to the machine. All events of one turn
 * of the loop share a transaction. It cannot recover, replay, kill or count; a run's begin and end are not recorded.
 */

const machine = setup({
  types: { context: {} as { count: number }, events: {} as { type: 'STEP'; result: { ok: boolean } } },
  actions: { count: assign(({ context, event }) => ({ count: context.count + Number(event.result.ok) })) },
}).createMachine({
  context: { count: 0 },
  initial: 's0',
  states: {
    ...Object.fromEntries(
      Array.from({ length: STEPS }, (_, i) => [
        `s${i}`,
        { on: { STEP: { target: `s${i + 1}`, actions: 'count' as const } } },
      ]),
    ),
    [`s${STEPS}`]: { type: 'final' },
  },
});

export async function byHand(dir: string, inFlight: number): Promise<Figures> {
  const db = new DatabaseSync(join(dir, 'byHand.db'));
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE e(run TEXT, seq INTEGER, body TEXT, PRIMARY KEY(run, seq)) WITHOUT ROWID',
  );
  must(db.prepare('PRAGMA synchronous').get()?.['synchronous'] === 2, 'it is not flushed');
  const insert = db.prepare('INSERT INTO e VALUES (?, ?, ?)');
  let waiting: { write: () => void; done: () => void }[] = [];
  const commit = (): void => {
    const works = waiting;
    waiting = [];
    db.exec('BEGIN');
    for (const { write } of works) write();
    db.exec('COMMIT');
    for (const { done } of works) done();
  };
  const append = (run: string, seq: number, event: unknown): Promise<void> =>
    new Promise((done) => {
      const write = (): void => void insert.run(run, seq, JSON.stringify(event));
      if (waiting.push({ write, done }) === 1) setImmediate(commit);
    });

  let runs = 0;
  const figures = await measure(
    async (index) => {
      const run = `r${index}`;
      const actor = createActor(machine).start();
      for (let seq = 0; seq < STEPS; seq += 1) {
        const result = await step(seq);
        await append(run, seq, { run, seq, type: 'step.done', at: Date.now(), data: result });
        actor.send({ type: 'STEP', result });
      }
      const { status, context } = actor.getSnapshot();
      must(status === 'done' && context.count === STEPS, 'a run did not take its ten steps');
      runs += 1;
    },
    { inFlight },
  );
  must(db.prepare('SELECT count(*) AS rows FROM e').get()?.['rows'] === runs * STEPS, 'a step is not on disk');
  db.close();
  return figures;
}
