import { createStore } from '@xstate/store';
import { Ledger } from './ledger.ts';
import { NOTHING, RESOURCES, spentOf } from './protocol/amount.ts';
import type { Budget, Entry, Limits, Spent } from './protocol/entry.ts';

/** Of one run. Money in US dollars, time in ms. */
export interface Account {
  /** The resources that are limited. */
  readonly limits: Limits;
  readonly spent: Spent;
  /** By calls that are under way. */
  readonly reserved: Spent;
}

const NO_ACCOUNT: Account = { limits: {}, spent: spentOf(NOTHING), reserved: spentOf(NOTHING) };

/** An account and what it needs to go on. */
class Folded implements Account {
  readonly limits: Limits;
  readonly spent: Spent;
  readonly reserved: Spent;
  readonly #ledger: Ledger;

  constructor(before: Account, entry: Entry) {
    this.#ledger = #ledger in before ? before.#ledger : new Ledger();
    this.#ledger.note(entry);
    const { budget, spent, reserved } = this.#ledger;
    this.limits = limitsIn(budget);
    this.spent = spentOf(spent);
    this.reserved = spentOf(reserved);
  }
}

const limitsIn = (budget: Budget | null): Limits =>
  Object.fromEntries(RESOURCES.flatMap((one) => (budget?.[one] === undefined ? [] : [[one, budget[one]]])));

/** A store that folds a run's entries, in order, into its account. Only its newest one can be gone on with. */
export const ledgerStore = () =>
  createStore({
    context: NO_ACCOUNT,
    on: { entry: (account, { entry }: { entry: Entry }): Account => new Folded(account, entry) },
  });
