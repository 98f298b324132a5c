import {
  boundsIn,
  exhausted,
  leftOf,
  over,
  overByCharge,
  overIfGranted,
  type Over,
} from '../machines/policy/budget.ts';
import { Ledger } from '../src/ledger.ts';
import { NOT_BEGUN, type HowEnded } from '../src/openCall.ts';
import { amountOf, costOf, limitsOf, NOTHING, RESOURCES, spentOf, type Amount } from '../src/protocol/amount.ts';
import type {
  Budget,
  Cost,
  Costs,
  Entry,
  EntryEvents,
  Limits,
  Paused,
  Resource,
  Spent,
} from '../src/protocol/entry.ts';
import { BudgetExceededError, NotAllowedError, type ErrorCode } from '../src/protocol/errors.ts';
import { isNotPerformed, type Failure } from '../src/protocol/exit.ts';
import type { Admission, Leaf } from './leaf.ts';
import type { Said } from './said.ts';

export type Answer =
  | { type: 'granted'; admission: Admission | undefined }
  | { type: 'refused'; error: unknown }
  | { type: 'exceeded'; event: EntryEvents['budget.exceeded'] };

/**
 * What every leaf of a run is asked before it begins, and before each attempt: in budget? admitted?
 *
 * G1. A leaf that was granted is counted at once, before its begin is on record: of a hundred that ask together none sees what another gets.
 * G2. What is granted is counted once: a leaf that begins again is not asked for its budget again, unless somebody has decided that it does, or
 *     it was granted in the run that this one was forked from.
 */
export class Gate {
  readonly #ledger = new Ledger();
  #bounds: Readonly<Amount> = UNBOUNDED;
  /** What the bounds are of. */
  #budget: Budget | null = null;
  #wrappingUp = false;
  /** Calls that have not begun, though their first begin is on record or on its way there. */
  readonly #unbegun = new Set<string>();

