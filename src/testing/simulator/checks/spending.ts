import { add, amount, amountOf, larger, subtract, type Amount } from '../../../protocol/amount.ts';
import { beginOf, isEnd, type Entry, type EntryEvents, type Limits } from '../../../protocol/entry.ts';
import { isNotPerformed } from '../../../protocol/exit.ts';

/** What a run has spent, reckoned from its entries: a second opinion beside the ledger's. Money in nano-dollars, so that sums are exact. */
export class Spending {
  /** For good. Of time: that in which a call is under way and the run is not paused. */
  readonly spent = amount();
  /** By calls that have begun and not ended. */
  readonly held = new Map<string, Amount>();
  /** Of a fork: what was spent before its cut, which another budget may be smaller than. */
  atCut = amount();
  /** Of that, what is not its own. */
  inherited = amount();
  /** It has begun runs, of which what it spends depends. */
  begins = false;
  readonly #underWay = new Set<string>();
  /** Time that was spent at each entry. */
  readonly #msAt: number[] = [];
  #paused = false;
  #at = 0;

  /** Spent and held back. */
  get inAll(): Amount {
    const all = { ...this.spent };
    for (const one of this.held.values()) add(all, one);
    return all;
  }

  /** As its tenant is charged for it. */
  get own(): Amount {
    const all = this.inAll;
    subtract(all, this.inherited);
    return all;
  }

  /** Time that was spent when that entry was written. */
  msAt(seq: number): number {
    return this.#msAt[seq] ?? 0;
  }

  note(entry: Entry): void {
    this.#passes(entry);
    const { type, target } = entry;
    if (type === 'run.continued') this.#continues(entry.event);
    else if (type === 'run.recovered' || type === 'run.forked') this.#underWay.clear();
    if (type === 'run.paused' || (type === 'budget.exceeded' && entry.event.onExhausted === 'pause'))
      this.#paused = true;
    else if (type === 'run.resumed') this.#paused = false;
    this.#begins(entry);
    if (type === 'leaf.succeeded' || type === 'leaf.abandoned') this.#settles(target, entry.event?.cost);
    else if (type === 'leaf.failed')
      this.#settles(target, entry.event.cost ?? (isNotPerformed(entry.event.error) ? {} : undefined));
    else if (isEnd(type))
      for (const leaf of this.held.keys())
        this.#settles(leaf, (entry.event as { costs?: Record<string, Limits> }).costs?.[leaf]);
    if (type === 'run.forked') this.#inherits();
    this.#msAt[entry.seq] = this.spent.wallClockMs;
  }

  /** Time is being spent. */
  get passes(): boolean {
    return this.#underWay.size > 0 && !this.#paused;
  }

  #passes({ type, at, event }: Entry): void {
    if (this.passes) {
      if (type === 'run.killed') this.spent.wallClockMs += event.wallClockMs ?? 0;
      else if (type !== 'run.recovered' && type !== 'run.forked') this.spent.wallClockMs += Math.max(0, at - this.#at);
    }
    this.#at = at;
  }

  #continues({ spent, paused }: EntryEvents['run.continued']): void {
    Object.assign(this.spent, amountOf(spent));
    this.held.clear();
    this.#underWay.clear();
    this.#paused = paused !== undefined;
  }

  #begins(entry: Entry): void {
    const begin = beginOf(entry);
    if (begin === undefined) return;
    const { target } = entry;
    const before = this.held.get(target);
    // Of one that was in doubt and is let begin again, the first has cost what it had held.
    const again = before !== undefined && begin.by !== undefined;
    if (again) add(this.spent, before);
    if (again || before === undefined) this.held.set(target, { ...amountOf(begin.reserved ?? {}), wallClockMs: 0 });
    if (again || before === undefined) this.spent.steps += 1;
    if (begin.child === undefined) this.#underWay.add(target);
    else this.begins = true;
  }

  /** `cost` undefined: what it had held. */
  #settles(target: string, cost: Limits | undefined): void {
    const held = this.held.get(target);
    this.#underWay.delete(target);
    if (held === undefined) return;
    this.held.delete(target);
    add(this.spent, cost === undefined ? held : { ...amountOf(cost), wallClockMs: 0 });
  }

  /** Calls that were open at the cut are the other run's; here they begin again, each with a step of its own. */
  #inherits(): void {
    this.spent.steps -= this.held.size;
    this.held.clear();
    this.inherited = { ...this.spent };
    this.atCut = { ...this.spent };
  }
}

/** What is over a limit, if anything is. */
export function overspent({ inAll, atCut }: Spending, limits: Limits): string | undefined {
  const bounds = larger(amountOf(limits), atCut);
  for (const [name, limit] of [
    ['tokens', limits.tokens],
    ['nanoUsd', limits.usd],
  ] as const)
    if (limit !== undefined && inAll[name] > bounds[name])
      return `${inAll[name]} ${name} are spent or held back of ${bounds[name]}`;
  return undefined;
}
