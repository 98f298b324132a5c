import { decode } from '../../../codec.ts';
import { inboxOf, runId } from '../../../protocol/ids.ts';
import { postOf, type Post } from '../../../protocol/inbox.ts';
import type { Known } from '../known.ts';
import type { Disk } from '../store/disk.ts';
import type { Workload } from '../workload.ts';
import type { Performance, World } from '../world.ts';
import type { Audit } from './audit.ts';
import type { RunFacts } from './facts.ts';

/** What is asked when all is over: what people were told against what is on record, and what was done to the world. */
export function checkEnd(
  known: Known,
  { audit, disk, workload }: { audit: Audit; disk: Disk; workload: Workload },
): void {
  const run = known.plan.name;
  const facts = audit.of(run);
  const violated = (promise: string, what: string): void => audit.violated(promise, run, what);
  if (!known.excused) acknowledged(known, facts, disk, violated);
  if (known.result !== undefined && !known.excused) {
    const { end } = facts;
    const output = end?.type === 'run.completed' ? end.event.output : undefined;
    const told = known.result;
    if (told.success !== (end?.type === 'run.completed') || JSON.stringify(told.data) !== JSON.stringify(output))
      violated('J2', `its result was told as ${JSON.stringify(told)}; its journal ends with ${end?.type}`);
  }
  const kind = workload.kinds[known.plan.kind];
  const { budget, spending, entries } = facts;
  const { steps } = spending.spent;
  // What it was told when it was told, itself: a larger budget may have come since.
  const cut = entries.findLast(({ type }) => type === 'run.forked')?.seq ?? 0;
  const limits = entries.flatMap(({ seq, type, event }) =>
    seq > cut && type === 'budget.exceeded' && event.resource === 'steps' ? [event.limit] : [],
  );
  const limit = Math.max(0, ...limits);
  // What is granted is spent, unless it still waits in a line.
  // What is held back for a run that it has begun is spent for the others.
  if (budget?.steps !== undefined && !spending.begins && steps < limit && kind?.waitsInLine !== true)
    violated('B2', `it was told that ${limit} steps are spent, after ${steps}`);
  const wrong = facts.end && kind?.wrong?.(facts.entries, known.plan.input);
  if (wrong !== undefined) violated('model', wrong);
}

/** What must not be done twice was not. */
export function checkWorld(audit: Audit, world: World): void {
  const done = new Map<string, Performance[]>();
  for (const one of world.performances) {
    if (one.effect !== 'irreversible' || !one.performed) continue;
    const name = `${one.run} ${one.call}`;
    done.set(name, [...(done.get(name) ?? []), one]);
  }
  for (const all of done.values()) {
    const [{ run, call }] = all as [Performance];
    const { retries } = audit.of(run).call(call);
    if (all.length > 1 + retries)
      audit.violated('E3', run, `${call} was performed ${all.length} times; ${retries} times somebody said: again`);
  }
}

function acknowledged(
  { started, killed, sent, plan }: Known,
  facts: RunFacts,
  disk: Disk,
  violated: (promise: string, what: string) => void,
): void {
  const { entries, end, messages } = facts;
  if (started !== undefined && entries.length === 0) violated('J2', 'it was acknowledged and is not there');
  if (killed?.status === 'killed' && end?.type !== 'run.killed')
    violated('K1', `it was killed and ends with ${end?.type}`);
  const inbox = (disk.journals.get(inboxOf(runId(plan.name))) ?? []).map(({ bytes }) => decode(bytes) as Post);
  const taken = Math.max(0, ...entries.map(({ cause }) => postOf(cause)), ...entries.map(continuedWith));
  for (const [n, acknowledgedToo] of sent) {
    if (!acknowledgedToo || messages.has(n)) continue;
    // It may have ended before it took what lay in its inbox.
    const place = inbox.find(
      ({ message }) => message.type === 'send' && (message.event as { n?: number }).n === n,
    )?.seq;
    if (end === undefined || place === undefined || place <= taken)
      violated('J2', `message ${n} was acknowledged and never came`);
  }
}

const continuedWith = ({ type, event }: RunFacts['entries'][number]): number =>
  type === 'run.continued' ? event.inbox : 0;
