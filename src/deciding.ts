import { asFailure, toData } from './codec.ts';
import { oneField, TRUE } from './define/expected.ts';
import { mustBe } from './define/options.ts';
import type { CallInDoubt, HandlePorts } from './handle.ts';
import { InDoubtError, NotAllowedError, NotFoundError, ValidationError } from './protocol/errors.ts';
import { checkedText, type RunId } from './protocol/ids.ts';
import type { Message } from './protocol/inbox.ts';
import type { Approval } from './protocol/spec.ts';

/** Which call somebody means who decides about one, of a run or of those that it has begun, and what is decided. */

type Looking = Pick<HandlePorts, 'pending'>;

/** Its own, or that of a run that it has begun. With the hash of something else it is for whoever has the call to say that it is void. */
export async function callWaiting(
  id: RunId,
  call: string,
  hash: string | undefined,
  ports: Looking,
): Promise<Approval> {
  checkedText(call, 'call');
  const { approvals } = await ports.pending(id);
  const found = approvals.filter((approval) => approval.call === call);
  const [first] = found;
  const chosen = found.find((approval) => approval.hash === hash) ?? first;
  if (chosen === undefined) {
    const waiting = approvals.map((approval) => approval.call);
    throw new NotFoundError(
      `Run ${id} has no call '${call}' that waits for approval; waiting: ${waiting.join(', ') || 'none'}.`,
      { run: id, call, waiting },
    );
  }
  if (hash === undefined && chosen.run !== id && found.length > 1)
    throw new ValidationError(
      `${found.length} runs that ${id} has begun have a call '${call}' that waits for approval; say which by its hash: ${found.map(named).join(', ')}.`,
      { run: id, call, hashes: found.map((approval) => approval.hash) },
    );
  return chosen;
}

const named = ({ run, call, tool, hash }: Approval): string => `${hash} (${call} of run ${run}, ${tool})`;

/** @throws ValidationError when it was about another call, NotAllowedError when whoever decided may not */
export function mustDecide({ run, call, tool, hash, approvers }: Approval, given: { hash: string; by: string }): void {
  const { by } = given;
  if (given.hash !== hash)
    throw new ValidationError(
      `Run ${run}: this decision is about another call than ${call} is now (${given.hash}, not ${hash}); look again, then decide.`,
      { run, call, hash: given.hash, expected: hash },
    );
  if (approvers !== null && !approvers.includes(by))
    throw new NotAllowedError(
      `Run ${run}: ${by} may not decide about ${call} of tool ${tool}; these may: ${approvers.join(', ') || 'none'}.`,
      { run, call, tool, by, allowed: approvers },
    );
}

/** Whose call it is, and the entry at which it is in doubt. */
export async function callInDoubt(id: RunId, call: string, ports: Looking): Promise<{ run: RunId; seen: number }> {
  checkedText(call, 'call');
  const { inDoubt, seen } = await ports.pending(id);
  const found = inDoubt.filter((known) => known.call === call);
  const own = found.find(({ run }) => run === id);
  if (own !== undefined) return { run: id, seen };
  const [below, another] = found;
  if (below !== undefined && another === undefined)
    return { run: below.run, seen: (await ports.pending(below.run)).seen };
  const calls = inDoubt.map((known) => (known.run === id ? known.call : `${known.call} of run ${known.run}`));
  throw new NotFoundError(
    `Run ${id} has no call '${call}' in doubt that could be meant; in doubt: ${calls.join(', ') || 'none'}.`,
    { run: id, call, inDoubt: calls },
  );
}

/** @throws ValidationError */
export function checkedHash(hash: unknown): string {
  if (typeof hash === 'string' && hash !== '') return hash;
  throw new ValidationError(
    `The hash of a decision is ${hash === null ? 'null' : hash === '' ? 'empty' : `a ${typeof hash}`}; use that of the call as approvals() shows it, or leave it out.`,
    { path: 'hash' },
  );
}

const DECISION = oneField(['output', 'error', 'retry'], 'one of { output }, { error } and { retry: true }');

/** As it is kept. @throws ValidationError */
export function checkedDecision(decision: unknown): Extract<Message, { type: 'resolve' }>['decision'] {
  mustBe(decision, DECISION, 'A decision', 'decision');
  const given = decision as { output: unknown } | { error: unknown } | { retry: true };
  if ('output' in given) return { output: toData(given.output, 'output') };
  if ('error' in given) return { error: asFailure(given.error) };
  mustBe(given.retry, TRUE, "A decision's retry", 'retry');
  return { retry: true };
}

/** @throws InDoubtError */
export async function mustNotBeInDoubt(run: { id: RunId; inDoubt(): Promise<CallInDoubt[]> }): Promise<void> {
  const calls = (await run.inDoubt()).map(({ call }) => call);
  if (calls.length === 0) return;
  throw new InDoubtError(
    `Run ${run.id} waits for somebody to say what became of ${calls.join(', ')}: run.resolve(call, { output } | { error } | { retry: true }).`,
    { run: run.id, calls },
  );
}
