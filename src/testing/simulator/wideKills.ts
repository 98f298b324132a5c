import type { KilledRun, Width } from '../../protocol/receipt.ts';
import type { Troupe } from '../../troupe.ts';
import type { Audit } from './checks/audit.ts';
import { reasonOf, widthOf } from './checks/switches.ts';

/** Of one that cannot be read nobody knows what it has begun. */
export const isWhole = (runs: readonly KilledRun[]): boolean => runs.every(({ error }) => error === undefined);

/** Kills of more than one run, and their lifting, as whoever asks for them knows it. */
export class WideKills {
  readonly #audit: Audit;
  readonly #trace: (line: string) => void;

  constructor(audit: Audit, trace: (line: string) => void) {
    this.#audit = audit;
    this.#trace = trace;
  }

  async kill(width: Width, troupe: Troupe): Promise<void> {
    const reason = reasonOf(width);
    const { acknowledged, failed } = this.#audit.switches.asked(width);
    try {
      const { runs, left } = await troupe.kill(width, reason);
      this.#trace(`${reason} is killed: ${runs.length} runs, ${left.length} left`);
      const whole = left.length === 0 && isWhole(runs);
      for (const { run, status } of runs) if (status === 'killed') this.#audit.seal(run, whole);
      acknowledged(left.map(({ run }) => run));
    } catch (error) {
      failed();
      throw error;
    }
  }

  async lift(width: Width, troupe: Troupe): Promise<void> {
    const { acknowledged, failed } = this.#audit.switches.lifting(width);
    try {
      await troupe.lift(width);
      this.#trace(`${reasonOf(width)} is lifted`);
      acknowledged();
    } catch (error) {
      failed();
      throw error;
    }
  }

  /** Whatever was switched off may begin again. */
  async liftAll(troupe: Troupe): Promise<void> {
    for (const thrown of await troupe.switches()) await this.lift(widthOf(thrown), troupe);
  }
}
