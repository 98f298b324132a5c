import type { Journal } from '../../src/backend.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Ended } from '../end.ts';
import type { Run } from '../run.ts';
import type { Creating } from './creating.ts';
import { worksForNobody, type Kill, type Kills } from './kills.ts';
import type { Loose } from './loose.ts';
import type { Mail } from './mail.ts';
import type { Parked } from './parked.ts';
import type { OpenRun, Register } from './register.ts';

export interface ForgettingPorts {
  readonly register: Pick<Register, 'delete'>;
  readonly loose: Pick<Loose, 'add' | 'delete'>;
  readonly journal: Pick<Journal, 'tail'>;
  readonly creating: Pick<Creating, 'alone'>;
  readonly live: Pick<Map<RunId, Run>, 'has' | 'delete'>;
  readonly parked: Pick<Parked, 'remove'>;
  readonly mail: Pick<Mail, 'tellParent'>;
  readonly kill: Kill;
  readonly kills: Pick<Kills, 'below'>;
  readonly report: (error: unknown, where: string) => void;
  /** What else is to be settled before. */
  ended(run: RunId): Promise<void> | undefined;
  closed(): boolean;
}

/** What is left to do of a run that has ended. Until all of it is done the run stays in the registry, where somebody finds it. */
export class Forgetting {
  readonly #ports: ForgettingPorts;

  constructor(ports: ForgettingPorts) {
    this.#ports = ports;
  }

  /** Whoever has ended it may not have come to all that it had begun, nor to forgetting it. */
  async finish({ run, parent }: OpenRun, end: Ended): Promise<void> {
    const { left } =
      end.type === 'run.killed'
        ? await this.#ports.kill([run], { ...end.event, graceMs: 0 })
        : await this.#ports.kills.below(run, { ...worksForNobody(run), graceMs: 0 });
    for (const { error } of left) throw error;
    if (end.type !== 'run.killed') await this.conclude(run, parent);
  }

  /** Whoever waits for it is told before it is forgotten. */
  async conclude(run: RunId, parent: OpenRun['parent'] | null | undefined): Promise<void> {
    this.#ports.loose.add(run);
    if (parent !== undefined && parent !== null) await this.#ports.mail.tellParent(run, parent);
    await this.forget(run);
  }

  /** As `conclude`; where it fails, it is looked at again. */
  concludeOrReport(run: RunId, parent: OpenRun['parent'] | null | undefined): Promise<void> {
    return this.conclude(run, parent).catch((error: unknown) => this.#ports.report(error, `run ${run}: forgetting it`));
  }

  /** What is registered of a run that was never begun. False: it is on record. */
  none(run: RunId): Promise<boolean> {
    const { creating, journal, live } = this.#ports;
    // It may be begun at this moment.
    return creating.alone(run, async () => {
      if (live.has(run)) return true;
      if ((await journal.tail(run)) !== undefined) return false;
      await this.forget(run);
      return true;
    });
  }

  async forget(run: RunId): Promise<void> {
    const { register, loose, live, parked } = this.#ports;
    live.delete(run);
    parked.remove(run);
    if (this.#ports.closed()) return;
    // Later, where the store fails now.
    loose.add(run);
    const settled = this.#ports.ended(run);
    if (settled !== undefined) {
      await settled;
      // Closed meanwhile: it is found as ended where it is recovered.
      if (this.#ports.closed()) return;
    }
    await register.delete(run);
    loose.delete(run);
  }
}
