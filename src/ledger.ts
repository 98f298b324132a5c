import { OpenCall, type HowEnded } from './openCall.ts';
import { add, amount, amountOf, limitsOf, NOTHING, spentOf, subtract, type Amount } from './protocol/amount.ts';
import type { Begin, Budget, Costs, Entry, Limits, Paused, Spent } from './protocol/entry.ts';
import { isNotPerformed } from './protocol/exit.ts';
import type { RunId } from './protocol/ids.ts';

/**
 * What a run has spent and holds back, from its entries alone.
 *
 * L1. A call is known by its key: however often it begins it reserves once, and it settles once. Where somebody lets one that was in doubt
 *     begin again, that is another call: the one before costs what it had reserved.
 * L2. A begin takes a step. What it reserves is held until the call has ended, and then it costs what its end says; where that says nothing,
 *     what it had reserved, or nothing if it was not performed.
 * L3. A call that was abandoned, or is open when the run ends, costs what is said there; where that says nothing, what it had reserved.
 * L4. Time counts while a call is under way and the run is not paused; not before somebody who took the run over has begun a call again, and
 *     of what a kill ends only what it says.
 * L5. The time of a call that has begun a run is the time of that run, which may wait for somebody: when it has ended, at least so much has
 *     passed since it began.
 * L6. What is open where a run was forked is the other run's, which pays for it. Here it has cost nothing: it is in doubt, or it is asked for its
 *     budget anew and begins again.
 */

/** What a run has spent itself, and what stands in that for runs that it has begun. */
export interface OwnSpent {
  /** Without what a fork has from another run. */
  spent: Amount;
  children: ReadonlyMap<RunId, Readonly<Amount>>;
}

const parentOf = (leaf: string): string => leaf.slice(0, Math.max(0, leaf.lastIndexOf('/')));

export class Ledger {
  budget: Budget | null = null;
  /** Has one last turn. */
  wrappingUp = false;
  /** Undefined: it is not paused. */
  paused: Paused | undefined = undefined;
  #spent = amount();
  #reserved = amount();
  // A run that has only begun has none.
  #open: Map<string, OpenCall> | undefined;
  /** Machines whose call was refused before it had begun, or is of the run that this one was forked from: the next try is their first. */
  #refused: Set<string> | undefined;
  #underWay = 0;
  #inherited: Readonly<Amount> = NOTHING;
  #children: Map<RunId, Amount> | undefined;
  /** When the last entry was. */
  #at = 0;

  get spent(): Readonly<Amount> {
    return this.#spent;
  }

  get reserved(): Readonly<Amount> {
    return this.#reserved;
  }

