import type { Backend } from '../src/backend.ts';
import type { Clock } from '../src/clock.ts';
import { ownerId, type OwnerId } from '../src/protocol/ids.ts';

/**
 * Owners of runs say that they are there, so that the others find out when one is gone and take what it has left.
 *
 * Q1. Being alive is the backend's to say; what stands here only tells whom to ask about.
 * Q2. Each process looks once at what an owner has left (it may lack the definitions that another one has), again only where the store failed.
 */

type Take = (gone: OwnerId) => Promise<'nothing left' | 'not for us' | 'look again'>;

const PREFIX = 'owner.';
/** A run whose process has died is gone on with after at most this time, where another process can. */
const EVERY_MS = 5_000;

export class Presence {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #report: (error: unknown, where: string) => void;
  readonly #handled = new Set<OwnerId>();
  #announced = false;
  #timer: unknown;
  #closed = false;

  constructor(backend: Backend, clock: Clock, report: (error: unknown, where: string) => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#report = report;
  }

  /** This process owns a run. */
  announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    const { registry, owner } = this.#backend;
    registry
      .put(PREFIX + owner, { since: this.#clock.now() })
      .catch((error: unknown) => this.#report(error, 'saying that this process owns runs'));
  }

  /** `take`: takes what has no owner alive. */
  watch(take: Take): void {
    if (this.#closed) return;
    // No process stays for this alone.
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#look(take)
          .catch((error: unknown) => this.#report(error, 'looking for runs without an owner'))
          .finally(() => this.watch(take));
      },
      EVERY_MS,
      false,
    );
  }

  /** `leaves`: runs stay behind, which others are to find. */
  async close(leaves: boolean): Promise<void> {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    if (this.#announced && !leaves) await this.#backend.registry.delete(PREFIX + this.#backend.owner);
  }

  async #look(take: Take): Promise<void> {
    const { registry, owner } = this.#backend;
    const others: OwnerId[] = [];
    for await (const { key } of registry.list(PREFIX)) {
      const other = ownerId(key.slice(PREFIX.length));
      if (other !== owner && !this.#handled.has(other)) others.push(other);
    }
    for (const other of others) {
      if (this.#closed || (await this.#backend.alive(other))) continue;
      const outcome = await take(other);
      if (outcome === 'nothing left') await registry.delete(PREFIX + other);
      else if (outcome === 'not for us') this.#handled.add(other);
    }
  }
}
