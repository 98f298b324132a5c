import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { NotFoundError, StorageError } from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { KillSwitch, Receipt } from '../../src/protocol/receipt.ts';
import { record } from '../control.ts';
import type { Run } from '../run.ts';
import { GRACE_MS, type Kills } from './kills.ts';
import { AGAIN_MS } from './later.ts';
import { openNow, type OpenRun, type Register } from './register.ts';
import { reaches, widthOf, type Switches } from './switches.ts';

/** How long what is switched off is left to whoever has thrown the switch, for a receipt that has all that was stopped. Nothing begins meanwhile. */
const THROWER_MS = 2_000;

export interface WidePorts {
  readonly owner: OwnerId;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'open'>;
  readonly switches: Pick<Switches, 'throw' | 'off'>;
  readonly kills: Pick<Kills, 'kill'>;
  readonly live: ReadonlyMap<RunId, Run>;
  closed(): boolean;
}

/** Kills of all of a kind, by whom they are thrown and wherever it lives or rests. */
export class WideKills {
  readonly #ports: WidePorts;
  /** One for each change of what is off. */
  readonly #timers = new Set<unknown>();

  constructor(ports: WidePorts) {
    this.#ports = ports;
  }

  /** All that it reaches; and nothing of that begins until it is lifted. */
  async kill(thrown: KillSwitch, graceMs: number): Promise<Receipt> {
    const { register, switches, kills, report } = this.#ports;
    await switches.throw(thrown);
    const { reason, by } = thrown;
    // What it reaches is killed also where this cannot be recorded: the switch itself says who has thrown it.
    const recorded = record({ type: 'kill', width: widthOf(thrown), reason, by }, this.#ports).catch((error: unknown) =>
      report(error, 'recording in the control log that a kill switch was thrown'),
    );
    const reached = (await register.open()).filter((open) => reaches(thrown, open));
    const known = new Set(reached.map(({ run }) => run));
    const isBelow = ({ parent }: OpenRun): boolean => parent !== undefined && known.has(parent.run);
    const of = (some: readonly OpenRun[]): RunId[] => some.map(({ run }) => run);
    const receipt = await kills.kill(
      of(reached.filter((open) => !isBelow(open))),
      { reason, by, graceMs },
      of(reached.filter(isBelow)),
    );
    await recorded;
    // One that is not there yet finds itself switched off when it is (W1).
    return { ...receipt, left: receipt.left.filter(({ error }) => !(error instanceof NotFoundError)) };
  }

  /** What is off has changed: what is not any more goes on; what lives or rests here and still is, later, is killed from here. */
  switched(): void {
    for (const run of this.#ports.live.values()) run.goOn();
    this.#later(THROWER_MS);
  }

  close(): void {
    for (const timer of this.#timers) this.#ports.clock.clearTimeout(timer);
    this.#timers.clear();
  }

  #later(ms: number): void {
    const { clock, report } = this.#ports;
    if (this.#ports.closed()) return;
    const timer = clock.setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#killOwn().catch((error: unknown) => {
          report(error, `killing what is switched off is tried again in ${AGAIN_MS} ms`);
          this.#later(AGAIN_MS);
        });
      },
      ms,
      false,
    );
    this.#timers.add(timer);
  }

  async #killOwn(): Promise<void> {
    const { owner, report, register, switches, kills } = this.#ports;
    // What was killed elsewhere, and not told, is not registered any more.
    const here = [...this.#ports.live.values()].map((run) => openNow(run, owner));
    const all = new Map([...here, ...(await register.open())].map((open) => [open.run, open]));
    for (const open of all.values()) {
      const off = switches.off(open);
      if (off === undefined || open.owner !== owner) continue;
      const { reason, by } = off;
      const { left } = await kills.kill([open.run], { reason, by, graceMs: GRACE_MS });
      for (const { run, error } of left) report(error, `run ${run}: killing what is switched off`);
      if (left.length > 0) throw new StorageError('Not all of it was killed.', { runs: left.map(({ run }) => run) });
    }
  }
}
