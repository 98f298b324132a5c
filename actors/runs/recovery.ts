import type { Backend } from '../../src/backend.ts';
import { InvalidStateTransitionError, NotFoundError, StaleOwnerError } from '../../src/protocol/errors.ts';
import { DEFAULT_TENANT, type OwnerId, type RunId } from '../../src/protocol/ids.ts';
import { readEnd } from '../owner.ts';
import type { Run } from '../run.ts';
import type { Adopting } from './adopting.ts';
import type { Creating } from './creating.ts';
import type { Forgetting } from './forgetting.ts';
import { mayWorkLater } from './later.ts';
import type { Loose } from './loose.ts';
import type { Parked } from './parked.ts';
import { restsStill } from './parking.ts';
import type { Presence } from './presence.ts';
import { elsewhere } from './refusals.ts';
import type { OpenRun, Register } from './register.ts';
import type { Waking } from './waking.ts';

export interface RecoveryPorts {
  /** What rests here from now on may be switched off. */
  killSwitchedOff(): void;
  readonly backend: Pick<Backend, 'owner' | 'alive' | 'journal'>;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Register;
  readonly presence: Pick<Presence, 'announce' | 'saw' | 'watch'>;
  readonly live: ReadonlyMap<RunId, Run>;
  readonly parked: Pick<Parked, 'has' | 'add'>;
  readonly creating: Pick<Creating, 'alone'>;
  readonly adopting: Pick<Adopting, 'adopt'>;
  readonly waking: Pick<Waking, 'wake'>;
  readonly loose: Pick<Loose, 'add'>;
  readonly forgetting: Pick<Forgetting, 'finish' | 'none'>;
  /** Somebody who is gone may have killed a run that lives here, and not have come to say so. */
  lookAgain(): void;
  /** Runs that have drawn of what others may need. */
  drawers(): Promise<RunId[]>;
  /** True where this process was given that definition, with that chart. */
  knows(definition: string, chart: string): boolean;
  /** @throws ClosedError */
  readonly mustBeOpen: () => void;
}

export interface Recovered {
  recovered: RunId[];
  /** Left as they were, and why. */
  left: { run: RunId; error: unknown }[];
}

/** Claims under way at once, where many runs that rest have lost their owner. */
const CLAIMS = 256;
const UNREGISTERED = { tenant: DEFAULT_TENANT, definition: '', chart: '' };

/** Goes on with what nobody alive owns. */
export class Recovery {
  readonly #ports: RecoveryPorts;

  constructor(ports: RecoveryPorts) {
    this.#ports = ports;
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(only?: RunId): Promise<Recovered> {
    const { backend, presence, live, parked, forgetting, loose } = this.#ports;
    const recovery: Recovered = { recovered: [], left: [] };
    const one = async (open: OpenRun, revision: number | undefined): Promise<void> => {
      try {
        if (await this.#recover(open, revision)) recovery.recovered.push(open.run);
      } catch (error) {
        if (only === undefined && error instanceof NotFoundError && (await forgetting.none(open.run))) return;
        // Somebody alive was faster, or it was killed instead.
        if (only === undefined && (error instanceof StaleOwnerError || (await this.#isOver(open.run, error)))) return;
        // It may be registered here by now.
        if (mayWorkLater(error)) loose.add(open.run);
        recovery.left.push({ run: open.run, error });
      }
    };
    const drawers = only === undefined ? await this.#ports.drawers() : [];
    const registered = await this.#registered(only);
    const known = new Set(registered.map(({ open }) => open.run));
    // On record, perhaps, and never registered: nobody else comes to giving back what it has drawn.
    for (const run of drawers) if (!known.has(run)) loose.add(run);
    let claims: Promise<void>[] = [];
    for (const { open, revision } of registered) {
      if (live.has(open.run) || parked.has(open.run)) continue;
      // What this process owned and has let go of, nobody else will take.
      if (open.owner !== backend.owner && (await backend.alive(open.owner))) {
        presence.saw(open.owner);
        if (only !== undefined) recovery.left.push({ run: open.run, error: elsewhere(open.run, open.owner) });
        continue;
      }
      claims.push(one(open, revision));
      // A fold is work for this thread alone; claims wait for the store.
      if (open.parked === undefined || claims.length >= CLAIMS) {
        await Promise.all(claims);
        claims = [];
      }
    }
    await Promise.all(claims);
    this.#ports.killSwitchedOff();
    return recovery;
  }

  /** Goes on, from now on, with what other processes leave when they end. */
  watch(): void {
    this.#ports.presence.watch((gone) => this.#succeed(gone));
  }

  async #succeed(gone: OwnerId): Promise<'nothing left' | 'not for us' | 'look again'> {
    const { left } = await this.recover();
    for (const { run, error } of left) this.#ports.report(error, `run ${run} was left as it is`);
    this.#ports.lookAgain();
    const theirs = (await this.#ports.register.open()).filter(({ owner }) => owner === gone);
    if (theirs.length === 0) return 'nothing left';
    // Of those that others were faster with, some may be left again.
    const notForUs = new Set(left.flatMap(({ run, error }) => (mayWorkLater(error) ? [] : [run])));
    return theirs.every(({ run }) => notForUs.has(run)) ? 'not for us' : 'look again';
  }

  async #recover(open: OpenRun, revision: number | undefined): Promise<boolean> {
    const { backend, register, presence, parked: resting, creating, adopting, waking, forgetting } = this.#ports;
    const { run, parked } = open;
    const known = parked !== undefined && revision !== undefined && this.#ports.knows(open.definition, open.chart);
    if (known && (await restsStill(run, parked, backend.journal)))
      return creating.alone(run, async () => {
        await presence.announce();
        if (!(await register.claim({ ...open, owner: backend.owner }, revision))) return false;
        this.#ports.mustBeOpen();
        resting.add(run, parked.due ?? Infinity, 'unknown');
        // O3.
        if (!(await restsStill(run, parked, backend.journal))) waking.wake(run);
        return true;
      });
    const end = await readEnd(backend.journal, run);
    if (end === undefined) {
      await adopting.adopt(run);
      return true;
    }
    await forgetting.finish(open, end);
    return false;
  }

  async #isOver(run: RunId, error: unknown): Promise<boolean> {
    return (
      error instanceof InvalidStateTransitionError && (await readEnd(this.#ports.backend.journal, run)) !== undefined
    );
  }

  #registered(only: RunId | undefined): Promise<{ open: OpenRun; revision: number | undefined }[]> {
    return only === undefined ? this.#ports.register.all() : this.#asked(only);
  }

  /** One that is asked for by name is brought here, so no revision is needed. */
  async #asked(run: RunId): Promise<{ open: OpenRun; revision: undefined }[]> {
    const { backend, register } = this.#ports;
    const { open } = await register.get(run);
    return [{ open: open ?? { run, owner: backend.owner, ...UNREGISTERED }, revision: undefined }];
  }
}
