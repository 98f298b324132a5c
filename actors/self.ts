import type { AnyActorRef } from 'xstate';
import type { Cost } from '../src/protocol/entry.ts';
import { ClosedError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { parentOf } from './durable.ts';
import { nodeOf, type ChildAsked } from './system/node.ts';

/** What an actor can learn of itself, and ask of its run, by its `self`. */

/** What a source had emitted before a crash, in order; a source that skips these repeats nothing. */
export const recorded = (self: AnyActorRef): readonly unknown[] => nodeOf(self)?.leaf?.recorded ?? [];

/** Run and key of an actor; in what a fork has from another run, that run. Outside a run the run is '' and the key XState's own session id. */
export function addressOf(self: AnyActorRef): { run: RunId | ''; key: string } {
  const node = nodeOf(self);
  return node === undefined ? { run: '', key: self.sessionId } : { run: node.system.run, key: node.key };
}

/** What a leaf was given, as it is on record: nobody is shown that object. Outside a run nothing is. */
export const inputOnRecord = (self: AnyActorRef): unknown => nodeOf(self)?.leaf?.input;

/** The address of the machine that a leaf works for. */
export const callOf = (self: AnyActorRef): ReturnType<typeof addressOf> => addressOf(parentOf(self) ?? self);

/** A kill's receipt waits for it: an actor's promise may go on after its signal was aborted. */
export function tracked<T>(self: AnyActorRef, work: Promise<T>): Promise<T> {
  const node = nodeOf(self);
  node?.system.work.add(node.key, work);
  return work;
}

/** The run that a call of `self` begins, in the troupe whose run `self` is of. */
export function childOf(self: AnyActorRef, input: unknown, asked: ChildAsked): Promise<unknown> {
  const node = nodeOf(self);
  if (node !== undefined) return node.system.host.child(node.key, input, asked);
  throw new ValidationError(`A child run of ${asked.definition.name} can begin only within a run of a troupe.`, {
    definition: asked.definition.name,
  });
}

/**
 * For a plain source: what its call has cost, as it learns of it; the sum is what it has cost. Outside a run nobody counts.
 * @throws BudgetExceededError: it has cost that all the same; ClosedError when the call has ended, ValidationError
 */
export function charge(self: AnyActorRef, cost: Cost): void {
  const node = nodeOf(self);
  if (node === undefined) return;
  if (node.leaf?.over !== false)
    throw new ClosedError(`${node.key} has ended, or is no call: what it charges now is not counted.`, {
      call: node.key,
    });
  node.system.host.charge(node.key, cost);
}
