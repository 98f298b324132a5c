import type { Clock } from '../../src/clock.ts';
import type { Run } from '../run.ts';

/** Live runs that rest, and for how long: each is handed to `park` when it has rested for `afterMs` without a break. */
export class Resting {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #park: (run: Run) => void;
  /** Since when; the longest first. */
  readonly #since = new Map<Run, number>();
  #timer: unknown;

  constructor(clock: Clock, afterMs: number, park: (run: Run) => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#park = park;
  }

  /** It rests from now on. */
  add(run: Run): void {
    this.#since.delete(run);
    this.#since.set(run, this.#clock.now());
    this.#arm();
  }

  delete(run: Run): void {
    this.#since.delete(run);
  }

  close(): void {
    this.#since.clear();
    this.#clock.clearTimeout(this.#timer);
  }

  #arm(): void {
    const [longest] = this.#since.values();
    if (this.#timer !== undefined || longest === undefined) return;
    // No process stays for this alone.
    this.#timer = this.#clock.setTimeout(
      () => this.#sweep(),
      Math.max(0, longest + this.#afterMs - this.#clock.now()),
      false,
    );
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [run, since] of this.#since) {
      if (since + this.#afterMs > now) break;
      this.#since.delete(run);
      this.#park(run);
    }
    this.#arm();
  }
}
