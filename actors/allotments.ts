import {
  current,
  drawing,
  drawingOf,
  drawnIn,
  overdrawn,
  raised,
  ruled,
  settled,
  share,
  without,
  type Fund,
  type Rules,
} from '../machines/policy/fund.ts';
import type { Backend } from '../src/backend.ts';
import type { Clock } from '../src/clock.ts';
import { amountOf, limitsOf, spentOf } from '../src/protocol/amount.ts';
import type { Budget, Limits, Spent } from '../src/protocol/entry.ts';
import { BudgetExceededError, NotFoundError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId, TenantId } from '../src/protocol/ids.ts';
import type { ForkAsked } from './copied.ts';
import { Draws } from './draws.ts';
import { Funds } from './funds.ts';
import { insist } from './runs/later.ts';
import { budgetAt, createdOf, spentBy } from './spending.ts';

/**
 * The budgets of tenants: a run draws what it may spend when it is started, and gives back what it has not spent when it has ended.
 *
 * A2. A run draws before it is created and gives back before it is forgotten. It is in `open` from the one to the other, so both happen once.
 * A3. What was drawn for a run that was never created goes back once all who were creating it have failed, or are gone.
 */

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

/** What a run may go on with, within what is drawn for it now. `undo`: it does not go on with that. */
export interface Raised {
  budget: Budget;
  undo(): Promise<void>;
}

export class Allotments {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #funds: Funds;
  readonly #draws: Draws;
  readonly #endings = new Set<Promise<void>>();
  /** Runs that are being created here for a tenant, and by how many at once. */
  readonly #starting = new Map<string, number>();
  readonly #report: (error: unknown, where: string) => void;
  #closed = false;

  constructor(backend: Backend, clock: Clock, report: (error: unknown, where: string) => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#report = report;
    this.#draws = new Draws(backend, (tenant, run) => this.#starting.has(startOf(tenant, run)));
    this.#funds = new Funds(backend.registry, (tenant, fund) => this.#draws.standing(tenant, fund), report);
  }

  /** Resolves when what has ended has given back. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#funds.close();
    await Promise.allSettled(this.#endings);
  }

  /** In place of the one before; what is spent and drawn stays. @throws OverloadedError */
  async set(tenant: TenantId, rules: Rules): Promise<void> {
    await this.#funds.change(tenant, async (before) => ({ fund: ruled(rules, before, this.#clock.now()) }));
  }

