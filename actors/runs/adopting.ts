import type { Backend } from '../../src/backend.ts';
import { inboxOf, type OwnerId, type RunId } from '../../src/protocol/ids.ts';
import { fence, foldRun, migrate, readEnd, takeOver } from '../owner.ts';
import type { Run } from '../run.ts';
import type { RunPorts } from '../run/ports.ts';
import type { Creating } from './creating.ts';
import { worksForNobody, type Kill } from './kills.ts';
import { mayWorkLater } from './later.ts';
import type { Loose } from './loose.ts';
import type { Mail } from './mail.ts';
import type { Parked } from './parked.ts';
import type { Presence } from './presence.ts';
import type { Reading, Way } from './reading.ts';
import { elsewhere, ended, taken } from './refusals.ts';
import { openNow, type Register } from './register.ts';
import type { Reached, Switches } from './switches.ts';

export interface AdoptingPorts {
  readonly backend: Pick<Backend, 'owner' | 'alive' | 'journal'>;
  readonly runPorts: RunPorts;
  readonly register: Pick<Register, 'add' | 'get' | 'claim'>;
  readonly presence: Pick<Presence, 'announce'>;
  readonly switches: Pick<Switches, 'offNow'>;
  readonly loose: Pick<Loose, 'add'>;
  readonly live: ReadonlyMap<RunId, Run>;
  readonly parked: Pick<Parked, 'has' | 'remove'>;
  readonly creating: Pick<Creating, 'of'>;
  readonly mail: Pick<Mail, 'read' | 'catchUp' | 'notify'>;
  readonly reading: Pick<Reading, 'way'>;
  readonly kill: Kill;
  /** It lives here from now on. */
  keep(run: Run): void;
  /** @throws ClosedError */
  readonly mustBeOpen: () => void;
}

/**
 * How runs are brought here that are on record.
 *
 * O3. Whoever takes a run over, or wakes it, is registered first and reads its inbox then: a message that comes meanwhile is in the inbox
 *     already, or its signal finds the new owner. What was there before comes before what fell due meanwhile.
 */
export class Adopting {
  readonly #ports: AdoptingPorts;
  readonly #runs = new Map<RunId, Promise<Run>>();

  constructor(ports: AdoptingPorts) {
    this.#ports = ports;
  }

  /** The one that is being brought here. */
  of(run: RunId): Promise<Run> | undefined {
    return this.#runs.get(run);
  }

