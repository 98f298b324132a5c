import type { Deadline, Deadlines } from '../src/clock.ts';

/** Rings once at a moment that may be moved or taken back. */
export class Stopwatch {
  readonly #deadlines: Deadlines;
  readonly #key: string;
  readonly #ring: () => void;
  #deadline: Deadline | undefined;

  constructor(deadlines: Deadlines, key: string, ring: () => void) {
    this.#deadlines = deadlines;
    this.#key = key;
    this.#ring = ring;
  }

  /** Undefined: never. */
  set(due: number | undefined): void {
    const standing = this.#deadline !== undefined && this.#deadline.index >= 0;
    if (standing && this.#deadline?.due === due) return;
    this.stop();
    if (due !== undefined) this.#deadline = this.#deadlines.add(due, 0, this.#key, this.#ring);
  }

  stop(): void {
    if (this.#deadline !== undefined) this.#deadlines.remove(this.#deadline);
    this.#deadline = undefined;
  }
}
