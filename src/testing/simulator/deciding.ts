import type { RunHandle } from '../../run.ts';
import type { Audit } from './checks/audit.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

interface Ports {
  random: Random;
  audit: Audit;
  world: World;
}

/** What somebody makes of calls that wait for approval, or are in doubt. `kindly`: in favour of an end. */
export async function decide(handle: RunHandle, kindly: boolean, { random, audit, world }: Ports): Promise<void> {
  const run = handle.id;
  for (const { call, hash, input } of await handle.approvals()) {
    if (!kindly && random.chance(0.2)) {
      await handle.deny(call, { by: 'boss', hash, reason: 'no' });
      continue;
    }
    const by = !kindly && random.chance(0.15) ? 'mallory' : 'boss';
    audit.shown.set(`${run} ${call}`, JSON.stringify(input));
    const wrong = !kindly && random.chance(0.15);
    await handle.approve(call, { by, hash: wrong ? hash.replace(/^./, (c) => (c === '0' ? '1' : '0')) : hash });
  }
  for (const { call } of await handle.inDoubt()) {
    const done = world.of(run, call).find(({ performed }) => performed);
    const gone = world.of(run, call).every(({ process }) => process.gone || process.closed);
    const intended = audit
      .of(run)
      .call(call)
      .intents.map(({ epoch }) => audit.of(run).writers.get(epoch));
    const nobody = gone && intended.every((process) => process === undefined || process.gone || process.closed);
    if (done !== undefined) await handle.resolve(call, { output: done.output });
    else if (nobody && random.chance(0.7)) await handle.resolve(call, { retry: true });
    else await handle.resolve(call, { error: new Error('planned: given up') });
  }
}
