import { add, amount, amountOf, boundsOf, larger, type Amount } from '../../../protocol/amount.ts';
import { isBeginning, type Entry, type Limits } from '../../../protocol/entry.ts';
import type { RunFacts } from './facts.ts';

/** The budgets of tenants as the registry has them, held against what their runs have spent. */

/** As it is kept. */
interface Fund {
  limits: Limits;
  since: number;
  spent: Limits;
  open: Record<string, { drawn: Limits }>;
}

type Violated = (promise: string, run: string, what: string) => void;
const COUNTED = ['tokens', 'nanoUsd', 'steps'] as const;
const LIMITED = ['tokens', 'usd', 'steps'] as const;

const inAll = ({ spent, open }: Fund): Amount => {
  const all = amountOf(spent);
  for (const { drawn } of Object.values(open)) add(all, amountOf(drawn));
  return all;
};

export class Funds {
  readonly #funds = new Map<string, Fund>();
  /** What a tenant was charged for a run. */
  readonly #charged = new Map<string, Amount>();

  /** It is written. */
  put(tenant: string, fund: Fund, violated: Violated): void {
    const before = this.#funds.get(tenant);
    this.#funds.set(tenant, fund);
    const most = larger(boundsOf(fund.limits), before === undefined ? amount() : inAll(before));
    const all = inAll(fund);
    for (const one of COUNTED)
      if (all[one] > most[one])
        violated('B1', '-', `tenant ${tenant} has ${all[one]} ${one} spent and drawn of ${boundsOf(fund.limits)[one]}`);
    if (before === undefined) return;
    const [spent, was] = [amountOf(fund.spent), fund.since === before.since ? amountOf(before.spent) : amount()];
    for (const run of Object.keys(before.open))
      if (!Object.hasOwn(fund.open, run)) this.#settles(run, spent, was, violated);
  }

  #settles(run: string, spent: Amount, was: Amount, violated: Violated): void {
    const cost = amount();
    for (const one of COUNTED) cost[one] = spent[one] - was[one];
    const known = this.#charged.get(run);
    // What was drawn and not used goes back at no cost, and the run may be begun after all.
    if (known !== undefined && COUNTED.some((one) => known[one] > 0 && cost[one] > 0))
      violated('B2', run, 'its tenant is charged for it twice');
    this.#charged.set(run, cost);
  }

  /** A run draws before it is created, or goes on with more. */
  check(entry: Entry, { tenant }: RunFacts): string | undefined {
    const budget = entry.type === 'run.created' && entry.event.parent !== null ? null : budgetIn(entry);
    const fund = this.#funds.get(tenant);
    if (fund === undefined || budget === undefined || budget === null) return undefined;
    const drawn = fund.open[entry.run]?.drawn;
    for (const one of LIMITED)
      if (fund.limits[one] !== undefined && (budget[one] ?? Infinity) > (drawn?.[one] ?? 0))
        return `it may spend ${budget[one] ?? 'any number of'} ${one}; it has drawn ${drawn?.[one] ?? 'none'} from tenant ${tenant}`;
    return undefined;
  }

  /** When all is over. */
  end(runs: ReadonlyMap<string, RunFacts>, violated: Violated): void {
    for (const [tenant, { open }] of this.#funds)
      for (const run of Object.keys(open))
        if (runs.get(run)?.end !== undefined)
          violated('M1', run, `it has ended, and what it has drawn from tenant ${tenant} is not given back`);
    for (const [run, facts] of runs) {
      const [charged, fund] = [this.#charged.get(run), this.#funds.get(facts.tenant)];
      // What others have done for it counts as they have ended.
      if (charged === undefined || fund === undefined || facts.end === undefined || facts.spending.begins) continue;
      const { own } = facts.spending;
      for (const one of COUNTED)
        if (boundsOf(fund.limits)[one] !== Infinity && charged[one] !== own[one])
          violated('B2', run, `its tenant is charged ${charged[one]} ${one}; it has spent ${own[one]}`);
    }
  }
}

const budgetIn = (entry: Entry): Limits | null | undefined => {
  if (isBeginning(entry)) return entry.event.budget ?? {};
  return entry.type === 'run.resumed' ? entry.event.budget : undefined;
};
