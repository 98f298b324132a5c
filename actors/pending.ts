import type { Clock } from '../src/clock.ts';
import type { Pending } from '../src/handle.ts';
import { NotFoundError } from '../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../src/protocol/ids.ts';
import { judged } from './approvals.ts';
import { recoveredNext } from './owner.ts';
import type { Run } from './run.ts';

interface Ports {
  live(run: RunId): Run | undefined;
  fold(run: RunId): Promise<Run>;
  isOwned(run: RunId): Promise<boolean>;
  readonly owner: OwnerId;
  readonly clock: Clock;
}

const NOTHING: Pending = { inDoubt: [], approvals: [], due: null, seen: 0 };

/**
 * What waits for somebody in a run and in all that it has begun. Asked of the run where it lives here, otherwise of its journal: nothing begins
 * for a question. @throws NotFoundError
 */
export async function pendingIn(id: RunId, ports: Ports, parent?: RunId): Promise<Pending> {
  const live = ports.live(id);
  if (live !== undefined) await judged(live);
  const run = live ?? (await ports.fold(id));
  const seen = run.position.seq;
  // Somebody else has begun a run under its id.
  if (parent !== undefined && run.beginning.event.parent?.run !== parent) return NOTHING;
  if (run.end !== undefined) return { inDoubt: [], approvals: [], due: null, seen };
  if (live === undefined && !(await ports.isOwned(id))) run.fold(recoveredNext(run, ports.owner, ports.clock));
  const below = (await Promise.all(run.openChildren.map((child) => pendingBelow(child.run, id, ports)))).flat();
  const { due } = run.system;
  return {
    inDoubt: [...run.inDoubt(), ...below.flatMap(({ inDoubt }) => inDoubt)],
    approvals: [...run.approvals(), ...below.flatMap(({ approvals }) => approvals)],
    due: due === Infinity ? null : due,
    seen,
  };
}

/** Of a run that another one has begun; none where it is not there yet. */
async function pendingBelow(child: RunId, parent: RunId, ports: Ports): Promise<Pending[]> {
  try {
    return [await pendingIn(child, ports, parent)];
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
}
