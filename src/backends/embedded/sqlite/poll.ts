import type { DatabaseSync } from 'node:sqlite';
import type { Unwatch } from '../../../backend.ts';
import type { Clock } from '../../../clock.ts';
import { inSlices } from '../slices.ts';

/** Looks for what is new, step by step. `moved`: another connection has written since the last time. It throws nothing. */
export type Look = (moved: boolean) => Iterator<unknown>;

/** The promise is 200 ms; the rest is for a busy loop. */
const EVERY_MS = 50;

/**
 * Sees what other processes have written: one timer for all who watch, and none while nobody does. It keeps no process alive.
 *
 * P1. One look at a time; the event loop turns between slices of it.
 * P2. What is written after `during` is called is looked for.
 */
export class Poll {
  readonly #clock: Clock;
  readonly #version: () => unknown;
  readonly #users = new Map<Look, number>();
  /** Asked for and not begun. */
  readonly #wanted = new Map<Look, boolean>();
  #seen: unknown;
  #timer: unknown;
  #round = 0;
  #looking = false;

  constructor(db: DatabaseSync, clock: Clock) {
    this.#clock = clock;
    const version = db.prepare('PRAGMA data_version');
    this.#version = () => version.get()?.['data_version'];
  }

  /** Looks every now and then until it is ended, which is done once. */
  during(look: Look): Unwatch {
    this.#users.set(look, (this.#users.get(look) ?? 0) + 1);
    this.#arm();
    return () => {
      const users = (this.#users.get(look) ?? 0) - 1;
      if (users > 0) this.#users.set(look, users);
      else this.#users.delete(look);
      if (this.#users.size === 0) this.#disarm();
    };
  }

  /** Looks as soon as no other look is under way. */
  now(look: Look): void {
    this.#wanted.set(look, true);
    this.#lookOn();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#looking || this.#users.size === 0) return;
    const round = (this.#round += 1);
    // In a turn of its own: a clock that is moved on by an hour polls once.
    this.#timer = this.#clock.setTimeout(() => this.#clock.immediate(() => this.#tick(round)), EVERY_MS, false);
  }

  #disarm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#round += 1;
    this.#wanted.clear();
  }

  #tick(round: number): void {
    if (round !== this.#round) return;
    this.#timer = undefined;
    const moved = this.#hasMoved();
    for (const look of this.#users.keys()) this.#wanted.set(look, moved || this.#wanted.get(look) === true);
    this.#lookOn();
  }

  #hasMoved(): boolean {
    let version: unknown;
    try {
      version = this.#version();
    } catch (error) {
      // Whoever looks gets the same error, and says so; once.
      version = String(error);
    }
    if (version === this.#seen) return false;
    this.#seen = version;
    return true;
  }

  #lookOn(): void {
    if (this.#looking) return;
    const [next] = this.#wanted;
    if (next === undefined) return this.#arm();
    const [look, moved] = next;
    this.#wanted.delete(look);
    this.#looking = true;
    inSlices(this.#clock, look(moved), () => {
      this.#looking = false;
      this.#lookOn();
    });
  }
}