  /** The run, brought here if nobody alive owns it; two callers get the same one. @throws StaleOwnerError, InvalidStateTransitionError, DefinitionChangedError */
  adopt(run: RunId): Promise<Run> {
    const creating = this.#ports.creating.of(run);
    if (creating !== undefined) return creating.then(() => this.adopt(run));
    let adopting = this.#runs.get(run);
    const live = this.#ports.live.get(run);
    if (adopting === undefined && live !== undefined) return Promise.resolve(live);
    if (adopting === undefined) {
      adopting = this.#adopt(run)
        .catch((error: unknown) => {
          // It may be taken over by now.
          if (mayWorkLater(error)) this.#ports.loose.add(run);
          throw error;
        })
        .finally(() => this.#runs.delete(run));
      this.#runs.set(run, adopting);
    }
    return adopting;
  }

  async #adopt(id: RunId): Promise<Run> {
    const { backend, register, presence, reading, mail, parked, mustBeOpen } = this.#ports;
    mustBeOpen();
    const { owner } = backend;
    const { open, revision } = await register.get(id);
    if (open !== undefined && open.owner !== owner && (await backend.alive(open.owner)))
      throw elsewhere(id, open.owner);
    const from = open?.from;
    const folded = await foldRun(
      id,
      (beginning) => reading.way(beginning),
      this.#ports.runPorts,
      from === undefined ? {} : { from },
    ).catch(async (error: unknown) => {
      // What this process cannot go on with it can kill.
      if (open !== undefined) await this.#mustBeWanted(id, open);
      throw error;
    });
    if (folded.run.end !== undefined) {
      parked.remove(id);
      // Whoever has ended it may not live to forget it.
      this.#ports.loose.add(id);
      throw ended(id, folded.run.status, 'recover');
    }
    await this.#mustBeWanted(id, folded.run.beginning.event);
    // Whoever has taken it over meanwhile may not have registered yet; nobody has one that has rested since it was registered here.
    const last = folded.run.owner as OwnerId;
    const restsHere = open?.owner === owner && open.parked?.seq === folded.run.position.seq;
    if (!restsHere && last !== owner && last !== open?.owner && (await backend.alive(last))) {
      // By a start that found it there.
      if (open?.owner === owner) {
        this.#ports.loose.add(id);
        await register.claim({ ...open, owner: last }, revision);
      }
      // It could not be registered where it was begun, or is at this moment: whoever comes after that process is to find it.
      if (open === undefined) {
        this.#ports.loose.add(id);
        await register.add(openNow(folded.run, last));
      }
      throw elsewhere(id, last);
    }
    await presence.announce();
    const rested = parked.has(id) && last === owner;
    // It rests here and nobody else can have written to it: it goes on as it is.
    const run = rested ? folded.run : await this.#own(folded);
    let unread: boolean;
    try {
      // Closed meanwhile: it goes on where it is recovered.
      mustBeOpen();
      // Before anything happens in it; that one of its runs ends is no entry of its own, and it does not rest any more.
      const asItWas = rested && run.openChildren.length === 0;
      if (!asItWas && !(await this.#claim(run, revision))) throw taken(id);
      unread = ((await backend.journal.tail(inboxOf(id)))?.seq ?? 0) > run.commands.taken;
      mustBeOpen();
    } catch (error) {
      run.ending.abandon(error);
      throw error;
    }
    // Nobody finds it before it is live.
    parked.remove(id);
    this.#ports.keep(run);
    run.goLive([], unread ? () => mail.catchUp(id) : undefined);
    void mail.read(id);
    return run;
  }

  /** O1: whoever has registered it meanwhile has not taken it over, unless its journal says so. One that has ended is not registered again. */
  async #claim(run: Run, revision: number): Promise<boolean> {
    const { backend, register, mail } = this.#ports;
    const claim = (): Promise<boolean> => register.claim(openNow(run, backend.owner), revision);
    if (await claim()) return true;
    do {
      ({ revision } = await register.get(run.id));
      const tail = await backend.journal.tail(run.id);
      if (tail?.epoch !== run.position.epoch) return false;
    } while (!(await claim()));
    // Whoever had it registered finds that it is not his.
    await mail.notify(run.id);
    return true;
  }

  /** Nobody goes on with a run that is switched off, or whose parent has ended: it is killed. @throws InvalidStateTransitionError */
  async #mustBeWanted(id: RunId, about: Reached & { parent?: { run: RunId } | null }): Promise<void> {
    const { backend, switches, runPorts } = this.#ports;
    const { parent } = about;
    const off = await switches.offNow(about);
    const over = off === undefined && parent && (await readEnd(backend.journal, parent.run));
    if (off === undefined && !over) return;
    const { reason, by } = off ?? worksForNobody(parent?.run ?? id);
    await fence(id, { reason, by }, runPorts);
    // What it has begun, once nobody waits for its being taken over any more.
    this.#ports
      .kill([id], { reason, by, graceMs: 0 })
      .catch((error: unknown) => runPorts.report(error, `run ${id}: killing what it has begun`));
    throw ended(id, 'killed', 'recover');
  }

  async #own({ run, migrations }: Way & { run: Run }): Promise<Run> {
    const { runPorts } = this.#ports;
    const { owner } = this.#ports.backend;
    // One whose machine has ended has nothing to migrate but its end to record.
    const over = run.system.root.getSnapshot().status !== 'active';
    const own =
      migrations.length > 0 && !over
        ? await migrate(run, migrations, owner, runPorts)
        : (await takeOver(run, owner, runPorts))
          ? run
          : undefined;
    if (own !== undefined) return own;
    throw taken(run.id);
  }
}