  /** What it has spent if whatever is open has cost what it had reserved. */
  get inAll(): Amount {
    const all = { ...this.#spent };
    add(all, this.#reserved);
    return all;
  }

  /** As `inAll`, of this run alone. */
  get own(): OwnSpent {
    const spent = this.inAll;
    subtract(spent, this.#inherited);
    return { spent, children: this.#children ?? new Map() };
  }

  /** What open calls have charged beyond what they had reserved, for the end of the run: only what they cost then is on record. */
  get costs(): Costs | undefined {
    let costs: Costs | undefined;
    for (const [leaf, open] of this.#open ?? []) {
      const { charged, reserved } = open;
      if (charged === undefined || (charged.tokens <= reserved.tokens && charged.nanoUsd <= reserved.nanoUsd)) continue;
      (costs ??= {})[leaf] = limitsOf(open.held);
    }
    return costs;
  }

  /** Since when time counts that is not in `spent` yet; undefined: it does not. */
  get countsSince(): number | undefined {
    return this.#underWay > 0 && this.paused === undefined ? this.#at : undefined;
  }

  /** No try of this call has begun before. */
  isFirst(leaf: string, attempt: number): boolean {
    return attempt === 1 || this.#refused?.has(parentOf(leaf)) === true;
  }

  /** Its begin is on record, and no end. */
  hasBegun(leaf: string): boolean {
    return this.#open?.get(leaf)?.begun === true;
  }

  /** It may begin, from now on: its step is taken. Of one that had begun before, see L1. */
  grant(leaf: string, reserved: Readonly<Amount>): void {
    const before = this.#open?.get(leaf);
    if (before !== undefined) this.#settle(leaf, undefined);
    this.#spent.steps += 1;
    if (reserved !== NOTHING) add(this.#reserved, reserved);
    (this.#open ??= new Map()).set(leaf, new OpenCall(reserved, before));
  }

  /** It was granted and has not begun; what is begun already stays as it is. */
  giveBack(leaf: string): void {
    const open = this.#open?.get(leaf);
    if (open === undefined || open.begun) return;
    this.#open?.delete(leaf);
    this.#spent.steps -= 1;
    subtract(this.#reserved, open.held);
    const { before } = open;
    if (before === undefined) return;
    this.#open?.set(leaf, before);
    if (before.underWay) this.#underWay += 1;
    subtract(this.#spent, before.reserved);
    add(this.#reserved, before.held);
  }

  /** As `reservedBy`, where its begin is not on record. */
  grantedTo(leaf: string): Readonly<Amount> {
    const open = this.#open?.get(leaf);
    return open === undefined || open.begun ? NOTHING : open.reserved;
  }

  /** What it holds back. */
  reservedBy(leaf: string): Readonly<Amount> {
    return this.#open?.get(leaf)?.reserved ?? NOTHING;
  }

  /** A call says that it has cost so much more. What it has charged beyond what it had reserved. */
  charge(leaf: string, more: Readonly<Amount>): { tokens: boolean; usd: boolean } {
    const open = this.#open?.get(leaf);
    if (open === undefined) return WITHIN;
    const before = open.held;
    const beyond = open.charge(more);
    subtract(this.#reserved, before);
    add(this.#reserved, open.held);
    return beyond;
  }

  /** A call knows what the run has cost in all that it has begun. */
  hasCost(leaf: string, cost: Amount): void {
    const open = this.#open?.get(leaf);
    if (open === undefined) return;
    subtract(this.#reserved, open.held);
    open.charged = { ...cost, wallClockMs: 0 };
    if (open.child !== undefined) open.child.tookMs = cost.wallClockMs;
    add(this.#reserved, open.held);
  }

  /** What a call costs that ends now. `notPerformed`: only what it has charged. */
  costOf(leaf: string, how: HowEnded): Readonly<Amount> {
    return this.#open?.get(leaf)?.costOf(how) ?? NOTHING;
  }

  /** What is spent and held back if this call ends now. */
  after(leaf: string): { spent: Readonly<Amount>; reserved: Readonly<Amount> } {
    const [spent, reserved, open] = [{ ...this.#spent }, { ...this.#reserved }, this.#open?.get(leaf)];
    if (open === undefined) return { spent, reserved };
    const { child, held } = open;
    subtract(reserved, held);
    add(spent, { ...open.costOf('ended'), wallClockMs: 0 });
    if (child !== undefined) spent.wallClockMs = Math.max(spent.wallClockMs, child.since + child.tookMs);
    return { spent, reserved };
  }

  /** Every entry of one run, in order; live, what was granted already is not counted again. */
  note(entry: Entry): void {
    this.#pass(entry);
    switch (entry.type) {
      case 'run.created':
        this.budget = entry.event.budget;
        return;
      case 'run.continued':
        for (const leaf of Array.from(this.#open?.keys() ?? [])) this.#settle(leaf, undefined);
        this.#reserved = amount();
        this.#underWay = 0;
        this.wrappingUp = false;
        this.paused = entry.event.paused;
        this.budget = entry.event.budget;
        this.#spent = amountOf(entry.event.spent);
        return;
      case 'run.forked':
        return this.#inherit();
      case 'run.recovered':
        return this.#interrupt();
      case 'run.paused':
        this.paused = entry.event;
        return;
      case 'run.resumed':
        this.paused = undefined;
        this.budget = entry.event.budget ?? this.budget;
        return;
      case 'budget.exceeded':
        // What comes while it is paused, or in its last turn, changes nothing: a call that still wants to begin asks again.
        if (this.paused !== undefined || this.wrappingUp) return;
        if (entry.event.onExhausted === 'pause') this.paused = entry.event;
        else this.wrappingUp = entry.event.onExhausted === 'handBack';
        return;
      case 'leaf.started':
        return this.#begun(entry.target, entry.event);
      case 'leaf.succeeded':
        if (entry.event.begun !== undefined) this.#begun(entry.target, entry.event.begun);
        return this.#settle(entry.target, entry.event.cost);
      case 'leaf.failed':
        if (entry.event.begun !== undefined) this.#begun(entry.target, entry.event.begun);
        if (this.#open?.has(entry.target) !== true) (this.#refused ??= new Set()).add(parentOf(entry.target));
        return this.#settle(entry.target, entry.event.cost ?? (isNotPerformed(entry.event.error) ? FREE : undefined));
      case 'leaf.abandoned':
        return this.#settle(entry.target, entry.event?.cost);
      case 'run.completed':
      case 'run.failed':
      case 'run.killed':
        for (const leaf of Array.from(this.#open?.keys() ?? [])) this.#settle(leaf, entry.event.costs?.[leaf]);
    }
  }

  /** L4. */
  #pass({ at, type, event }: Entry): void {
    const since = this.countsSince;
    if (since !== undefined) {
      if (type === 'run.killed') this.#spent.wallClockMs += event.wallClockMs ?? 0;
      else if (type !== 'run.recovered' && type !== 'run.forked') this.#spent.wallClockMs += Math.max(0, at - since);
    }
    this.#at = at;
  }

  #interrupt(): void {
    this.#underWay = 0;
    for (const open of this.#open?.values() ?? []) open.underWay = false;
  }

  /** L6. */
  #inherit(): void {
    for (const [leaf, { reserved }] of this.#open ?? []) {
      this.#spent.steps -= 1;
      if (reserved.toolCalls > 0) (this.#refused ??= new Set()).add(parentOf(leaf));
    }
    this.#open = undefined;
    this.#reserved = amount();
    this.#underWay = 0;
    this.#inherited = { ...this.#spent };
    this.#children = undefined;
  }

  /** L1. */
  #begun(leaf: string, { reserved, by, child }: Begin): void {
    const known = this.#open?.get(leaf);
    if (known === undefined || (known.begun && by !== undefined))
      this.grant(leaf, reserved === undefined ? NOTHING : timeless(reserved));
    if (reserved?.toolCalls !== undefined) this.#refused?.delete(parentOf(leaf));
    const open = this.#open?.get(leaf);
    if (open === undefined) return;
    if (child !== undefined) open.child ??= { run: child.run, since: this.#spent.wallClockMs, tookMs: 0 };
    open.begun = true;
    open.before = undefined;
    if (open.underWay || child !== undefined) return;
    open.underWay = true;
    this.#underWay += 1;
  }

  /** Undefined: at what it had reserved. */
  #settle(leaf: string, costs: Limits | undefined): void {
    const open = this.#open?.get(leaf);
    if (open === undefined) return;
    this.#open?.delete(leaf);
    if (open.underWay) this.#underWay -= 1;
    if (open.reserved !== NOTHING || open.charged !== undefined) subtract(this.#reserved, open.held);
    const cost = costs === undefined ? open.reserved : costs === FREE ? NOTHING : timeless(costs);
    if (cost !== NOTHING) add(this.#spent, cost);
    if (open.child === undefined) return;
    // L5.
    this.#spent.wallClockMs = Math.max(this.#spent.wallClockMs, open.child.since + (costs?.wallClockMs ?? 0));
    (this.#children ??= new Map()).set(open.child.run, { ...cost });
  }
}

const FREE: Limits = {};
const WITHIN = { tokens: false, usd: false };

/** Time is not held back, and it is summed by itself (L4, L5). */
const timeless = (limits: Limits): Amount => ({ ...amountOf(limits), wallClockMs: 0 });

/** Of a run, from all that is on record of it. */
export async function spentIn(entries: AsyncIterable<{ entry: Entry }>): Promise<Spent> {
  return spentOf((await read(entries)).inAll);
}

/** As `spentIn`, without what it has from a run that it was forked from. */
export async function ownSpentIn(entries: AsyncIterable<{ entry: Entry }>): Promise<OwnSpent> {
  return (await read(entries)).own;
}

async function read(entries: AsyncIterable<{ entry: Entry }>): Promise<Ledger> {
  const ledger = new Ledger();
  for await (const { entry } of entries) ledger.note(entry);
  return ledger;
}
