import type { Entry } from '../../protocol/entry.ts';
import type { ForkOptions } from '../../options.ts';
import type { Random } from './random.ts';
import type { Kind } from './workload.ts';

/** How somebody forks a run: anywhere, at times with a result in place of another. */

const isResult = ({ type }: Entry): boolean => type === 'leaf.succeeded' || type === 'leaf.failed';

export interface ForkAsked {
  options: Pick<ForkOptions, 'at' | 'replace' | 'budget' | 'definition'>;
  /** The first entry that does not fit the definition that is to go on. */
  misfit?: number | undefined;
  /** What stands behind the replaced result was recorded with the other one: it may not fit. */
  mayDiverge: boolean;
}

export function forkOf(entries: readonly Entry[], changed: Kind['changed'], random: Random): ForkAsked {
  if (changed !== undefined && entries.length > 2 && random.chance(0.5)) {
    const at = random.whole(2, entries.length);
    const misfit = entries.slice(0, at).find(changed.misfit)?.seq;
    return { options: { at, definition: changed.definition }, misfit, mayDiverge: misfit !== undefined };
  }
  const results = entries.filter(isResult);
  const cut = random.chance(0.5) ? results[random.whole(0, results.length)]?.seq : undefined;
  const at = cut ?? (random.chance(0.2) ? undefined : random.whole(2, Math.max(2, entries.length)));
  const options = { ...(at !== undefined && { at }), ...random.pick(BUDGETS) };
  const within = results.filter(({ seq }) => at === undefined || seq <= at);
  const last = within[random.chance(0.6) ? within.length - 1 : random.whole(0, within.length)];
  if (last === undefined || random.chance(0.4)) return { options, mayDiverge: false };
  // What it gave already must fit.
  const same = last.type === 'leaf.succeeded' && random.chance(0.5);
  const instead = same ? { output: last.event.output } : { error: new Error('planned: replaced') };
  return { options: { ...options, replace: { [last.seq]: instead } }, mayDiverge: !same && last.seq !== at };
}

const BUDGETS: readonly Pick<ForkOptions, 'budget'>[] = [
  {},
  {},
  { budget: null },
  { budget: { steps: 3 } },
  { budget: { steps: 9, tokens: 400 } },
];