  /** What has ended here has given back by then; what was drawn for nothing does not count. */
  async of(tenant: TenantId): Promise<TenantBudget | undefined> {
    await Promise.allSettled(this.#endings);
    const found = await this.#funds.get(tenant);
    if (found === undefined) return undefined;
    const fund = await this.#draws.standing(tenant, this.#now(found));
    const { limits, periodMs, perRun, since, spent, open } = fund;
    return {
      tenant,
      periodMs,
      since,
      limits,
      perRun,
      spent: spentOf(amountOf(spent)),
      drawn: spentOf(drawnIn(fund)),
      runs: Object.keys(open).length,
    };
  }

  /**
   * Creates a run with what it has drawn. What was drawn for one that was not created (`isMade`) goes back.
   * @throws BudgetExceededError when too little is left, ValidationError when nobody says how much it needs, OverloadedError
   */
  paying<T>(
    tenant: TenantId,
    run: RunId,
    asked: Budget | null,
    create: (budget: Budget | null) => Promise<T>,
    isMade: (made: T) => boolean = () => true,
  ): Promise<T> {
    if (this.#funds.has(tenant) === false) return create(asked);
    return this.#paying(tenant, run, asked, create, isMade);
  }

  /** A fork draws all that it may spend, what it has spent before the cut included. `budget` undefined: as the run has it at the cut. */
  async payingFork<T>(
    from: RunId,
    run: RunId,
    { at, budget }: Pick<ForkAsked, 'at' | 'budget'>,
    create: (budget: Budget | null | undefined) => Promise<T>,
  ): Promise<T> {
    // One that is being begun may be there in a moment: its tenant would not be asked.
    if ((await this.#backend.journal.tail(from)) === undefined)
      throw new NotFoundError(`There is no run ${from}.`, { run: from });
    const tenant = await this.#tenantOf(from);
    if (tenant === undefined) return create(budget);
    const had = await budgetAt(from, at, this.#backend.journal);
    return this.paying(tenant, run, budget === undefined ? had : budget, create);
  }

  async #paying<T>(
    tenant: TenantId,
    run: RunId,
    asked: Budget | null,
    create: (budget: Budget | null) => Promise<T>,
    isMade: (made: T) => boolean,
  ): Promise<T> {
    await this.#funds.ready();
    const start = startOf(tenant, run);
    this.#starting.set(start, (this.#starting.get(start) ?? 0) + 1);
    let isOurs = false;
    try {
      const made = await create(await this.#whenGivenBack(() => this.#draw(tenant, run, asked)));
      isOurs = isMade(made);
      return made;
    } finally {
      const others = (this.#starting.get(start) ?? 1) - 1;
      if (others > 0) this.#starting.set(start, others);
      else this.#starting.delete(start);
      if (!isOurs && others === 0 && this.#funds.has(tenant) === true) await this.#giveBack(tenant, run);
    }
  }

  /** Whoever starts it hears why it was not created; what the store has not taken back is tried again behind that, until others take this process for gone. */
  async #giveBack(tenant: TenantId, run: RunId): Promise<void> {
    try {
      await this.#notCreated(tenant, run);
    } catch {
      const what = `run ${run}: giving back what was drawn for it`;
      const ports = { clock: this.#clock, report: this.#report, closed: () => this.#closed };
      const again = async (): Promise<void> => (this.#closed ? undefined : this.#notCreated(tenant, run));
      insist(what, ports, again).catch((error: unknown) => this.#report(error, what));
    }
  }

  /** A3. Somebody else was faster, or it could not be created. */
  async #notCreated(tenant: TenantId, run: RunId): Promise<void> {
    await this.#funds.change(tenant, async (before) => {
      const known = before && drawingOf(before, run);
      if (before === undefined || known === undefined || this.#starting.has(startOf(tenant, run))) return {};
      // Asked in turn: whoever begins to create it here meanwhile draws behind this.
      if (await this.#draws.isThere(tenant, run)) return {};
      const owners = known.owners.filter((owner) => owner !== this.#backend.owner);
      if (owners.length === known.owners.length) return {};
      if (owners.length === 0) return { fund: without(before, run) };
      return { fund: drawing(before, run, { ...known, owners }) };
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
    return this.#funds.change(tenant, async (before) => {
      if (before === undefined) return { result: asked };
      const fund = this.#now(before);
      const wants: Budget = { ...fund.perRun, ...asked };
      const known = drawingOf(fund, run);
      const { owner, journal } = this.#backend;
      // It exists: nothing is begun, so nothing is drawn.
      if ((await journal.tail(run)) !== undefined) return { result: asked };
      if (known !== undefined) {
        // What has become limited since is drawn now.
        const drawn = drawnBy(tenant, { ...wants, ...known.drawn }, fund.limits);
        const result = { ...wants, ...drawn };
        const isDrawn = Object.keys(drawn).length === Object.keys(known.drawn).length;
        if (isDrawn && known.owners.includes(owner)) return { result };
        // Whoever has drawn it may be gone before this one has created it.
        const owners = Array.from(new Set([...known.owners, owner]));
        const both = drawing(fund, run, { owners, drawn });
        return { fund: isDrawn ? both : await this.#withRoom(tenant, both, run), result };
      }
      const drawn = drawnBy(tenant, wants, fund.limits);
      return { fund: await this.#withRoom(tenant, drawing(fund, run, { owners: [owner], drawn }), run), result: wants };
    });
  }

  /** More, for a run that is about to go on with this budget: asked for by its owner, one at a time. @throws as `paying` */
  async raise(run: RunId, budget: Budget): Promise<Raised> {
    const tenant = await this.#tenantOf(run);
    if (tenant === undefined) return { budget, undo: async () => {} };
    return this.#whenGivenBack(() => this.#raise(tenant, run, budget, true));
  }

  /** Whether there is room for it, before its owner is asked; nothing is drawn. @throws as `paying` */
  async mayRaise(run: RunId, budget: Budget): Promise<void> {
    const tenant = await this.#tenantOf(run);
    if (tenant === undefined) return;
    const had = await budgetAt(run, undefined, this.#backend.journal);
    await this.#whenGivenBack(() => this.#raise(tenant, run, { ...had, ...budget }, false));
  }

  #raise(tenant: TenantId, run: RunId, budget: Budget, draws: boolean): Promise<Raised> {
    return this.#funds.change(tenant, async (before) => {
      const known = before && drawingOf(before, run);
      if (before === undefined || known === undefined) return { result: { budget, undo: async () => {} } };
      const fund = this.#now(before);
      const wants = { ...fund.perRun, ...budget };
      const more = raised(known, drawnBy(tenant, wants, fund.limits));
      const next = await this.#withRoom(tenant, drawing(fund, run, more), run);
      const result = { budget: wants, undo: () => this.#lower(tenant, run, known.drawn) };
      return draws ? { fund: next, result } : { result };
    });
  }

  #lower(tenant: TenantId, run: RunId, drawn: Limits): Promise<void> {
    return this.#funds.change(tenant, async (before) => {
      const known = before && drawingOf(before, run);
      return before === undefined || known === undefined ? {} : { fund: drawing(before, run, { ...known, drawn }) };
    });
  }

  /** Runs that have drawn and not given back. */
  drawers(): Promise<RunId[]> {
    return this.#funds.drawers();
  }

  /** A2. It has ended, wherever it lived. Undefined: there is nothing to give back. */
  ended(run: RunId): Promise<void> | undefined {
    if (this.#funds.some === false) return undefined;
    const ending = this.#ended(run).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    return ending;
  }

  async #ended(run: RunId): Promise<void> {
    const tenant = await this.#tenantOf(run);
    if (tenant === undefined) return;
    const fund = await this.#funds.get(tenant);
    if (fund === undefined || drawingOf(fund, run) === undefined) return;
    const cost = limitsOf(await spentBy(run, this.#backend.journal));
    await this.#funds.change(tenant, async (before) => {
      if (before === undefined || drawingOf(before, run) === undefined) return {};
      return { fund: settled(this.#now(before), run, cost) };
    });
  }

  /** Undefined: it has no budget, or the run is not there. */
  async #tenantOf(run: RunId): Promise<TenantId | undefined> {
    await this.#funds.ready();
    if (this.#funds.some !== true) return undefined;
    const tenant = (await createdOf(run, this.#backend.journal))?.tenant;
    return tenant !== undefined && this.#funds.has(tenant) === true ? tenant : undefined;
  }

  /** The fund, if what it has drawn and spent is within its limits; without what was drawn for nothing, if that helps. @throws BudgetExceededError */
  async #withRoom(tenant: TenantId, fund: Fund, run: RunId): Promise<Fund> {
    if (overdrawn(fund, run) === undefined) return fund;
    const standing = await this.#draws.standing(tenant, fund);
    const over = overdrawn(standing, run);
    if (over === undefined) return standing;
    const { resource, spent, limit, wanted } = over;
    const context = { resource, spent, limit, tenant };
    throw new BudgetExceededError(
      `The budget of tenant ${tenant} has too little left for run ${run}: of ${limit} ${resource}, ${spent} are spent or drawn, and it would draw ${wanted}. Give it less, or wait for ${new Date(fund.since + fund.periodMs).toISOString()}.`,
      context,
    );
  }

  #now(fund: Fund): Fund {
    return current(fund, this.#clock.now());
  }
}

/** A tenant's id has no slash in it. */
const startOf = (tenant: TenantId, run: RunId): string => `${tenant}/${run}`;

/** @throws ValidationError */
function drawnBy(tenant: TenantId, wants: Limits, limits: Limits): Limits {
  const drawn = share(wants, limits);
  if ('share' in drawn) return drawn.share;
  throw new ValidationError(
    `Tenant ${tenant} has a budget of ${drawn.missing}, and this run does not say how much of it it needs: start it with budget: { ${drawn.missing} }, or set perRun in the tenant's budget.`,
    { tenant, path: `budget.${drawn.missing}`, resource: drawn.missing },
  );
}
