import type { Child } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Approval } from '../../src/protocol/spec.ts';
import type { Calls } from '../calls.ts';
import type { Orphans } from './orphans.ts';
import type { Pump } from '../pump.ts';
import type { DurableSystem } from '../system.ts';

/** A run as far as its rest goes. */
interface Resting {
  /** Nothing begins here any more. */
  readonly stopped: boolean;
  readonly catchesUp: boolean;
  readonly system: DurableSystem;
  readonly calls: Calls;
  readonly openChildren: readonly Child[];
  approvals(): Approval[];
}

interface Host {
  /** A run that a call of it waits for lives or rests here, and waits for somebody. */
  waits(child: RunId): boolean;
  /** It rests now. */
  rests(): void;
}

/** When a run rests, when it only waits for somebody, and when it need not be in memory. */
export class Rest {
  readonly #run: Resting;
  readonly #pump: Pump;
  readonly #orphans: Orphans;
  readonly #host: Host;
  #holds = 0;
  /** A run that nobody waits for has none. */
  #waiters: (() => void)[] | undefined;

  constructor(run: Resting, pump: Pump, orphans: Orphans, host: Host) {
    this.#run = run;
    this.#pump = pump;
    this.#orphans = orphans;
    this.#host = host;
  }

  /** Nothing is under way but calls in doubt, and nothing is on its way to the journal; timers may run. */
  get rests(): boolean {
    const { stopped, catchesUp, system, calls } = this.#run;
    if (stopped || catchesUp || !this.#pump.idle || system.actions.broken || this.#orphans.dying) return false;
    return !calls.underWay;
  }

  /** It waits for somebody: it rests, its runs wait too, and no timer runs but for approvals. */
  get waits(): boolean {
    return this.rests && this.#run.openChildren.every(({ run }) => this.#host.waits(run)) && this.waitsItself;
  }

  /** No timer runs but for approvals. */
  get waitsItself(): boolean {
    return this.#run.system.armed().next().done === true || this.#run.approvals().length > 0;
  }

  /** It rests here and nobody looks at it, so that it need not be in memory: when its next timer is due (Infinity: none). */
  get parks(): { due: number } | undefined {
    if (!this.rests || this.#holds > 0) return undefined;
    const { system, calls } = this.#run;
    let due = calls.gate.dueMs ?? Infinity;
    for (const deadline of system.armed()) due = Math.min(due, deadline.due);
    return { due };
  }

  /** Keeps it in memory until the release is called: somebody looks at its actors. */
  hold(): () => void {
    let held = true;
    this.#holds += 1;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      if (this.rests) this.#host.rests();
    };
  }

  /** Resolves when the run only waits; never when it ends first. */
  whenWaiting(): Promise<void> {
    return this.waits ? Promise.resolve() : new Promise((resolve) => (this.#waiters ??= []).push(resolve));
  }

  /** A run that it has begun waits, too. */
  reconsider(): void {
    if (this.#waiters !== undefined && this.waits) for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** Nothing is enqueued and nothing under way. */
  settle(): void {
    this.reconsider();
    if (this.rests) this.#host.rests();
  }
}
