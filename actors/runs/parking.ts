import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { inboxOf, type OwnerId, type RunId } from '../../src/protocol/ids.ts';
import type { Run } from '../run.ts';
import { insist } from './later.ts';
import type { Lost } from './lost.ts';
import type { Parked } from './parked.ts';
import { openNow, type OpenRun, type Register } from './register.ts';
import { Resting } from './resting.ts';

/**
 * How runs that rest leave memory.
 *
 * O2. Of a run that rests the registry says up to where: if its journal or inbox has more by then, that record counts for nothing.
 */

export interface ParkingPorts {
  readonly owner: OwnerId;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'get' | 'claim'>;
  readonly live: Pick<Map<RunId, Run>, 'get' | 'delete'>;
  readonly parked: Pick<Parked, 'add'>;
  readonly lost: Pick<Lost, 'takenOver'>;
  /** A message may be on its way to it from its inbox, or the end of a run that it has begun. */
  learns(run: RunId): boolean;
  closed(): boolean;
}

export class Parking {
  readonly #ports: ParkingPorts;
  readonly #resting: Resting | undefined;
  /** Registered as resting, perhaps, and not out of memory yet. */
  readonly #leaving = new Set<RunId>();

  /** `afterMs` undefined: none ever does. */
  constructor(ports: ParkingPorts, afterMs: number | undefined) {
    this.#ports = ports;
    const { clock } = ports;
    if (afterMs !== undefined) this.#resting = new Resting(clock, afterMs, (run) => void this.#park(run, afterMs));
  }

  /** It rests from now on. */
  rests(run: Run): void {
    this.#resting?.add(run);
  }

  leaves(run: Run): void {
    this.#resting?.delete(run);
  }

  /** Whoever takes it over at this moment may believe that it rests. */
  isLeaving(run: RunId): boolean {
    return this.#leaving.has(run);
  }

  close(): void {
    this.#resting?.close();
  }

  async #park(run: Run, afterMs: number): Promise<void> {
    const { report } = this.#ports;
    this.#leaving.add(run.id);
    try {
      if ((await this.#leave(run, afterMs)) === 'stays')
        await insist(`run ${run.id}: that it stays`, this.#ports, () => this.#stays(run));
    } catch (error) {
      report(error, `run ${run.id}: parking it`);
    } finally {
      this.#leaving.delete(run.id);
    }
  }

  /** `stays`: it is registered as resting, perhaps. */
  async #leave(run: Run, afterMs: number): Promise<'stays' | void> {
    const { owner, clock, report, register, live, parked, lost } = this.#ports;
    const parks = run.rest.parks;
    // Not worth it: it would be woken again at once.
    if (parks === undefined || parks.due - clock.now() < afterMs || this.#ports.closed()) return;
    const { seq } = run.position;
    const upTo = { seq, inbox: run.commands.taken, due: parks.due === Infinity ? null : parks.due };
    if (this.#ports.learns(run.id)) return this.rests(run);
    try {
      const { open, revision } = await register.get(run.id);
      // A process that stood still may find that it is somebody else's.
      if (open?.owner !== owner) {
        await lost.takenOver(run.id);
        return live.get(run.id) === run ? this.rests(run) : undefined;
      }
      if (!(await register.claim({ ...openNow(run, owner), parked: upTo }, revision))) return this.rests(run);
    } catch (error) {
      report(error, `run ${run.id}: parking it`);
      this.rests(run);
      return 'stays';
    }
    if (this.#ports.closed() || live.get(run.id) !== run) return;
    // O2: what has happened meanwhile makes the record void; somebody who looks at it does not.
    if (run.position.seq !== seq || run.rest.parks?.due !== parks.due) return 'stays';
    if (this.#ports.learns(run.id)) {
      this.rests(run);
      return 'stays';
    }
    live.delete(run.id);
    const { rest, openChildren, beginning } = run;
    const children = openChildren.map((child) => child.run);
    const { waitsItself: itself } = rest;
    const usual = children.length === 0 && itself === (parks.due === Infinity);
    parked.add(run.id, parks.due, usual ? undefined : { itself, children, parent: beginning.event.parent?.run });
    run.ending.park();
  }

  /** O2: otherwise it would rest for whoever takes it over, though the end of a run that it has begun is told to the one that lives here. */
  async #stays(run: Run): Promise<void> {
    const { owner, register, live } = this.#ports;
    for (;;) {
      const { open, revision } = await register.get(run.id);
      if (live.get(run.id) !== run || open?.owner !== owner || open.parked === undefined) return;
      if (await register.claim(openNow(run, owner), revision)) return;
    }
  }
}

/** O2. */
export async function restsStill(
  run: RunId,
  { seq, inbox }: NonNullable<OpenRun['parked']>,
  journal: Pick<Journal, 'tail'>,
): Promise<boolean> {
  const [own, others] = await Promise.all([journal.tail(run), journal.tail(inboxOf(run))]);
  return own?.seq === seq && (others?.seq ?? 0) === inbox;
}
