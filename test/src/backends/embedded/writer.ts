import { writeSync } from 'node:fs';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { GENESIS } from '../../../../src/chain.ts';
import { systemClock } from '../../../../src/clock.ts';
import { ownerId, runId } from '../../../../src/protocol/ids.ts';
import { sealed } from '../../../contracts/sealed.ts';

/** A process that appends to a run until it has won `count` times, and prints the seq of each acknowledged entry. */
const [dir = '', owner = '', count = ''] = process.argv.slice(2);
const run = runId('shared');
const backend = await embedded({ dir }).open({ owner: ownerId(owner), clock: systemClock() });
for (let won = 0; won < Number(count);) {
  const { seq: after, hash: before } = (await backend.journal.tail(run)) ?? { seq: 0, hash: GENESIS };
  const { status } = await backend.journal.append(run, sealed(run, 1, { after, before }), { epoch: 1, after });
  if (status === 'refused') continue;
  won += 1;
  // Synchronous: what was printed was acknowledged, also when the kill comes right after.
  writeSync(1, `${after + 1}\n`);
}
await backend.close();
