import { share } from '../machines/policy/budget.ts';
import type { Backend, Registered, Unwatch } from '../src/backend.ts';
import { unseal } from '../src/chain.ts';
import type { Clock } from '../src/clock.ts';
import { encode } from '../src/codec.ts';
import { ownSpentIn } from '../src/ledger.ts';
import {
  add,
  amount,
  amountOf,
  boundsOf,
  larger,
  limitsOf,
  RESOURCES,
  spentOf,
  subtract,
  type Amount,
} from '../src/protocol/amount.ts';
import type { Budget, EntryEvents, Limits, Resource, Spent } from '../src/protocol/entry.ts';
import { BudgetExceededError, OverloadedError, ValidationError } from '../src/protocol/errors.ts';
import type { OwnerId, RunId, TenantId } from '../src/protocol/ids.ts';
import type { ForkAsked } from './copied.ts';
import { readEnd } from './owner.ts';

/**
 * The budgets of tenants: a run draws what it may spend when it is started, and gives back what it has not spent when it has ended.
 *
 * A1. What was spent in a period and what is drawn are together at most the limit; the run itself sees to it that it spends no more than it drew.
 * A2. A run draws before it is created and gives back before it is forgotten. It is in `open` from the one to the other, so both happen once.
 * A3. What was drawn for a run that was never created goes back once all who were creating it have failed, or are gone.
 * A4. A new period begins with nothing spent; what is drawn by then stays drawn.
 */

/** Of one tenant, as the registry keeps it. */
interface Fund {
  limits: Limits;
  periodMs: number;
  /** What a run draws that does not say how much. */
  perRun: Limits;
  /** When this period began; whole periods since the epoch. */
  since: number;
  spent: Limits;
  open: Record<string, Drawing>;
}

/** `owners`: who creates, or has created, that run. */
interface Drawing {
  owners: readonly OwnerId[];
  drawn: Limits;
}

/** What a tenant may spend in each period, and what of it is gone. Money in US dollars, times in ms. */
export interface TenantBudget {
  readonly tenant: string;
  readonly periodMs: number;
  /** When this period began, in ms since the epoch. */
  readonly since: number;
  readonly limits: Limits;
  readonly perRun: Limits;
  readonly spent: Spent;
  /** By runs that have not ended. */
  readonly drawn: Spent;
  /** How many those are. */
  readonly runs: number;
}

const PREFIX = 'budget.';
const MAX_BYTES = 60 * 1024;

export class Allotments {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #unwatch: Unwatch;
  /** Tenants that have a budget, as this process knows it: at most 200 ms old. */
  readonly #tenants = new Set<string>();
  #listed: Promise<void> | undefined;
  #known = false;
  readonly #endings = new Set<Promise<void>>();
  /** Runs that are being created here, and by how many at once. */
  readonly #starting = new Map<RunId, number>();
  /** Changes of one tenant's budget from this process need not race each other. */
  readonly #turns = new Map<TenantId, Promise<unknown>>();

