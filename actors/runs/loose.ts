import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { InvalidStateTransitionError, StaleOwnerError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Ended } from '../end.ts';
import { readEnd } from '../owner.ts';
import type { Run } from '../run.ts';
import { mayWorkLater } from './later.ts';
import type { Parked } from './parked.ts';
import type { OpenRun, Register } from './register.ts';

export interface LoosePorts {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'get' | 'giveUp'>;
  readonly live: ReadonlyMap<RunId, Run>;
  readonly parked: Pick<Parked, 'has'>;
  adopt(run: RunId): Promise<unknown>;
  /** What is left to do of a run that has ended. */
  finish(open: OpenRun, end: Ended): Promise<void>;
  forget(run: RunId): Promise<void>;
  /** There is none of that id. */
  none(run: RunId): Promise<unknown>;
}

export const LOOK_AGAIN_MS = 5_000;
const SEEN_ELSEWHERE = 6;

/**
 * Runs that are on record here, perhaps, and not gone on with. What this process has let go of without an end nobody else takes while it
 * is alive, so it looks at them again itself.
 */
export class Loose {
  readonly #ports: LoosePorts;
  /** How often somebody else seemed to have it. */
  readonly #runs = new Map<RunId, number>();
  /** Looks that are under way. */
  #looks = 0;
  #timer: unknown;
  #closed = false;

  constructor(ports: LoosePorts) {
    this.#ports = ports;
  }

  add(run: RunId): void {
    this.#runs.set(run, 0);
  }

  delete(run: RunId): void {
    this.#runs.delete(run);
  }

  /** There are some. */
  get any(): boolean {
    return this.#runs.size + this.#looks > 0;
  }

  watch(): void {
    const { clock, report } = this.#ports;
    this.#timer = clock.setTimeout(
      () => {
        const all = Array.from(this.#runs, ([run, seen]) =>
          this.#look(run, seen).catch((error: unknown) => {
            if (mayWorkLater(error)) this.add(run);
            report(error, `run ${run}: looking at it again`);
          }),
        );
        this.#looks = all.length;
        void Promise.all(all).then(() => {
          this.#looks = 0;
          if (!this.#closed) this.watch();
        });
      },
      LOOK_AGAIN_MS,
      false,
    );
  }

  close(): void {
    this.#closed = true;
    this.#ports.clock.clearTimeout(this.#timer);
  }

  async #look(run: RunId, seen: number): Promise<void> {
    const { journal, register, live, parked } = this.#ports;
    this.#runs.delete(run);
    if (this.#closed || live.has(run)) return;
    const { open } = await register.get(run);
    const tail = await journal.tail(run);
    // Never recorded, or ended: what is registered of it is nobody's.
    if (tail === undefined) {
      if (open !== undefined) await this.#ports.none(run);
      return;
    }
    const end = await readEnd(journal, run);
    // What it has drawn may be to give back, though it is not registered any more, or never was.
    if (end !== undefined) return open === undefined ? this.#ports.forget(run) : this.#ports.finish(open, end);
    if (parked.has(run)) return;
    try {
      await this.#ports.adopt(run);
    } catch (error) {
      if (error instanceof InvalidStateTransitionError) return;
      if (mayWorkLater(error)) throw error;
      if (!(error instanceof StaleOwnerError)) return register.giveUp(run);
      // Two processes may each take it for the other's, for a moment.
      if (seen < SEEN_ELSEWHERE) this.#runs.set(run, seen + 1);
    }
  }
}
