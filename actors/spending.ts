import type { Journal } from '../src/backend.ts';
import { unseal } from '../src/chain.ts';
import { ownSpentIn } from '../src/ledger.ts';
import { add, subtract, type Amount } from '../src/protocol/amount.ts';
import type { Budget, EntryEvents } from '../src/protocol/entry.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { ForkAsked } from './copied.ts';
import { readEnd } from './owner.ts';

/** What a run was given to spend and what it has spent, as journals have it. */

/** Undefined: the run is not there. */
export async function createdOf(run: RunId, journal: Journal): Promise<EntryEvents['run.created'] | undefined> {
  for await (const { entry } of unseal(run, journal.read(run)))
    return entry.type === 'run.created' ? entry.event : undefined;
  return undefined;
}

/** The budget that it has at an entry, a checkpoint or its last entry. */
export async function budgetAt(run: RunId, at: ForkAsked['at'], journal: Journal): Promise<Budget | null> {
  let budget = null as Budget | null;
  let labelled = budget;
  for await (const { entry } of unseal(run, journal.read(run))) {
    if (entry.type === 'run.created') labelled = budget = entry.event.budget;
    else if (entry.type === 'run.continued') budget = entry.event.budget;
    else if (entry.type === 'run.resumed') budget = entry.event.budget ?? budget;
    else if (entry.type === 'checkpoint' && entry.event.label === at) labelled = budget;
    if (entry.seq === at) break;
  }
  return typeof at === 'string' ? labelled : budget;
}

/** By it and all that it has begun; what has not ended counts as its run has it. A fork has not spent what the other run had spent. */
export async function spentBy(run: RunId, journal: Journal): Promise<Amount> {
  const { spent, children } = await ownSpentIn(unseal(run, journal.read(run)));
  for (const [child, counted] of children) {
    // Somebody else may have begun a run under its id.
    if ((await createdOf(child, journal))?.parent?.run !== run) continue;
    if ((await readEnd(journal, child)) === undefined) continue;
    subtract(spent, counted);
    // Its time is in its parent's.
    add(spent, { ...(await spentBy(child, journal)), wallClockMs: 0 });
  }
  return spent;
}
