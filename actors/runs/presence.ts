import type { Backend } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { ownerId, type OwnerId } from '../../src/protocol/ids.ts';

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
  /** Seen as owners, whether they have said that they are there or not. */
  readonly #seen = new Set<OwnerId>();
  #announced: Promise<void> | undefined;
  #timer: unknown;
  #closed = false;

  constructor(backend: Backend, clock: Clock, report: (error: unknown, where: string) => void) {
    this.#backend = backend;
    this.#clock = clock;
    this.#report = report;
  }

  /** Before this process owns a run: resolves once the others can find that out. */
  announce(): Promise<void> {
    const { registry, owner } = this.#backend;
    this.#announced ??= registry.put(PREFIX + owner, { since: this.#clock.now() }).then(
      () => {},
      (error: unknown) => {
        this.#announced = undefined;
        throw error;
      },
    );
    return this.#announced;
  }

  /** Somebody who is alive owns a run: it is asked about, too. */
  saw(owner: OwnerId): void {
    this.#seen.add(owner);
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
    if (this.#announced === undefined || leaves) return;
    // The others find out for themselves.
    await this.#backend.registry
      .delete(PREFIX + this.#backend.owner)
      .catch((error: unknown) => this.#report(error, 'saying that this process owns no runs'));
  }

  async #look(take: Take): Promise<void> {
    const { registry, owner } = this.#backend;
    const others = new Set(this.#seen);
    for await (const { key } of registry.list(PREFIX)) others.add(ownerId(key.slice(PREFIX.length)));
    for (const other of others) {
      if (other === owner || this.#handled.has(other)) continue;
      if (this.#closed || (await this.#backend.alive(other))) continue;
      const outcome = await take(other);
      if (outcome === 'nothing left') {
        this.#seen.delete(other);
        await registry.delete(PREFIX + other);
      } else if (outcome === 'not for us') this.#handled.add(other);
    }
  }
}
