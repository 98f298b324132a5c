import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { InvalidStateTransitionError, StaleOwnerError } from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { Adopting } from './adopting.ts';
import { AGAIN_MS, mayWorkLater } from './later.ts';
import type { Loose } from './loose.ts';
import type { Parked } from './parked.ts';
import { restsStill } from './parking.ts';
import type { Register } from './register.ts';

export interface WakingPorts {
  readonly owner: OwnerId;
  readonly journal: Pick<Journal, 'tail'>;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'open' | 'giveUp'>;
  readonly loose: Pick<Loose, 'add'>;
  readonly parked: Pick<Parked, 'has' | 'runs' | 'add' | 'remove'>;
  readonly adopting: Pick<Adopting, 'adopt'>;
  closed(): boolean;
}

/** How runs that rest come back to memory. */
export class Waking {
  readonly #ports: WakingPorts;

  constructor(ports: WakingPorts) {
    this.#ports = ports;
  }

  wake(run: RunId): void {
    const { parked, adopting } = this.#ports;
    if (this.#ports.closed()) return;
    // `adopt` sees that it rests here.
    if (!parked.has(run)) parked.add(run, Infinity);
    adopting.adopt(run).catch((error: unknown) => this.#notWoken(run, error));
  }

  /** Signals were missed: wakes what does not rest any more. */
  async lookAgain(): Promise<void> {
    const { owner, journal, register, parked: rests } = this.#ports;
    const resting = rests.runs();
    for (const { run, owner: owns, parked } of await register.open()) {
      if (owns !== owner) continue;
      resting.delete(run);
      if (parked !== undefined && rests.has(run) && !(await restsStill(run, parked, journal))) this.wake(run);
    }
    // Somebody else has them, or they have ended.
    for (const run of resting) rests.remove(run);
  }

  /** What may work later is tried again; what this process cannot go on with, another one may. */
  #notWoken(run: RunId, error: unknown): void {
    const { report, clock, parked, loose, register } = this.#ports;
    // It has ended.
    if (error instanceof InvalidStateTransitionError) return parked.remove(run);
    report(error, `run ${run}: waking it`);
    if (this.#ports.closed() || !parked.has(run)) return;
    if (mayWorkLater(error)) return parked.add(run, clock.now() + AGAIN_MS);
    parked.remove(run);
    // It lives elsewhere, or two ways of bringing it here were in each other's.
    if (error instanceof StaleOwnerError) return loose.add(run);
    register.giveUp(run).catch((second: unknown) => report(second, `run ${run}: giving it up`));
  }
}