  /** Of an end and of a new beginning: open calls at what they had reserved. */
  get spent(): Spent {
    return spentOf(this.#ledger.inAll);
  }

  /** The last one it was given. */
  get budget(): Budget | null {
    return this.#ledger.budget;
  }

  /** By what it is paused. */
  get paused(): Paused | undefined {
    return this.#ledger.paused;
  }

  /** Every entry of the run, in order, live and in a fold. */
  note(entry: Entry): void {
    this.#ledger.note(entry);
    if (entry.type === 'leaf.abandoned') this.#unbegun.delete(entry.target);
    const { budget, wrappingUp } = this.#ledger;
    if (budget === this.#budget && wrappingUp === this.#wrappingUp) return;
    this.#budget = budget;
    this.#wrappingUp = wrappingUp;
    this.#bounds = boundsIn(budget, wrappingUp);
  }

  /** `decided`: it was in doubt, and somebody lets it begin again. */
  ask(leaf: Leaf, canWrapUp: () => boolean, decided = false): Answer {
    try {
      if (this.#ledger.hasBegun(leaf.key) && !decided) return { type: 'granted', admission: leaf.policy.admit?.(leaf) };
      if (this.#wrappingUp) mustBeNoTool(leaf);
      const wants = this.#wants(leaf);
      const { spent, reserved } = this.#ledger;
      const isOver = overIfGranted(this.#bounds, spent, reserved, wants);
      if (isOver !== undefined) return { type: 'exceeded', event: this.#exceeded(isOver, canWrapUp) };
      const admission = leaf.policy.admit?.(leaf);
      this.#ledger.grant(leaf.key, wants);
      return { type: 'granted', admission };
    } catch (error) {
      return { type: 'refused', error };
    }
  }

  /** A grant that came to nothing: its module refused it after all, or its state was left while it waited there. */
  giveBack(leaf: Leaf): void {
    this.#unbegun.delete(leaf.key);
    this.#ledger.giveBack(leaf.key);
  }

  /** It begins once that is on record. What had begun before a crash may have cost something already. */
  intends({ key }: Leaf): void {
    if (!this.#ledger.hasBegun(key)) this.#unbegun.add(key);
  }

  begins({ key }: Leaf): void {
    this.#unbegun.delete(key);
  }

  /** For its begin: what it holds back besides its step. */
  reservedBy({ key }: Leaf): Limits | undefined {
    const granted = this.#ledger.grantedTo(key);
    return granted === NOTHING ? undefined : limitsOf(granted);
  }

  /** For the end of the run: of calls that are open, what is not on record. */
  get costs(): Costs | undefined {
    return this.#ledger.costs;
  }

  /** For a kill, after which nothing begins: as `costs`, with what has not begun, and the time that counts since the last entry. */
  unsaidAt(now: number): { costs?: Costs; wallClockMs?: number } {
    const { countsSince } = this.#ledger;
    let { costs } = this.#ledger;
    for (const call of this.#unbegun) if (this.#ledger.hasBegun(call)) (costs ??= {})[call] = NOT_BEGUN;
    const wallClockMs = countsSince === undefined ? 0 : Math.max(0, now - countsSince);
    return { ...(costs && { costs }), ...(wallClockMs > 0 && { wallClockMs }) };
  }

  /** The budget of a run that this call begins: what the call holds back for it, and what it asks for beside that. */
  childBudget(call: string, asked: Budget | null): Budget | null {
    const { tokens, usd, steps, toolCalls } = spentOf(this.#ledger.reservedBy(call));
    const held: Limits = { tokens, usd, steps, toolCalls };
    const left = leftOf(this.#bounds, NOTHING, NOTHING);
    const { wallClockMs } = leftOf(this.#bounds, this.#ledger.spent, NOTHING);
    if (wallClockMs !== undefined) held.wallClockMs = Math.min(wallClockMs, asked?.wallClockMs ?? Infinity);
    const limited = RESOURCES.filter((resource) => left[resource] !== undefined);
    if (asked === null && limited.length === 0) return null;
    return { ...asked, ...Object.fromEntries(limited.map((resource) => [resource, held[resource]])) };
  }

  /** What has ended, with what it cost where that is not what it had reserved. */
  settled<T extends Said<'leaf.succeeded' | 'leaf.failed' | 'leaf.abandoned'>>(
    said: T,
    how: HowEnded = howIn(said),
  ): T {
    if (how === 'abandoned' && this.#unbegun.has(said.target)) return { ...said, event: { cost: NOT_BEGUN } };
    const cost = this.#ledger.costOf(said.target, how);
    // What it had reserved is on record already.
    if (cost === (how === 'notPerformed' ? NOTHING : this.#ledger.reservedBy(said.target))) return said;
    return { ...said, event: { ...said.event, cost: limitsOf(cost) } };
  }

  /** What the run has spent that this call has begun. */
  childSpent(call: string, spent: Spent): void {
    this.#ledger.hasCost(call, amountOf(spent));
  }

  /** What a call says that it costs, as it learns of it. @throws ValidationError, BudgetExceededError: it has cost that all the same */
  charge(leaf: string, cost: Cost): void {
    const beyond = this.#ledger.charge(leaf, costOf(cost, `charge of ${leaf}`));
    if (!beyond.tokens && !beyond.usd) return;
    // What it has charged is spent, whatever others hold back.
    const { spent, reserved } = this.#ledger.after(leaf);
    const isOver = overByCharge(this.#bounds, spent, reserved, beyond);
    if (isOver !== undefined) throw exceeded(isOver);
  }

  /** When the time is spent that calls may be under way; undefined: never as it stands. */
  get dueMs(): number | undefined {
    if (this.#bounds.wallClockMs === Infinity) return undefined;
    const since = this.#ledger.countsSince;
    return since === undefined
      ? undefined
      : since + Math.max(0, this.#bounds.wallClockMs - this.#ledger.spent.wallClockMs);
  }

  timeIsUp(canWrapUp: () => boolean): EntryEvents['budget.exceeded'] {
    const limit = this.#bounds.wallClockMs;
    const spent = Math.max(limit, this.#ledger.spent.wallClockMs);
    return this.#exceeded({ resource: 'wallClockMs', spent, limit }, canWrapUp);
  }

  /**
   * A run that this call has begun has failed for want of budget. Where it had all that is left here, it is this run's budget that is spent,
   * which comes before what the call has failed with if there is a last turn.
   */
  spentBelow(call: string, error: unknown, canWrapUp: () => boolean): EntryEvents['budget.exceeded'] | undefined {
    const resource = this.#budget?.onExhausted === 'handBack' ? resourceIn(error) : undefined;
    if (resource === undefined) return undefined;
    const { spent, reserved } = this.#ledger.after(call);
    const { wallClockMs } = spent;
    const left = leftOf(this.#bounds, { ...this.#ledger.spent, wallClockMs }, this.#ledger.reserved)[resource];
    if (left === undefined || left > 0) return undefined;
    const event = this.#exceeded(over(resource, this.#bounds, spent, reserved), canWrapUp);
    return event.onExhausted === 'handBack' ? event : undefined;
  }

  #exceeded(over: Over, canWrapUp: () => boolean): EntryEvents['budget.exceeded'] {
    return { ...over, onExhausted: exhausted(this.#budget, { wrappingUp: this.#wrappingUp, canWrapUp: canWrapUp() }) };
  }

  /** What it is to hold back, the tool call that it is included. */
  #wants(leaf: Leaf): Readonly<Amount> {
    const { costs, tool, child } = leaf.policy;
    if (costs === undefined && tool === undefined) return NOTHING;
    // What a run that it begins calls is counted there.
    const own = tool !== undefined && child === undefined && this.#ledger.isFirst(leaf.key, tool.attempt(leaf)) ? 1 : 0;
    if (costs === undefined) return own === 1 ? ONE_TOOL_CALL : NOTHING;
    const wants = amountOf(costs(leaf, () => this.#left(own)));
    wants.toolCalls += own;
    // A run that it begins takes its time in this one's.
    wants.wallClockMs = 0;
    return wants;
  }

  /** For a call beside itself. */
  #left(own: number): Limits {
    const left = leftOf(this.#bounds, this.#ledger.spent, this.#ledger.reserved);
    if (left.steps !== undefined) left.steps = Math.max(0, left.steps - 1);
    if (left.toolCalls !== undefined) left.toolCalls = Math.max(0, left.toolCalls - own);
    return left;
  }
}

// Shared by all runs without a budget.
const UNBOUNDED: Readonly<Amount> = boundsIn(null, false);
const ONE_TOOL_CALL: Readonly<Amount> = { ...NOTHING, toolCalls: 1 };

/** @throws NotAllowedError */
function mustBeNoTool({ policy: { tool } }: Leaf): void {
  if (tool === undefined) return;
  throw new NotAllowedError(
    `Tool ${tool.id} may not be called any more: the run's budget is spent, and this is its last turn, without tools.`,
    { tool: tool.id },
  );
}

export function exceeded({ resource, spent, reserved = 0, limit }: Over): BudgetExceededError {
  const held = reserved > 0;
  const [also, or] = held
    ? [
        `, and ${reserved} held back by calls that are under way`,
        ', or let these hold back less: a childRun without a budget of its own holds back all that is left',
      ]
    : ['', ''];
  return new BudgetExceededError(
    `Of a budget of ${limit} ${resource} too little is left: ${spent} spent${also}. Give the run a larger one${or}.`,
    { resource, spent, ...(held && { reserved }), limit },
  );
}

/** Of an error that says that a budget is spent. */
function resourceIn(error: unknown): Resource | undefined {
  const { code, data } = (error ?? {}) as Partial<Failure>;
  if (code !== ('BUDGET_EXCEEDED' satisfies ErrorCode)) return undefined;
  const { resource } = (data ?? {}) as { resource?: unknown };
  return RESOURCES.find((one) => one === resource);
}

const howIn = ({ type, event }: Said<'leaf.succeeded' | 'leaf.failed' | 'leaf.abandoned'>): HowEnded => {
  if (type === 'leaf.abandoned') return 'abandoned';
  return type === 'leaf.failed' && isNotPerformed(event.error) ? 'notPerformed' : 'ended';
};
