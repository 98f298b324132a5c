import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { createTroupe, embedded } from 'troupe';
import { definitions, isSpokenTo, jobs } from './workload.ts';

/** A service of a hundred runs. It says how long it took to recover, that it goes on, and how many runs rested at most. */

const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);
const SAID = process.env['SERVICE_SAID'] ?? '';

/** `try` is written before a message is sent, `ack` once it is acknowledged: of one that was only tried nobody knows. */
function lastTried(run: string): number {
  const lines = readFileSync(SAID, 'utf8').split('\n');
  return lines.filter((line) => line.startsWith(`try ${run} `)).length;
}

const since = performance.now();
const before = process.cpuUsage();
const troupe = await createTroupe({
  backend: embedded({ dir: process.env['SERVICE_DIR'] ?? '' }),
  definitions,
  parkAfter: 20,
  report: (error, where) => console.error(`${where}: ${String(error)}`),
});
const { live, parked } = troupe.counts;
const { user, system } = process.cpuUsage(before);
say({ recovered: live + parked, ms: performance.now() - since, cpuMs: (user + system) / 1_000 });

async function speakTo(id: string): Promise<void> {
  const run = await troupe.attach(id);
  for (let n = lastTried(id) + 1; run.can('send'); n += 1) {
    appendFileSync(SAID, `try ${id} ${n}\n`);
    try {
      await run.send({ type: 'LOCAL', n } as { type: string });
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'INVALID_STATE_TRANSITION') return;
      // It ends at this moment; or it does not, then the next one gets through.
      if (code !== 'CLOSED') throw error;
      await pass(10);
      continue;
    }
    appendFileSync(SAID, `ack ${id} ${n}\n`);
    await pass(10);
  }
}

for (const { id, definition } of jobs) await troupe.start(definition, undefined as never, { id });
say({ started: jobs.length });
const spoken = Promise.all(jobs.filter(isSpokenTo).map(({ id }) => speakTo(id)));

let most = 0;
for (;;) {
  const counts = troupe.counts;
  most = Math.max(most, counts.parked);
  if (counts.live + counts.parked === 0) break;
  await pass(10);
}
await spoken;
await troupe.close();
say({ ended: true, parked: most });
