import { getNextTransitions, type AnyActorRef, type AnyMachineSnapshot } from 'xstate';
import { addressOf } from '../../actors/system.ts';

type Snapshot = { status: string } | AnyMachineSnapshot;

const isMachine = (snapshot: Snapshot): snapshot is AnyMachineSnapshot => 'machine' in snapshot;

/**
 * True when nothing can happen by itself: no call is under way but those in doubt, and no timer runs.
 * A body that has ended does not wait: its run is about to end.
 */
export function onlyWaits(snapshot: Snapshot, doubtful: ReadonlySet<string>): boolean {
  if (snapshot.status !== 'active') return false;
  return isMachine(snapshot) && isStill(snapshot, doubtful);
}

function isStill(snapshot: AnyMachineSnapshot, doubtful: ReadonlySet<string>): boolean {
  if (getNextTransitions(snapshot).some(({ eventType }) => eventType.startsWith('xstate.after.'))) return false;
  const children = Object.values(snapshot.children) as (AnyActorRef | undefined)[];
  return children.every((child) => {
    const own = child?.getSnapshot() as Snapshot | undefined;
    if (child === undefined || own === undefined || own.status !== 'active') return true;
    return isMachine(own) ? isStill(own, doubtful) : doubtful.has(addressOf(child).key);
  });
}
