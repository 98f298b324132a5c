import type { Fund } from '../machines/policy/fund.ts';
import type { Registered, Registry, Unwatch } from '../src/backend.ts';
import { encode } from '../src/codec.ts';
import { OverloadedError } from '../src/protocol/errors.ts';
import type { RunId, TenantId } from '../src/protocol/ids.ts';

const PREFIX = 'budget.';
const MAX_BYTES = 60 * 1024;

/** What is to become of a fund: without `fund` it stays. */
interface Changed<T> {
  fund?: Fund;
  result?: T;
}

/** The budgets of tenants, as the registry keeps them. */
export class Funds {
  readonly #registry: Registry;
  /** One without what was drawn for nothing. */
  readonly #standing: (tenant: TenantId, fund: Fund) => Promise<Fund>;
  readonly #unwatch: Unwatch;
  /** Tenants that have one, as this process knows it: at most 200 ms old. */
  readonly #tenants = new Set<string>();
  #listed: Promise<void> | undefined;
  #known = false;
  /** Changes of one from this process need not race each other. */
  readonly #turns = new Map<TenantId, Promise<unknown>>();

  constructor(
    registry: Registry,
    standing: (tenant: TenantId, fund: Fund) => Promise<Fund>,
    report: (error: unknown, where: string) => void,
  ) {
    this.#registry = registry;
    this.#standing = standing;
    this.#unwatch = registry.watch(
      PREFIX,
      (key, now) => this.#know(key, now),
      (error) => report(error, 'reading the budgets of tenants'),
    );
    // Whoever needs it asks again, and is told.
    this.ready().catch(() => {});
  }

  close(): void {
    this.#unwatch();
  }

  /** It knows which tenants have one. */
  ready(): Promise<void> {
    this.#listed ??= this.#list();
    return this.#listed;
  }

  /** As this process knows it; undefined: it does not know yet. */
  has(tenant: TenantId): boolean | undefined {
    return this.#tenants.has(tenant) || (this.#known ? false : undefined);
  }

  /** Somebody has one; undefined: this process does not know yet. */
  get some(): boolean | undefined {
    return this.#known ? this.#tenants.size > 0 : undefined;
  }

  async get(tenant: TenantId): Promise<Fund | undefined> {
    return (await this.#registry.get(PREFIX + tenant))?.value as Fund | undefined;
  }

  /** Runs that have drawn of any. */
  async drawers(): Promise<RunId[]> {
    await this.ready();
    const runs: string[] = [];
    if (this.some === true)
      for await (const { value } of this.#registry.list(PREFIX)) runs.push(...Object.keys((value as Fund).open));
    return runs as RunId[];
  }

  /** In turn; `next` is asked again where another process was faster. @throws OverloadedError */
  change<T>(tenant: TenantId, next: (before: Fund | undefined) => Promise<Changed<T>>): Promise<T> {
    const turn = (this.#turns.get(tenant) ?? Promise.resolve()).catch(() => {}).then(() => this.#put(tenant, next));
    this.#turns.set(tenant, turn);
    const last = (): void => {
      if (this.#turns.get(tenant) === turn) this.#turns.delete(tenant);
    };
    turn.then(last, last);
    return turn;
  }

  async #put<T>(tenant: TenantId, next: (before: Fund | undefined) => Promise<Changed<T>>): Promise<T> {
    for (;;) {
      const found = await this.#registry.get(PREFIX + tenant);
      const { fund, result } = await next(found?.value as Fund | undefined);
      if (fund === undefined) return result as T;
      const kept = sizeOf(fund) <= MAX_BYTES ? fund : fitting(tenant, await this.#standing(tenant, fund));
      if ((await this.#registry.put(PREFIX + tenant, kept, found?.revision ?? 0)) === undefined) continue;
      this.#tenants.add(tenant);
      return result as T;
    }
  }

  async #list(): Promise<void> {
    try {
      for await (const found of this.#registry.list(PREFIX)) this.#know(found.key, found);
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
}

const sizeOf = (fund: Fund): number => encode(fund).byteLength;

/** @throws OverloadedError */
function fitting(tenant: TenantId, fund: Fund): Fund {
  const bytes = sizeOf(fund);
  if (bytes <= MAX_BYTES) return fund;
  const runs = Object.keys(fund.open).length;
  throw new OverloadedError(
    `Tenant ${tenant} has ${runs} runs that have not ended, which is more than its budget can keep (${bytes} bytes); start this one when some have ended.`,
    { tenant, runs, bytes, limit: MAX_BYTES },
  );
}
