import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import type { Approval } from '../protocol/spec.ts';

/** The calls in a live machine that wait for approval: itself, or below it. */
export function approvalsIn(snapshot: Partial<AnyMachineSnapshot> | undefined): Approval[] {
  // XState's own types do not say what the machines of others keep.
  if (snapshot?.tags?.has('awaitingApproval') === true) return [(snapshot.context as { approval: Approval }).approval];
  const children = Object.values((snapshot?.children ?? {}) as Record<string, AnyActorRef | undefined>);
  return children.flatMap((child) => approvalsIn(child?.getSnapshot() as Partial<AnyMachineSnapshot> | undefined));
}
