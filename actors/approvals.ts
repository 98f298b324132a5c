import { toData } from '../src/codec.ts';
import { hash as digest } from 'node:crypto';
import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { kept } from '../machines/kept.ts';
import { mustDecide } from '../src/deciding.ts';
import { NotFoundError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Message } from '../src/protocol/inbox.ts';
import type { Approval } from '../src/protocol/spec.ts';
import type { Said } from './said.ts';
import type { DurableSystem } from './system.ts';

/**
 * Calls that wait for somebody to approve them: machines in a state tagged `awaitingApproval`.
 *
 * A1. What was approved is what `hash` says: tool, arguments, run and call. Anything else is void.
 * A2. The chart asks again when the decision is delivered, so a fold decides alike.
 * A3. What waited already where a run was forked is shown, and decided, as the fork's own: a decision about the one is none about the other.
 * A4. It serves once: where somebody lets a call begin again that was in doubt, it waits for another one.
 */

/** What such a machine keeps in its context. */
interface Waiting {
  approval: Approval;
  attempt: number;
}

export function approvalsIn(system: DurableSystem): Approval[] {
  const waiting = Array.from(system.nodes.actors(), ([, actor]) => waitingIn(actor));
  return waiting.filter((one) => one !== undefined).map((one) => shown(one, system));
}

/** A3, A4. Whoever changes what he is shown changes nothing of the call. */
function shown({ approval: own, attempt }: Waiting, { host: { run } }: DurableSystem): Approval {
  const approval = toData(kept(own), 'approval') as Approval;
  if (approval.run === run && attempt === 1) return approval;
  return { ...approval, run, hash: digest('sha256', `${approval.hash}/${run}/${attempt}`, 'hex') };
}

interface Live {
  readonly system: DurableSystem;
  readonly stopped: boolean;
  readonly watchers: { observe(observer: () => void): () => void };
  readonly ended: Promise<unknown>;
}

/** Resolves when it is on record of every call that has come so far whether it needs approval. */
export async function judged(run: Live): Promise<void> {
  while (!run.stopped && isAsking(run.system)) {
    await new Promise<void>((resolve) => {
      const unobserve = run.watchers.observe(() => settle());
      const settle = (): void => {
        unobserve();
        resolve();
      };
      run.ended.then(settle, settle);
    });
  }
}

function isAsking({ nodes }: DurableSystem): boolean {
  for (const [, actor] of nodes.actors()) if (tagsOf(actor)?.has('asking') === true) return true;
  return false;
}

const tagsOf = (actor: AnyActorRef): ReadonlySet<string> | undefined =>
  (actor.getSnapshot() as Partial<AnyMachineSnapshot>).tags;

/** @throws NotFoundError, ValidationError, NotAllowedError */
export function decided(
  run: RunId,
  system: DurableSystem,
  message: Extract<Message, { type: 'approve' | 'deny' }>,
): Said<'message.received'> {
  const { call, hash, by } = message;
  const actor = system.nodes.get(call)?.actor;
  const found = actor && waitingIn(actor);
  if (found === undefined) {
    const waiting = approvalsIn(system).map((one) => one.call);
    throw new NotFoundError(
      `Run ${run} has no call '${call}' that waits for approval; waiting: ${waiting.join(', ') || 'none'}.`,
      { run, call, waiting },
    );
  }
  mustDecide(shown(found, system), { hash, by });
  const approval = kept(found.approval);
  const event =
    message.type === 'approve'
      ? { type: 'troupe.approve', hash: approval.hash, by }
      : { type: 'troupe.deny', hash: approval.hash, by, reason: message.reason };
  return { type: 'message.received', target: call, event: { event, by }, cause: null };
}

function waitingIn(actor: AnyActorRef): Waiting | undefined {
  // The border: whatever has this tag keeps what it waits for.
  const { tags, context } = actor.getSnapshot() as Partial<AnyMachineSnapshot>;
  return tags?.has('awaitingApproval') === true ? (context as unknown as Waiting) : undefined;
}
