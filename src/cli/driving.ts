/** Ctrl-C, the word to end, and that its terminal was closed. */
export const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type Signal = (typeof SIGNALS)[number];

/** What this process sees through, known to whatever cuts it short. */
class Driving {
  /** The command drives runs, though it may not know them yet. */
  active = false;
  readonly runs = new Set<string>();
  /** They are about to be begun: nobody knows yet whether they are there. */
  begins = false;
  /** One of them was killed, by whomever. */
  killed = false;
  #first: ((signal: Signal) => void) | undefined;

  /** From here on the first Ctrl-C does `interrupt`; resolves when the runs are to be let go of: at a SIGTERM or SIGHUP, or a Ctrl-C with nothing to do. */
  begin(interrupt?: () => void): Promise<Signal> {
    this.active = true;
    this.begins = false;
    return new Promise((resolve) => {
      this.#first = (signal) => {
        if (signal === 'SIGINT' && interrupt !== undefined) interrupt();
        else resolve(signal);
      };
    });
  }

  /** Resolves at the first signal, for a command that drives nothing and may be left at any time. */
  left(): Promise<Signal> {
    return new Promise((resolve) => {
      this.#first = resolve;
    });
  }

  /** False where nobody is left to hear it: it is the second, or nothing is under way. */
  signal(signal: Signal): boolean {
    const first = this.#first;
    this.#first = undefined;
    first?.(signal);
    return first !== undefined;
  }

  end(): void {
    this.active = false;
    this.begins = false;
    this.killed = false;
    this.runs.clear();
    this.#first = undefined;
  }
}

export const driving = new Driving();