  constructor(backend: Backend, clock: Clock, report: (error: unknown, where: string) => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#unwatch = backend.registry.watch(
      PREFIX,
      (key, now) => this.#know(key, now),
      (error) => report(error, 'reading the budgets of tenants'),
    );
    // Whoever needs it asks again, and is told.
    this.#ready().catch(() => {});
  }

  /** Resolves when what has ended has given back. */
  async close(): Promise<void> {
    this.#unwatch();
    await Promise.allSettled(this.#endings);
  }

  /** In place of the one before; what is spent and drawn stays. @throws OverloadedError */
  async set(tenant: TenantId, rules: Pick<Fund, 'limits' | 'periodMs' | 'perRun'>): Promise<void> {
    const since = this.#sinceOf(rules.periodMs);
    await this.#change(tenant, async (before) => {
      const kept = before === undefined ? { spent: {}, open: {} } : this.#now(before);
      return { fund: { ...rules, since, spent: kept.spent, open: kept.open } };
    });
    this.#tenants.add(tenant);
  }

  /** What has ended here has given back by then. */
  async of(tenant: TenantId): Promise<TenantBudget | undefined> {
    await Promise.allSettled(this.#endings);
    const found = (await this.#backend.registry.get(PREFIX + tenant))?.value as Fund | undefined;
    if (found === undefined) return undefined;
    const { limits, periodMs, perRun, since, spent, open } = this.#now(found);
    return {
      tenant,
      periodMs,
      since,
      limits,
      perRun,
      spent: spentOf(amountOf(spent)),
      drawn: spentOf(sum(open)),
      runs: Object.keys(open).length,
    };
  }

  /**
   * Creates a run with what it has drawn. What was drawn for one that was not created goes back.
   * @throws BudgetExceededError when too little is left, ValidationError when nobody says how much it needs, OverloadedError
   */
  paying<T>(
    tenant: TenantId,
    run: RunId,
    asked: Budget | null,
    create: (budget: Budget | null) => Promise<T>,
  ): Promise<T> {
    if (this.#known && !this.#tenants.has(tenant)) return create(asked);
    return this.#paying(tenant, run, asked, create);
  }

  /** A fork draws all that it may spend, what it has spent before the cut included. `budget` undefined: as the run has it at the cut. */
  async payingFork<T>(
    from: RunId,
    run: RunId,
    { at, budget }: Pick<ForkAsked, 'at' | 'budget'>,
    create: (budget: Budget | null | undefined) => Promise<T>,
  ): Promise<T> {
    const known = await this.#budgetOf(from, at);
    if (known === undefined) return create(budget);
    return this.paying(known.tenant, run, budget === undefined ? known.budget : budget, create);
  }

  async #paying<T>(
    tenant: TenantId,
    run: RunId,
    asked: Budget | null,
    create: (budget: Budget | null) => Promise<T>,
  ): Promise<T> {
    await this.#ready();
    this.#starting.set(run, (this.#starting.get(run) ?? 0) + 1);
    try {
      return await create(await this.#whenGivenBack(() => this.#draw(tenant, run, asked)));
    } finally {
      const others = (this.#starting.get(run) ?? 1) - 1;
      if (others > 0) this.#starting.set(run, others);
      else this.#starting.delete(run);
      if (others === 0 && this.#tenants.has(tenant)) await this.#notCreated(tenant, run);
    }
  }

  /** A3. It was created, or somebody else was faster, or it could not be. */
  async #notCreated(tenant: TenantId, run: RunId): Promise<void> {
    if ((await this.#backend.journal.tail(run)) !== undefined) return;
    await this.#change(tenant, async (before) => {
      const known = before && drawingOf(before, run);
      if (before === undefined || known === undefined || this.#starting.has(run)) return {};
      const owners = known.owners.filter((owner) => owner !== this.#backend.owner);
      if (owners.length === known.owners.length) return {};
      if (owners.length === 0) return { fund: without(before, run) };
      return { fund: { ...before, open: { ...before.open, [run]: { ...known, owners } } } };
    });
  }

  /** What has ended here may not have given back yet: where that is what is missing, it is waited for. */
  async #whenGivenBack<T>(draw: () => Promise<T>): Promise<T> {
    const endings = Array.from(this.#endings);
    try {
      return await draw();
    } catch (error) {
      if (endings.length === 0 || !(error instanceof BudgetExceededError)) throw error;
      await Promise.allSettled(endings);
      return draw();
    }
  }

  #draw(tenant: TenantId, run: RunId, asked: Budget | null): Promise<Budget | null> {
    return this.#change(tenant, async (before) => {
      if (before === undefined) return { result: asked };
      const fund = this.#now(before);
      const wants: Budget = { ...fund.perRun, ...asked };
      const known = drawingOf(fund, run);
      const { owner, journal } = this.#backend;
      // It exists: nothing is begun, so nothing is drawn.
      if ((await journal.tail(run)) !== undefined) return { result: asked };
      if (known !== undefined) {
        const result = { ...wants, ...known.drawn };
        if (known.owners.includes(owner)) return { result };
        // Whoever has drawn it may be gone before this one has created it.
        const both = { ...known, owners: [...known.owners, owner] };
        return { fund: { ...fund, open: { ...fund.open, [run]: both } }, result };
      }
      const drawn = drawnBy(tenant, wants, fund.limits);
      const open = { ...fund.open, [run]: { owners: [owner], drawn } };
      return { fund: await this.#withRoom(tenant, { ...fund, open }, run), result: wants };
    });
  }

  /** More, for a run that goes on with a larger budget. What it is to go on with: within what it has drawn. @throws as `paying` */
  async raise(run: RunId, budget: Budget): Promise<Budget> {
    const known = await this.#budgetOf(run, undefined);
    if (known === undefined) return budget;
    return this.#whenGivenBack(() => this.#raise(known.tenant, run, { ...known.budget, ...budget }));
  }

  #raise(tenant: TenantId, run: RunId, budget: Budget): Promise<Budget> {
    return this.#change(tenant, async (before) => {
      const known = before && drawingOf(before, run);
      if (before === undefined || known === undefined) return { result: budget };
      const fund = this.#now(before);
      const wants = { ...fund.perRun, ...budget };
      const drawn = limitsOf(larger(amountOf(known.drawn), amountOf(drawnBy(tenant, wants, fund.limits))));
      const open = { ...fund.open, [run]: { ...known, drawn } };
      return { fund: await this.#withRoom(tenant, { ...fund, open }, run), result: wants };
    });
  }

  /** A2. It has ended, wherever it lived. Undefined: there is nothing to give back. */
  ended(run: RunId): Promise<void> | undefined {
    if (this.#known && this.#tenants.size === 0) return undefined;
    const ending = this.#ended(run).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    return ending;
  }

  async #ended(run: RunId): Promise<void> {
    const { tenant } = (await this.#createdOf(run)) ?? {};
    if (tenant === undefined) return;
    const fund = (await this.#backend.registry.get(PREFIX + tenant))?.value as Fund | undefined;
    if (fund === undefined || drawingOf(fund, run) === undefined) return;
    await this.#settle(tenant, run, limitsOf(await this.#spentBy(run)));
  }

  /** By it and all that it has begun; what has not ended counts as its run has it. A fork has not spent what the other run had spent. */
  async #spentBy(run: RunId): Promise<Amount> {
    const { journal } = this.#backend;
    const { spent, children } = await ownSpentIn(unseal(run, journal.read(run)));
    for (const [child, counted] of children) {
      if ((await journal.tail(child)) === undefined || (await readEnd(journal, child)) === undefined) continue;
      subtract(spent, counted);
      // Its time is in its parent's.
      add(spent, { ...(await this.#spentBy(child)), wallClockMs: 0 });
    }
    return spent;
  }

  async #settle(tenant: TenantId, run: RunId, cost: Limits): Promise<void> {
    await this.#change(tenant, async (before) => {
      if (before === undefined || drawingOf(before, run) === undefined) return {};
      const fund = without(this.#now(before), run);
      const spent = amountOf(fund.spent);
      add(spent, amountOf(only(cost, fund.limits)));
      return { fund: { ...fund, spent: limitsOf(spent) } };
    });
  }

  /** Undefined: nobody here has a budget, or the run is not there. */
  async #createdOf(run: RunId): Promise<EntryEvents['run.created'] | undefined> {
    await this.#ready();
    if (this.#tenants.size === 0) return undefined;
    for await (const { entry } of unseal(run, this.#backend.journal.read(run)))
      return entry.type === 'run.created' && this.#tenants.has(entry.event.tenant) ? entry.event : undefined;
    return undefined;
  }

  /** Whose it is, and the budget that it has at `at`. Undefined: as `#createdOf`. */
  async #budgetOf(run: RunId, at: ForkAsked['at']): Promise<{ tenant: TenantId; budget: Budget | null } | undefined> {
    const created = await this.#createdOf(run);
    if (created === undefined) return undefined;
    let budget = created.budget;
    let labelled = budget;
    for await (const { entry } of unseal(run, this.#backend.journal.read(run))) {
      if (entry.type === 'run.continued') budget = entry.event.budget;
      else if (entry.type === 'run.resumed') budget = entry.event.budget ?? budget;
      else if (entry.type === 'checkpoint' && entry.event.label === at) labelled = budget;
      if (entry.seq === at) break;
    }
    return { tenant: created.tenant, budget: typeof at === 'string' ? labelled : budget };
  }

  /** The fund, if what it has drawn and spent is within its limits; without what was drawn for nothing, if that helps. @throws BudgetExceededError */
  async #withRoom(tenant: TenantId, fund: Fund, run: RunId): Promise<Fund> {
    if (overdrawn(fund, run) === undefined) return fund;
    const open: Fund['open'] = {};
    for (const [other, drawing] of Object.entries(fund.open))
      if (other === run || (await this.#stands(other as RunId, drawing.owners))) open[other] = drawing;
    const over = overdrawn({ ...fund, open }, run);
    if (over === undefined) return { ...fund, open };
    const { resource, spent, limit, wanted } = over;
    const context = { resource, spent, limit, tenant };
    throw new BudgetExceededError(
      `The budget of tenant ${tenant} has too little left for run ${run}: of ${limit} ${resource}, ${spent} are spent or drawn, and it would draw ${wanted}. Give it less, or wait for ${new Date(fund.since + fund.periodMs).toISOString()}.`,
      context,
    );
  }

  /** A3. */
  async #stands(run: RunId, owners: readonly OwnerId[]): Promise<boolean> {
    for (const owner of owners)
      if (owner === this.#backend.owner ? this.#starting.has(run) : await this.#backend.alive(owner)) return true;
    return (await this.#backend.journal.tail(run)) !== undefined;
  }

  /** A4. */
  #now(fund: Fund): Fund {
    return this.#clock.now() < fund.since + fund.periodMs
      ? fund
      : { ...fund, since: this.#sinceOf(fund.periodMs), spent: {} };
  }

  #sinceOf(periodMs: number): number {
    return Math.floor(this.#clock.now() / periodMs) * periodMs;
  }

  /** It knows which tenants have a budget. */
  #ready(): Promise<void> {
    this.#listed ??= this.#list();
    return this.#listed;
  }

  async #list(): Promise<void> {
    try {
      for await (const found of this.#backend.registry.list(PREFIX)) this.#know(found.key, found);
      this.#known = true;
    } catch (error) {
      this.#listed = undefined;
      throw error;
    }
  }

  #know(key: string, now: Registered | undefined): void {
    const tenant = key.slice(PREFIX.length);
    if (now === undefined) this.#tenants.delete(tenant);
    else this.#tenants.add(tenant);
  }

  #change<T>(tenant: TenantId, next: (before: Fund | undefined) => Promise<{ fund?: Fund; result?: T }>): Promise<T> {
    const turn = (this.#turns.get(tenant) ?? Promise.resolve()).catch(() => {}).then(() => this.#put(tenant, next));
    this.#turns.set(tenant, turn);
    const last = (): void => {
      if (this.#turns.get(tenant) === turn) this.#turns.delete(tenant);
    };
    turn.then(last, last);
    return turn;
  }

  async #put<T>(
    tenant: TenantId,
    next: (before: Fund | undefined) => Promise<{ fund?: Fund; result?: T }>,
  ): Promise<T> {
    const { registry } = this.#backend;
    for (;;) {
      const found = await registry.get(PREFIX + tenant);
      const { fund, result } = await next(found?.value as Fund | undefined);
      if (fund !== undefined) mustFit(tenant, fund);
      if (fund === undefined || (await registry.put(PREFIX + tenant, fund, found?.revision ?? 0)) !== undefined)
        return result as T;
    }
  }
}

/** A run may be named as what every object has. */
const drawingOf = ({ open }: Fund, run: RunId): Drawing | undefined =>
  Object.hasOwn(open, run) ? open[run] : undefined;

function without(fund: Fund, run: RunId): Fund {
  const { [run]: _, ...open } = fund.open;
  return { ...fund, open };
}

const sum = (open: Fund['open']) => {
  const all = amount();
  for (const { drawn } of Object.values(open)) add(all, amountOf(drawn));
  return all;
};

/** What is over if this run draws what it is to draw; `spent`: by others, and before. */
function overdrawn(
  fund: Fund,
  run: RunId,
): { resource: Resource; spent: number; limit: number; wanted: number } | undefined {
  const { limits, spent } = fund;
  const own = drawingOf(fund, run);
  const before = sum(without(fund, run).open);
  add(before, amountOf(spent));
  const all = { ...before };
  add(all, amountOf(own?.drawn ?? {}));
  const [is, would, limit] = [spentOf(before), spentOf(all), spentOf(boundsOf(limits))];
  const resource = RESOURCES.find((one) => would[one] > limit[one]);
  return resource && { resource, spent: is[resource], limit: limit[resource], wanted: own?.drawn[resource] ?? 0 };
}

const only = (of: Limits, limited: Limits): Limits =>
  Object.fromEntries(Object.entries(of).filter(([resource]) => resource in limited));

/** @throws ValidationError */
function drawnBy(tenant: TenantId, wants: Limits, limits: Limits): Limits {
  const drawn = share(wants, limits);
  if ('share' in drawn) return drawn.share;
  throw new ValidationError(
    `Tenant ${tenant} has a budget of ${drawn.missing}, and this run does not say how much of it it needs: start it with budget: { ${drawn.missing} }, or set perRun in the tenant's budget.`,
    { tenant, path: `budget.${drawn.missing}`, resource: drawn.missing },
  );
}

/** @throws OverloadedError */
function mustFit(tenant: TenantId, fund: Fund): void {
  const bytes = encode(fund).byteLength;
  if (bytes <= MAX_BYTES) return;
  const runs = Object.keys(fund.open).length;
  throw new OverloadedError(
    `Tenant ${tenant} has ${runs} runs that have not ended, which is more than its budget can keep (${bytes} bytes); start this one when some have ended.`,
    { tenant, runs, bytes, limit: MAX_BYTES },
  );
}
