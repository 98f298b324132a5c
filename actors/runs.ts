import type { Backend } from '../src/backend.ts';
import type { Beginning, Entry, EntryEvents } from '../src/protocol/entry.ts';
import {
  ClosedError,
  DefinitionChangedError,
  InvalidStateTransitionError,
  NotFoundError,
  StaleOwnerError,
  TroupeError,
} from '../src/protocol/errors.ts';
import { inboxOf, type OwnerId, type RunId, type TenantId } from '../src/protocol/ids.ts';
import type { Message } from '../src/protocol/inbox.ts';
import { wayFrom, type Resolved } from './body.ts';
import type { Ended } from './end.ts';
import { post, take } from './inbox.ts';
import { createRun, fence, foldRun, migrate, readEnd, takeOver, type Migration } from './owner.ts';
import { Parked } from './parked.ts';
import { Presence } from './presence.ts';
import type { Ack } from './pump.ts';
import { statusOf } from './end.ts';
import { NOBODY, Register, type OpenRun } from './register.ts';
import { Resting } from './resting.ts';
import type { Run, RunPorts } from './run.ts';
import { Signals, type Heard } from './signals.ts';

/**
 * The runs that this process owns: those that live here and those that rest.
 *
 * O1. The registry names the owner of every unfinished run. It is a hint: what binds is the epoch in the journal.
 * O2. Of a run that rests the registry says up to where: if its journal or inbox has more by then, that record counts for nothing.
 * O3. Whoever takes a run over, or wakes it, is registered first and reads its inbox then: a message that comes meanwhile is in the inbox
 *     already, or its signal finds the new owner.
 * O4. Signals (a message has come, it was killed) are hints, sent after what they speak of is recorded.
 */

export interface RunsPorts extends Omit<RunPorts, 'journal' | 'rests'> {
  readonly backend: Backend;
  readonly tenant: TenantId;
  /** Undefined: never. */
  readonly parkAfterMs: number | undefined;
  bodyOf(beginning: Beginning): Resolved;
  /** True where this process was given that definition, with that chart. */
  knows(definition: string, chart: string): boolean;
}

export interface Recovered {
  recovered: RunId[];
  /** Left as they were, and why. */
  left: { run: RunId; error: unknown }[];
}

/** Claims under way at once, where many runs that rest have lost their owner. */
const CLAIMS = 256;
const WAKE_AGAIN_MS = 1_000;

export class Runs {
  readonly #ports: RunsPorts;
  readonly #runPorts: RunPorts;
  readonly #backend: Backend;
  readonly #live = new Map<RunId, Run>();
  readonly #parked: Parked;
  readonly #adopting = new Map<RunId, Promise<Run>>();
  readonly #register: Register;
  readonly #signals: Signals;
  readonly #presence: Presence;
  readonly #resting: Resting | undefined;
  readonly #taking = new Map<RunId, Promise<void>>();
  readonly #posting = new Map<RunId, Promise<unknown>>();
  #closed = false;

