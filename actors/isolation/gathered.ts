/** So many bytes, which arrive in pieces of any size: one buffer, of at most twice what has arrived, whatever was announced. */
export class Gathered {
  readonly #wanted: number;
  #buffer: Buffer = Buffer.alloc(0);
  #held = 0;

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** How many of these it has taken: no more than it still wants. */
  take(bytes: Buffer): number {
    const taken = Math.min(bytes.length, this.#wanted - this.#held);
    // What arrives whole is not copied.
    if (taken === this.#wanted) this.#buffer = bytes.subarray(0, taken);
    else {
      this.#grow(this.#held + taken);
      bytes.copy(this.#buffer, this.#held, 0, taken);
    }
    this.#held += taken;
    return taken;
  }

  /** Undefined as long as bytes are missing. */
  whole(): Buffer | undefined {
    return this.#held === this.#wanted ? this.#buffer : undefined;
  }

  #grow(needed: number): void {
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.min(this.#wanted, Math.max(needed, 2 * this.#held)));
    this.#buffer.copy(larger, 0, 0, this.#held);
    this.#buffer = larger;
  }
}
