import { writeSync } from 'node:fs';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { systemClock } from '../../../../src/clock.ts';
import { ownerId, runId } from '../../../../src/protocol/ids.ts';
import type { Subject } from '../../../../src/protocol/subject.ts';

/** A process that tells of all it is told of: what it is and when it was told, in ms since the epoch. It ends when it reads that it shall. */
const [dir = '', owner = ''] = process.argv.slice(2);
const backend = await embedded({ dir }).open({ owner: ownerId(owner), clock: systemClock() });
const { bus, journal, queue, registry } = backend;
const tell = (what: string): void => void writeSync(1, `${what} ${performance.timeOrigin + performance.now()}\n`);

const run = runId('shared');
let seen = 0;
journal.watch(run, () => {
  // It may be told more often than it has grown.
  void journal.tail(run).then((tail) => {
    for (; seen < (tail?.seq ?? 0); seen += 1) tell(`journal ${seen + 1}`);
  });
});
registry.watch('fact.', (key, now) => tell(`registry ${now === undefined ? `${key} gone` : String(now.value)}`));
bus.subscribe('signal.*' as Subject, {
  message: (payload, _, reply) => {
    tell(`bus ${Buffer.from(payload).toString()}`);
    reply?.(payload);
  },
});
queue.watch('work', () => {
  void queue.claim('work', { leaseMs: 60_000 }).then(async (claim) => {
    if (claim !== undefined && (await claim.ack())) tell(`queue ${claim.id}`);
  });
});
tell('ready now');
process.stdin.once('data', () => void backend.close().then(() => process.stdin.destroy()));
