import type { Beginning, EntryEvents } from '../../src/protocol/entry.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import { wayFrom, type Resolved } from '../body.ts';
import type { ForkAsked } from '../copied.ts';
import { exists, stageFork } from '../fork.ts';
import { createRun } from '../owner.ts';
import type { Run } from '../run.ts';
import type { RunPorts } from '../run/ports.ts';
import { type Kill } from './kills.ts';
import type { Loose } from './loose.ts';
import type { Mail } from './mail.ts';
import type { Presence } from './presence.ts';
import type { Reading, Way } from './reading.ts';
import { switchedOff } from './refusals.ts';
import { openNow, openOf, type Register } from './register.ts';
import type { Switches } from './switches.ts';

export interface CreatingPorts {
  readonly owner: OwnerId;
  readonly runPorts: RunPorts;
  readonly register: Pick<Register, 'add'>;
  readonly presence: Pick<Presence, 'announce'>;
  readonly switches: Pick<Switches, 'offNow'>;
  readonly loose: Pick<Loose, 'add'>;
  readonly mail: Pick<Mail, 'read'>;
  readonly reading: Pick<Reading, 'way'>;
  readonly kill: Kill;
  /** It lives here from now on. */
  keep(run: Run): void;
  /** @throws ClosedError */
  readonly mustBeOpen: () => void;
}

/**
 * How runs come to be.
 *
 * B1. Of one id, one at a time; whoever wants that run meanwhile waits until it lives.
 * B2. It is registered and recorded, then asked whether it is switched off (W1), and lives only then.
 */
export class Creating {
  readonly #ports: CreatingPorts;
  readonly #runs = new Map<RunId, Promise<void>>();

  constructor(ports: CreatingPorts) {
    this.#ports = ports;
  }

  /** Settled once what is under way for that id is. */
  of(id: RunId): Promise<void> | undefined {
    return this.#runs.get(id);
  }

  get any(): boolean {
    return this.#runs.size > 0;
  }

  under(): RunId[] {
    return [...this.#runs.keys()];
  }

  /** It lives when this resolves; `begins` is told just before. Undefined when a run of that id exists; `registered`: it was not in the registry. */
  create(
    id: RunId,
    created: EntryEvents['run.created'],
    body: Resolved,
    begins: () => void = () => {},
  ): Promise<{ run: Run } | { run: undefined; registered: boolean }> {
    return this.alone(id, async () => {
      const { owner, runPorts, register, presence, loose } = this.#ports;
      // Together, so that they share a commit where the store can. Where one fails, nothing is on its way any more when that is told.
      const parts = [
        createRun(id, created, body, runPorts),
        register.add(openOf(id, { ...created, owner })),
        presence.announce(),
      ] as const;
      await Promise.allSettled(parts);
      const [made, registered] = await Promise.all(parts);
      if (made === undefined) {
        // What was registered just now may be of a run that has ended.
        if (registered) loose.add(id);
        return { run: undefined, registered };
      }
      const { run, first } = made;
      await this.#mustBeOn(run);
      this.#ports.keep(run);
      begins();
      run.goLive(first);
      return { run };
    });
  }

  /**
   * A run that begins as another one did; live when this resolves. `given`: the body of the definition that was asked for; `begun` is
   * called before anything happens in it.
   * @throws NotFoundError, ValidationError, ReplayDivergenceError, DefinitionChangedError: nothing was written
   */
  async fork(from: RunId, asked: ForkAsked, given: Resolved | undefined, begun: () => void): Promise<void> {
    const { owner, runPorts, register, presence, reading, mail } = this.#ports;
    this.#ports.mustBeOpen();
    const bodyOf = (beginning: Beginning): Way =>
      given?.definition === beginning.event.definition ? wayFrom(beginning.event, given) : reading.way(beginning);
    const { run, commit } = await stageFork(from, asked, bodyOf, runPorts);
    await this.alone(run.id, async () => {
      const parts = [commit(), register.add(openNow(run, owner)), presence.announce()] as const;
      await Promise.allSettled(parts);
      const [written] = await Promise.all(parts);
      if (!written) throw exists(run.id);
      await this.#mustBeOn(run);
      this.#ports.keep(run);
      begun();
      run.goLive([]);
    });
    void mail.read(run.id);
  }

  /** B1: nobody else brings it here meanwhile. Where it fails, the run may be on record all the same. */
  async alone<T>(id: RunId, create: () => Promise<T>): Promise<T> {
    const before = this.#runs.get(id) ?? Promise.resolve();
    const creating = before.then(create);
    const settled = creating.then(
      () => {},
      () => this.#ports.loose.add(id),
    );
    this.#runs.set(id, settled);
    try {
      return await creating;
    } finally {
      if (this.#runs.get(id) === settled) this.#runs.delete(id);
    }
  }

  /** B2. @throws KillSwitchTriggeredError: it was killed instead */
  async #mustBeOn(run: Run): Promise<void> {
    const { switches, mustBeOpen } = this.#ports;
    // Closed meanwhile: it is on record, and goes on where it is recovered.
    mustBeOpen();
    const off = await switches.offNow(run.beginning.event);
    mustBeOpen();
    if (off === undefined) return;
    // The kill need not wait for it.
    this.#runs.delete(run.id);
    const { reason, by } = off;
    const { left } = await this.#ports.kill([run.id], { reason, by, graceMs: 0 });
    for (const { error } of left) throw error;
    throw switchedOff(run.id, off);
  }
}
