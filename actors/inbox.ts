import type { Journal } from '../src/backend.ts';
import { GENESIS, sealPost, unsealPosts } from '../src/chain.ts';
import type { Clock } from '../src/clock.ts';
import type { Control } from '../src/protocol/control.ts';
import { inboxOf, type RunId } from '../src/protocol/ids.ts';
import { INBOX_VERSION, type Message } from '../src/protocol/inbox.ts';
import type { Ack } from './pump.ts';
import type { Run } from './run.ts';

/** A run's inbox is a journal that anybody appends to and its owner alone takes from. What was taken is in the run's own journal. */

/** Behind whatever stands there. Resolves once it is recorded. */
export async function post(
  run: RunId,
  message: Message | Control,
  { journal, clock }: { journal: Journal; clock: Clock },
): Promise<Ack> {
  const inbox = inboxOf(run);
  for (;;) {
    const tail = await journal.tail(inbox);
    const seq = (tail?.seq ?? 0) + 1;
    const sealed = sealPost({ v: INBOX_VERSION, run, seq, at: clock.now(), message }, tail?.hash ?? GENESIS);
    const appended = await journal.append(inbox, [sealed], { epoch: 0, after: seq - 1 });
    if (appended.status === 'appended') return { seq, level: appended.level };
  }
}

/** Gives a run what it has not taken yet, in order, one by one: the run's own journal sets the pace. Resolves when there is no more. */
export async function take(run: Run, { journal }: { journal: Journal }): Promise<void> {
  const from = run.commands.taken;
  const before = from === 0 ? undefined : await hashOf(run.id, from, journal);
  for await (const { post: next } of unsealPosts(run.id, journal.read(inboxOf(run.id), from + 1), before))
    await run.commands.take(next);
}

/** The one that was taken last is trusted: it is in the run's own journal. */
async function hashOf(
  run: RunId,
  seq: number,
  journal: Journal,
): Promise<{ seq: number; hash: Uint8Array } | undefined> {
  for await (const { hash } of journal.read(inboxOf(run), seq)) return { seq, hash };
  return undefined;
}
