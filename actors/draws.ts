import type { Fund } from '../machines/policy/fund.ts';
import type { Backend } from '../src/backend.ts';
import { CorruptJournalError, UnsupportedFormatError } from '../src/protocol/errors.ts';
import type { OwnerId, RunId, TenantId } from '../src/protocol/ids.ts';
import { createdOf } from './spending.ts';

/** Which draws of a tenant's runs stand: those of runs that are there, and of runs that somebody is still creating. */
export class Draws {
  readonly #backend: Pick<Backend, 'owner' | 'alive' | 'journal'>;
  /** It is being created here. */
  readonly #isStarting: (tenant: TenantId, run: RunId) => boolean;

  constructor(
    backend: Pick<Backend, 'owner' | 'alive' | 'journal'>,
    isStarting: (tenant: TenantId, run: RunId) => boolean,
  ) {
    this.#backend = backend;
    this.#isStarting = isStarting;
  }

  /** The fund without what was drawn for nothing (A3). */
  async standing(tenant: TenantId, fund: Fund): Promise<Fund> {
    const alive = new Map<OwnerId, Promise<boolean>>();
    const open: Fund['open'] = {};
    for (const [run, drawing] of Object.entries(fund.open))
      if (await this.#stands(tenant, run as RunId, drawing.owners, alive)) open[run] = drawing;
    return { ...fund, open };
  }

  async #stands(
    tenant: TenantId,
    run: RunId,
    owners: readonly OwnerId[],
    alive: Map<OwnerId, Promise<boolean>>,
  ): Promise<boolean> {
    for (const owner of owners) {
      if (owner === this.#backend.owner) {
        if (this.#isStarting(tenant, run)) return true;
        continue;
      }
      const isAlive = alive.get(owner) ?? this.#backend.alive(owner);
      alive.set(owner, isAlive);
      if (await isAlive) return true;
    }
    return this.isThere(tenant, run);
  }

  /** A run of that id that is another tenant's has drawn nothing of this one's. */
  async isThere(tenant: TenantId, run: RunId): Promise<boolean> {
    const { journal } = this.#backend;
    if ((await journal.tail(run)) === undefined) return false;
    try {
      return (await createdOf(run, journal))?.tenant === tenant;
    } catch (error) {
      // Nobody can tell whose it is.
      if (error instanceof CorruptJournalError || error instanceof UnsupportedFormatError) return true;
      throw error;
    }
  }
}
