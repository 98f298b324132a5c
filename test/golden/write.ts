import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTroupe, embedded, ownerId, runId, systemClock } from '../../src/index.ts';
import { counters, definitions, greet, greeting, orders, tools } from './definitions.ts';

/** Writes the golden journals of this format anew: `node --conditions=troupe-source test/golden/write.ts`. Once for each released format. */

const dir = mkdtempSync(join(tmpdir(), 'golden-'));
const options = { backend: embedded({ dir }), definitions, tools };
const first = await createTroupe(options);

const whole = await first.start(orders, { sku: 'A1' }, { id: 'order-shipped', budget: { steps: 9 } });
await whole.send({ type: 'PAY', cents: 1_200 }, { cause: 'mail-7' });
for await (const { type } of whole.entries()) if (type === 'timer.fired') break;
await whole.send({ type: 'SHIP' });
await whole.result();

await (await first.start(orders, { sku: 'A2' }, { id: 'order-killed' })).kill('wrong customer');
await first.start(orders, { sku: 'A3' }, { id: 'order-waiting' });
const counting = await first.start(counters, 0, { id: 'counter-continued' });
for (let n = 0; n < 1_003; n += 1) await counting.send({ type: 'ADD' });
await counting.result();
await (await first.start(greet, { name: 'Cleo' }, { id: 'tool-greet' })).result();
await (await first.start(greeting, {}, { id: 'plan-greeting' })).result();
await first.close();
await (await createTroupe(options)).close();

const last = await createTroupe({ ...options, recover: false });
const backend = await embedded({ dir }).open({ owner: ownerId('golden'), clock: systemClock() });
for await (const run of backend.journal.list()) {
  const entries = [];
  for await (const { seq, epoch, bytes, hash } of backend.journal.read(run))
    entries.push([seq, epoch, Buffer.from(hash).toString('base64'), Buffer.from(bytes).toString('base64')]);
  const { status, actors, summary } = await last.replay(run);
  const { output, error, steps } = summary;
  const golden = { run: runId(run), status, output: output ?? null, error: error ?? null, steps, actors, entries };
  writeFileSync(new URL(`v1/${run}.json`, import.meta.url), `${JSON.stringify(golden, null, 1)}\n`);
}
await backend.close();
await last.close();
rmSync(dir, { recursive: true });