  constructor(ports: RunsPorts) {
    this.#ports = ports;
    this.#backend = ports.backend;
    const { backend, clock, tenant, deadlines, parkAfterMs, report } = ports;
    const { owner, bus, registry, journal } = backend;
    this.#register = new Register(registry);
    if (parkAfterMs !== undefined)
      this.#resting = new Resting(
        clock,
        parkAfterMs,
        (run) =>
          void this.#park(run, parkAfterMs).catch((error: unknown) => {
            report(error, `run ${run.id}: parking it`);
            this.#resting?.add(run);
          }),
      );
    this.#runPorts = { ...ports, journal, rests: (run) => this.#resting?.add(run), over: (run) => this.#over(run) };
    this.#parked = new Parked(deadlines, (run) => this.#wake(run));
    const heard: Heard = {
      inbox: (run) => this.#messageFor(run),
      kill: (run) => void this.#killedElsewhere(run),
      missed: () => this.#lookAgain(),
    };
    this.#presence = new Presence(backend, clock, report);
    this.#signals = new Signals({ bus, tenant, owner, clock }, heard, report);
  }

  live(run: RunId): Run | undefined {
    return this.#live.get(run);
  }

  /** A run that rests here, back in memory. */
  wake(run: RunId): Promise<Run> | undefined {
    return this.#parked.has(run) ? this.adopt(run) : this.#adopting.get(run);
  }

  /** It rests here, and nothing but somebody's message or decision can move it. */
  waits(run: RunId): boolean {
    return this.#parked.due(run) === Infinity;
  }

  get counts(): { live: number; parked: number } {
    return { live: this.#live.size, parked: this.#parked.size };
  }

  /** It is to go live with its `first` entries. Undefined when a run of that id exists; `registered`: it was not in the registry. */
  async create(
    id: RunId,
    created: EntryEvents['run.created'],
    body: Resolved,
  ): Promise<{ run: Run; first: Entry[] } | { run: undefined; registered: boolean }> {
    const { owner } = this.#backend;
    // Together, so that they share a commit where the store can.
    const [made, opened] = await Promise.all([
      createRun(id, created, body, this.#runPorts),
      this.#register.add({ run: id, owner, definition: created.definition, chart: body.chart }),
    ]);
    if (made === undefined) return { run: undefined, registered: opened };
    // Closed meanwhile: it is on record, and goes on where it is recovered.
    this.#mustBeOpen();
    this.#keep(made.run);
    return made;
  }

  /** The run, brought here if nobody alive owns it; two callers get the same one. @throws StaleOwnerError, InvalidStateTransitionError, DefinitionChangedError */
  adopt(run: RunId): Promise<Run> {
    let adopting = this.#adopting.get(run);
    const live = this.#live.get(run);
    if (adopting === undefined && live !== undefined) return Promise.resolve(live);
    if (adopting === undefined) {
      adopting = this.#adopt(run).finally(() => this.#adopting.delete(run));
      this.#adopting.set(run, adopting);
    }
    return adopting;
  }

  /** To a run wherever it lives: into its own journal here, into its inbox elsewhere. */
  async say(run: RunId, message: Message, here: (live: Run) => Promise<Ack>): Promise<Ack> {
    const live = await this.adopt(run).catch((error: unknown) => {
      if (error instanceof StaleOwnerError || error instanceof DefinitionChangedError) return undefined;
      throw error;
    });
    if (live !== undefined) {
      // What is in its inbox already comes before.
      await this.#taking.get(run);
      return here(live);
    }
    const end = await readEnd(this.#backend.journal, run);
    if (end !== undefined) throw ended(run, end.type.slice('run.'.length), message.type);
    const ack = await this.#post(run, message);
    await this.#signals.inbox(run);
    return ack;
  }

  /** One after another: those of one process need not race each other for the next place. */
  #post(run: RunId, message: Message): Promise<Ack> {
    const before = this.#posting.get(run) ?? Promise.resolve();
    const next = before.catch(() => {}).then(() => post(run, message, this.#runPorts));
    this.#posting.set(run, next);
    const last = (): void => {
      if (this.#posting.get(run) === next) this.#posting.delete(run);
    };
    next.then(last, last);
    return next;
  }

  /** Fences a run wherever it lives. What it was doing here has stopped when this resolves. @throws NotFoundError */
  async kill(run: RunId, reason: string): Promise<{ end: Ended; stopped: ReturnType<Run['states']> }> {
    await this.#adopting.get(run)?.catch(() => {});
    const live = this.#live.get(run);
    await live?.release();
    const stopped = live === undefined || live.end !== undefined ? [] : live.states();
    const end = await fence(run, reason, this.#runPorts).catch((error: unknown) => {
      // Not recorded, so it goes on where it is recovered; here it stops all the same.
      live?.abandon(error);
      throw error;
    });
    if (end.type === 'run.killed' && live !== undefined && live.end === undefined) live.killed(end);
    await this.forget(run);
    if (live === undefined) await this.#signals.kill(run);
    return { end, stopped };
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(only?: RunId): Promise<Recovered> {
    const recovery: Recovered = { recovered: [], left: [] };
    const one = async (open: OpenRun, revision: number | undefined): Promise<void> => {
      try {
        if (await this.#recover(open, revision)) recovery.recovered.push(open.run);
      } catch (error) {
        if (only === undefined && error instanceof NotFoundError) await this.forget(open.run);
        // Somebody alive was faster.
        else if (only === undefined && error instanceof StaleOwnerError) return;
        else recovery.left.push({ run: open.run, error });
      }
    };
    let claims: Promise<void>[] = [];
    for (const { open, revision } of await this.#registered(only)) {
      if (this.#live.has(open.run) || this.#parked.has(open.run)) continue;
      // What this process owned and has let go of, nobody else will take.
      if (open.owner !== this.#backend.owner && (await this.#backend.alive(open.owner))) {
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
    return recovery;
  }

  /** Goes on, from now on, with what other processes leave when they end. */
  succeed(): void {
    this.#presence.watch(async (gone) => {
      const { left } = await this.recover();
      for (const { run, error } of left) this.#ports.report(error, `run ${run} was left as it is`);
      const theirs = (await this.open()).filter(({ owner }) => owner === gone);
      if (theirs.length === 0) return 'nothing left';
      // Of those that others were faster with, some may be left again.
      const notForUs = new Set(left.flatMap(({ run, error }) => (mayWorkLater(error) ? [] : [run])));
      return theirs.every(({ run }) => notForUs.has(run)) ? 'not for us' : 'look again';
    });
  }

  /** Every unfinished run, by whom it is owned. */
  async open(): Promise<OpenRun[]> {
    return (await this.#registered()).map(({ open }) => open);
  }

  async isOwned(run: RunId): Promise<boolean> {
    const { open } = await this.#register.get(run);
    return open !== undefined && this.#backend.alive(open.owner);
  }

  /** As its journal has it, from its first entry, nothing executed. @throws ReplayDivergenceError, CorruptJournalError, NotFoundError */
  async fold(run: RunId): Promise<Run> {
    return (await foldRun(run, (beginning) => this.#way(beginning), this.#runPorts)).run;
  }

  /** It has ended. */
  async forget(run: RunId): Promise<void> {
    this.#live.delete(run);
    this.#parked.remove(run);
    if (!this.#closed) await this.#register.delete(run);
  }

  /** Lets go of every run: they go on where they are recovered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#signals.close();
    this.#resting?.close();
    await this.#presence.close(this.#live.size + this.#parked.size > 0);
    const live = [...this.#live.values()];
    await Promise.all(live.map((run) => run.release()));
    for (const run of live)
      run.abandon(new ClosedError(`Run ${run.id} was let go of: this troupe was closed.`, { run: run.id }));
    this.#live.clear();
    this.#parked.clear();
  }

  // Taking over.

  #way(beginning: Beginning): { body: Resolved; migrations: Migration[] } {
    return wayFrom(beginning.event, this.#ports.bodyOf(beginning));
  }

  async #recover(open: OpenRun, revision: number | undefined): Promise<boolean> {
    const { run, parked } = open;
    const known = parked !== undefined && revision !== undefined && this.#ports.knows(open.definition, open.chart);
    if (known && (await this.#restsStill(run, parked))) {
      if (!(await this.#register.claim({ ...open, owner: this.#backend.owner }, revision))) return false;
      this.#mustBeOpen();
      this.#presence.announce();
      this.#parked.add(run, parked.due ?? Infinity);
      // O3.
      if (!(await this.#restsStill(run, parked))) this.#wake(run);
      return true;
    }
    if ((await readEnd(this.#backend.journal, run)) === undefined) {
      await this.adopt(run);
      return true;
    }
    await this.forget(run);
    return false;
  }

  async #restsStill(run: RunId, { seq, inbox }: NonNullable<OpenRun['parked']>): Promise<boolean> {
    const { journal } = this.#backend;
    const [own, others] = await Promise.all([journal.tail(run), journal.tail(inboxOf(run))]);
    return own?.seq === seq && (others?.seq ?? 0) === inbox;
  }

  async #adopt(id: RunId): Promise<Run> {
    this.#mustBeOpen();
    const { owner } = this.#backend;
    const { open, revision } = await this.#register.get(id);
    if (open !== undefined && open.owner !== owner && (await this.#backend.alive(open.owner)))
      throw elsewhere(id, open.owner);
    const from = open?.from;
    const folded = await foldRun(
      id,
      (beginning) => this.#way(beginning),
      this.#runPorts,
      from === undefined ? {} : { from },
    );
    if (folded.run.end !== undefined) throw ended(id, folded.run.status, 'recover');
    // Whoever has taken it over meanwhile may not have registered yet.
    const last = folded.run.owner as OwnerId;
    if (last !== owner && last !== open?.owner && (await this.#backend.alive(last))) throw elsewhere(id, last);
    const rested = this.#parked.has(id) && last === owner;
    // It rests here and nobody else can have written to it: it goes on as it is.
    const run = rested ? folded.run : await this.#own(folded);
    try {
      // Closed meanwhile: it goes on where it is recovered.
      this.#mustBeOpen();
      // Before anything happens in it: a run that has ended already must not be registered again.
      if (!rested && !(await this.#register.claim(this.#openRun(run), revision))) throw taken(id);
      this.#mustBeOpen();
    } catch (error) {
      run.abandon(error);
      throw error;
    }
    // Nobody finds it before it is live.
    this.#parked.remove(id);
    this.#keep(run);
    run.goLive([]);
    void this.#takeInbox(id);
    return run;
  }

  async #own({ run, migrations }: { run: Run; migrations: Migration[] }): Promise<Run> {
    const { owner } = this.#backend;
    // One whose machine has ended has nothing to migrate but its end to record.
    const over = statusOf(run.system.root) !== 'running';
    const own =
      migrations.length > 0 && !over
        ? await migrate(run, migrations, owner, this.#runPorts)
        : (await takeOver(run, owner, this.#runPorts))
          ? run
          : undefined;
    if (own !== undefined) return own;
    throw taken(run.id);
  }

  #openRun({ id, beginning }: Run): OpenRun {
    const { seq, event } = beginning;
    const open = { run: id, owner: this.#backend.owner, definition: event.definition, chart: event.chart };
    return seq === 1 ? open : { ...open, from: seq };
  }

  #keep(run: Run): void {
    const { id } = run;
    this.#live.set(id, run);
    this.#presence.announce();
  }

  #over(run: Run): void {
    const { id } = run;
    this.#resting?.delete(run);
    // Folds end, too.
    if (this.#live.get(id) !== run) return;
    this.#live.delete(id);
    if (run.end !== undefined)
      this.forget(id).catch((error: unknown) => this.#ports.report(error, `run ${id}: forgetting it`));
  }

  // Parking.

  async #park(run: Run, afterMs: number): Promise<void> {
    const parks = run.parks;
    // Not worth it: it would be woken again at once.
    if (parks === undefined || parks.due - this.#ports.clock.now() < afterMs || this.#closed) return;
    const { seq } = run.position;
    const parked = { seq, inbox: run.taken, due: parks.due === Infinity ? null : parks.due };
    await this.#register.put({ ...this.#openRun(run), parked });
    // It has ended meanwhile.
    if (run.end !== undefined) return this.#register.delete(run.id);
    // O2: what has happened meanwhile makes the record void, and it stays.
    if (this.#closed || this.#live.get(run.id) !== run || run.position.seq !== seq || run.parks?.due !== parks.due)
      return;
    this.#live.delete(run.id);
    this.#parked.add(run.id, parks.due);
    run.park();
  }

  #wake(run: RunId): void {
    if (this.#closed) return;
    // `adopt` sees that it rests here.
    if (!this.#parked.has(run)) this.#parked.add(run, Infinity);
    this.adopt(run).catch((error: unknown) => this.#notWoken(run, error));
  }

  /** What may work later is tried again; what this process cannot go on with, another one may. */
  #notWoken(run: RunId, error: unknown): void {
    const { report, clock } = this.#ports;
    report(error, `run ${run}: waking it`);
    if (this.#closed || !this.#parked.has(run)) return;
    if (mayWorkLater(error)) return this.#parked.add(run, clock.now() + WAKE_AGAIN_MS);
    this.#parked.remove(run);
    this.#giveUp(run).catch((second: unknown) => report(second, `run ${run}: giving it up`));
  }

  async #giveUp(run: RunId): Promise<void> {
    const { open, revision } = await this.#register.get(run);
    if (open?.owner !== this.#backend.owner) return;
    const { parked: _, ...rest } = open;
    await this.#register.claim({ ...rest, owner: NOBODY }, revision);
  }

  // Signals.

  #messageFor(run: RunId): void {
    if (this.#live.has(run)) void this.#takeInbox(run);
    else if (this.#parked.has(run)) this.#wake(run);
  }

  /** One reader for each run; a signal that comes while one reads is followed by another look. */
  #takeInbox(id: RunId): Promise<void> {
    const before = this.#taking.get(id) ?? Promise.resolve();
    const next = before
      .then(() => {
        const run = this.#live.get(id);
        return run === undefined ? undefined : take(run, this.#runPorts);
      })
      .catch((error: unknown) => this.#ports.report(error, `run ${id}: reading its inbox`))
      .finally(() => {
        if (this.#taking.get(id) === next) this.#taking.delete(id);
      });
    this.#taking.set(id, next);
    return next;
  }

  async #killedElsewhere(id: RunId): Promise<void> {
    try {
      await this.#adopting.get(id)?.catch(() => {});
      const live = this.#live.get(id);
      const end = live === undefined && !this.#parked.has(id) ? undefined : await readEnd(this.#backend.journal, id);
      if (end?.type !== 'run.killed') return;
      this.#parked.remove(id);
      await live?.release();
      if (live !== undefined && live.end === undefined) live.killed(end);
    } catch (error) {
      this.#ports.report(error, `run ${id}: it was killed elsewhere`);
    }
  }

  /** Signals were missed. */
  #lookAgain(): void {
    for (const id of this.#live.keys()) {
      void this.#takeInbox(id);
      void this.#killedElsewhere(id);
    }
    void this.#wakeThoseWithMail().catch((error: unknown) => this.#ports.report(error, 'looking at inboxes again'));
  }

  async #wakeThoseWithMail(): Promise<void> {
    for (const { run, owner, parked } of await this.open())
      if (owner === this.#backend.owner && parked !== undefined && this.#parked.has(run))
        if (!(await this.#restsStill(run, parked))) this.#wake(run);
  }

  /** `revision` undefined: of one that was asked for by name, which is brought here. */
  async #registered(only?: RunId): Promise<{ open: OpenRun; revision: number | undefined }[]> {
    if (only !== undefined) {
      const { open } = await this.#register.get(only);
      return [
        { open: open ?? { run: only, owner: this.#backend.owner, definition: '', chart: '' }, revision: undefined },
      ];
    }
    const all: { open: OpenRun; revision: number }[] = [];
    for await (const one of this.#register.list()) all.push(one);
    return all;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClosedError('This troupe is closed; create another.');
  }
}

const mayWorkLater = (error: unknown): boolean => !(error instanceof TroupeError) || error.retryable;

const ended = (run: RunId, state: string, event: string): InvalidStateTransitionError =>
  new InvalidStateTransitionError(`Run ${run} is ${state}: it takes nothing more.`, { run, state, event, allowed: [] });

const taken = (run: RunId): StaleOwnerError =>
  new StaleOwnerError(`Run ${run} was taken over by somebody else at this moment; try again.`, { run });

const elsewhere = (run: RunId, owner: OwnerId): StaleOwnerError =>
  new StaleOwnerError(
    `Run ${run} lives in another process, which is alive (owner ${owner}); do this there, or kill the run.`,
    { run, owner },
  );
