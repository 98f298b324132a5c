import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import type { EntryOf } from '../../src/protocol/entry.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { StoppedActor } from '../../src/protocol/receipt.ts';
import { readEnd } from '../owner.ts';
import type { Run } from '../run.ts';
import type { Stopped } from '../run/ending.ts';
import type { Adopting } from './adopting.ts';
import type { Creating } from './creating.ts';
import { answers } from './kills.ts';
import { insist } from './later.ts';
import type { Loose } from './loose.ts';
import type { Parked } from './parked.ts';
import { taken } from './refusals.ts';
import { openNow, type Register } from './register.ts';
import type { Killed } from './signals.ts';

export interface LostPorts {
  readonly owner: OwnerId;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly live: ReadonlyMap<RunId, Run>;
  readonly parked: Pick<Parked, 'has' | 'remove'>;
  readonly creating: Pick<Creating, 'alone' | 'of'>;
  readonly loose: Pick<Loose, 'add'>;
  readonly adopting: Pick<Adopting, 'of'>;
  readonly register: Pick<Register, 'get' | 'claim'>;
  alive(owner: OwnerId): Promise<boolean>;
  closed(): boolean;
}

const MAX_LOST = 256;

/** How runs are taken from this process: by a kill of its own, by a kill elsewhere, by a new owner. */
export class Lost {
  readonly #ports: LostPorts;
  /** Let go of before their end: whoever kills one may ask what was stopped here. */
  readonly #runs = new Map<RunId, Run>();
  /** Of runs that were killed, what has not stopped yet: no more than calls that go on. */
  readonly #stopping = new Map<RunId, Stopped>();

  constructor(ports: LostPorts) {
    this.#ports = ports;
  }

  remember(run: Run): void {
    this.#runs.set(run.id, run);
    for (const [oldest] of this.#runs) {
      if (this.#runs.size <= MAX_LOST) break;
      this.#runs.delete(oldest);
    }
  }

  /** Calls `fence` with what lives of it here: nothing is recorded for that any more, and nobody brings the run here until it has resolved. */
  seize<T>(run: RunId, fence: (live: Run | undefined) => Promise<T>): Promise<T> {
    const { live: runs, creating, adopting } = this.#ports;
    // At once: nothing more begins.
    void runs.get(run)?.ending.release();
    return creating.alone(run, async () => {
      await adopting.of(run)?.catch(() => {});
      const live = runs.get(run);
      await live?.ending.release();
      return fence(live);
    });
  }

  /** What stops of one that is killed. Somebody else who kills it waits for the same. */
  stop(id: RunId, live: Run | undefined, end: EntryOf<'run.killed'>): Stopped {
    const before = this.#stopping.get(id);
    if (before !== undefined) return before;
    const stopped = (live ?? this.#runs.get(id))?.ending.killed(end) ?? [];
    const works = stopped.flatMap(({ work }) => work ?? []);
    if (works.length === 0) return stopped;
    this.#stopping.set(id, stopped);
    void Promise.all(works).then(() => this.#stopping.delete(id));
    return stopped;
  }

  /** Somebody has killed it, perhaps. What has stopped here; undefined: it does not live here, nor did it, or nobody has. */
  async killed(id: RunId, asked: Killed): Promise<readonly StoppedActor[] | undefined> {
    try {
      return await this.#killed(id, asked);
    } catch (error) {
      // Nobody signals it a second time.
      this.look(id);
      throw error;
    }
  }

  async #killed(id: RunId, { owner, graceMs }: Killed): Promise<readonly StoppedActor[] | undefined> {
    const { journal, clock, parked, creating, adopting } = this.#ports;
    // It may come to be at this moment, or be brought here.
    await creating.of(id);
    await adopting.of(id)?.catch(() => {});
    const live = this.#ports.live.get(id) ?? this.#runs.get(id);
    // It has stopped already, of what it could not record any more.
    if (live === undefined && !parked.has(id) && !this.#stopping.has(id))
      return owner === this.#ports.owner ? [] : undefined;
    const end = await readEnd(journal, id);
    if (end?.type !== 'run.killed') return undefined;
    parked.remove(id);
    // Whoever has killed it may not live to forget it.
    this.#ports.loose.add(id);
    await live?.ending.release();
    return answers(this.stop(id, live, end), graceMs, clock);
  }

  /** Signals were missed: it was killed or taken over, perhaps. */
  look(id: RunId): void {
    const { owner, report } = this.#ports;
    const what = `run ${id}: looking whose it is`;
    insist(what, this.#ports, async () => {
      await this.#killed(id, { owner, graceMs: 0 });
      await this.takenOver(id);
    }).catch((error: unknown) => report(error, what));
  }

  /** Somebody has taken it over, perhaps, or is about to: one that only waits would not learn it by itself. */
  async takenOver(id: RunId): Promise<void> {
    const { owner, journal, register, live: runs } = this.#ports;
    const tail = await journal.tail(id);
    const live = runs.get(id);
    if (live === undefined) return;
    if (tail !== undefined && tail.epoch > live.position.epoch) return live.ending.abandon(taken(id));
    const { open, revision } = await register.get(id);
    if (open === undefined || open.owner === owner) return;
    const isWanted = await this.#ports.alive(open.owner);
    if (live.ending.stopped) return;
    // Registered by somebody who did not come to more: whoever comes after this process is to find it.
    if (!isWanted) await register.claim(openNow(live, owner), revision);
    // It may rest there already, and here nothing is under way.
    else if (live.rest.rests) live.ending.abandon(taken(id));
  }
}
