import type { Backend } from '../src/backend.ts';
import type { Beginning, EntryEvents } from '../src/protocol/entry.ts';
import {
  ClosedError,
  DefinitionChangedError,
  InvalidStateTransitionError,
  KillSwitchTriggeredError,
  NotFoundError,
  StaleOwnerError,
  StorageError,
  TroupeError,
} from '../src/protocol/errors.ts';
import { DEFAULT_TENANT, inboxOf, type OwnerId, type RunId } from '../src/protocol/ids.ts';
import type { Message } from '../src/protocol/inbox.ts';
import type { KillSwitch, Receipt, StoppedActor } from '../src/protocol/receipt.ts';
import type { Difference, Fold } from '../src/replay.ts';
import { wayFrom, type Resolved } from './body.ts';
import { ChildRuns, type ChildPorts } from './children.ts';
import { record } from './control.ts';
import type { ForkAsked } from './copied.ts';
import { exists, stageFork } from './fork.ts';
import { post, take } from './inbox.ts';
import { answers, Kills, type Asked, type Found } from './kills.ts';
import { createRun, fence, foldRun, migrate, readEnd, takeOver, type Migration } from './owner.ts';
import { Parked } from './parked.ts';
import { Presence } from './presence.ts';
import { whenEnded } from './process.ts';
import { compareRun, folding } from './replaying.ts';
import type { Ack } from './pump.ts';
import { statusOf, type Ended } from './end.ts';
import { NOBODY, Register, type OpenRun } from './register.ts';
import { Resting } from './resting.ts';
import type { Run, RunPorts } from './run.ts';
import { Signals, type Heard, type Killed } from './signals.ts';
import { reaches, Switches, widthOf } from './switches.ts';

/**
 * The runs that this process owns: those that live here and those that rest.
 *
 * O1. The registry names the owner of every unfinished run. It is a hint: what binds is the epoch in the journal.
 * O2. Of a run that rests the registry says up to where: if its journal or inbox has more by then, that record counts for nothing.
 * O3. Whoever takes a run over, or wakes it, is registered first and reads its inbox then: a message that comes meanwhile is in the inbox
 *     already, or its signal finds the new owner.
 * O4. Signals (a message has come, it was killed) are hints, sent after what they speak of is recorded.
 */

export interface RunsPorts extends Omit<RunPorts, 'journal' | 'rests' | 'over' | 'off' | 'children'> {
  readonly backend: Backend;
  /** Undefined: never. */
  readonly parkAfterMs: number | undefined;
  /** A run has ended, and is about to be forgotten. */
  readonly ended?: (run: RunId) => Promise<void> | undefined;
  bodyOf(beginning: Beginning): Resolved;
  begins: ChildPorts['begins'];
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
const TAKE_UP_MS = 5_000;
const SEEN_ELSEWHERE = 6;
const MAX_LOST = 256;
/** For what nobody waits to see killed. */
const GRACE_MS = 5_000;
const UNREGISTERED = { tenant: DEFAULT_TENANT, definition: '', chart: '' };

export class Runs {
  readonly #ports: RunsPorts;
  readonly #runPorts: RunPorts;
  readonly #backend: Backend;
  readonly #live = new Map<RunId, Run>();
  readonly #parked: Parked;
  readonly #adopting = new Map<RunId, Promise<Run>>();
  /** Being created here: whoever wants one of these waits until it lives. */
  readonly #creating = new Map<RunId, Promise<void>>();
  /** On record here, perhaps, and not gone on with: they are looked at again. How often somebody else seemed to have it. */
  readonly #lost = new Map<RunId, Run>();
  readonly #loose = new Map<RunId, number>();
  readonly #register: Register;
  readonly #signals: Signals;
  readonly #presence: Presence;
  readonly #children: ChildRuns;
  readonly #kills: Kills;
  /** What nothing of may begin. */
  readonly switches: Switches;
  readonly #resting: Resting | undefined;
  readonly #taking = new Map<RunId, Promise<void>>();
  readonly #posting = new Map<RunId, Promise<unknown>>();
  #closed = false;

  constructor(ports: RunsPorts) {
    this.#ports = ports;
    this.#backend = ports.backend;
    const { backend, clock, deadlines, parkAfterMs, report, begins } = ports;
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
    this.#children = new ChildRuns({
      journal,
      begins,
      live: (run) => this.#live.get(run),
      waits: (run) => this.#live.get(run)?.waits ?? this.waits(run),
      ensure: (run, created, body, signal) => this.#ensure(run, created, body, signal),
      kill: async (run, asked) => {
        const { left } = await this.kill([run], { ...asked, graceMs: GRACE_MS });
        for (const { error } of left) throw error;
      },
    });
    this.#runPorts = {
      ...ports,
      journal,
      rests: (run) => {
        this.#resting?.add(run);
        const { parent } = run.beginning.event;
        if (parent !== null) this.#live.get(parent.run)?.reconsider();
      },
      over: (run) => this.#over(run),
      off: ({ beginning: { event } }) => this.switches.off(event) !== undefined,
      children: this.#children,
    };
    this.#parked = new Parked(deadlines, (run) => this.#wake(run));
    const heard: Heard = {
      inbox: (run) => this.#messageFor(run),
      kill: (run, about) => this.#killedElsewhere(run, about),
      missed: () => this.#lookAgain(),
    };
    this.#presence = new Presence(backend, clock, report);
    this.#signals = new Signals({ bus, owner, clock }, heard, report);
    this.switches = new Switches(registry, () => this.#switched(), report);
    this.#kills = new Kills({
      journal,
      clock,
      runPorts: this.#runPorts,
      seize: (run) => this.#seize(run),
      announce: () =>
        void this.#presence.announce().catch((error: unknown) => report(error, 'saying that this process kills runs')),
      find: (run) => this.#find(run),
      tell: ({ tenant, run, owner }, graceMs) => this.#signals.kill(tenant, run, { owner, graceMs }),
      // It is killed all the same.
      conclude: (run, parent) =>
        this.#conclude(run, parent).catch((error: unknown) => report(error, `run ${run}: forgetting it`)),
    });
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

  /** It lives when this resolves; `begins` is told just before. Undefined when a run of that id exists; `registered`: it was not in the registry. */
  create(
    id: RunId,
    created: EntryEvents['run.created'],
    body: Resolved,
    begins: () => void = () => {},
  ): Promise<{ run: Run } | { run: undefined; registered: boolean }> {
    return this.#alone(id, async () => {
      const { owner } = this.#backend;
      // Together, so that they share a commit where the store can.
      const [made, registered] = await Promise.all([
        createRun(id, created, body, this.#runPorts),
        this.#register.add(openOf(id, { ...created, owner })),
        this.#presence.announce(),
      ]);
      if (made === undefined) {
        // What was registered just now may be of a run that has ended.
        if (registered) this.#letLoose(id);
        return { run: undefined, registered };
      }
      const { run, first } = made;
      await this.#mustBeOn(run);
      this.#keep(run);
      begins();
      run.goLive(first);
      return { run };
    });
  }

  /** Nobody else brings it here meanwhile. Where it fails, the run may be on record all the same. */
  async #alone<T>(id: RunId, create: () => Promise<T>): Promise<T> {
    const before = this.#creating.get(id) ?? Promise.resolve();
    const creating = before.then(create);
    const settled = creating.then(
      () => {},
      () => this.#letLoose(id),
    );
    this.#creating.set(id, settled);
    try {
      return await creating;
    } finally {
      if (this.#creating.get(id) === settled) this.#creating.delete(id);
    }
  }

  /** Asked of the registry once the run is in it (W1). @throws KillSwitchTriggeredError: it was killed instead */
  async #mustBeOn(run: Run): Promise<void> {
    // Closed meanwhile: it is on record, and goes on where it is recovered.
    this.#mustBeOpen();
    const off = await this.switches.offNow(run.beginning.event);
    this.#mustBeOpen();
    if (off === undefined) return;
    // The kill need not wait for it.
    this.#creating.delete(run.id);
    const { reason, by } = off;
    await this.kill([run.id], { reason, by, graceMs: GRACE_MS });
    throw switchedOff(run.id, off);
  }

  /** As `#bring`, however often the store fails: it may be on record by then, and its parent's call is to know how it ends. */
  async #ensure(
    id: RunId,
    created: Omit<EntryEvents['run.created'], 'owner'>,
    body: Resolved,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, report } = this.#ports;
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.#bring(id, created, body);
      } catch (error) {
        if (!(error instanceof TroupeError && error.retryable) || this.#closed) throw error;
        report(error, `run ${id}: beginning it is tried again in ${WAKE_AGAIN_MS} ms`);
      }
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, WAKE_AGAIN_MS));
    }
  }

  /** The run of a call: begun, or brought here. */
  async #bring(id: RunId, created: Omit<EntryEvents['run.created'], 'owner'>, body: Resolved): Promise<void> {
    const made = await this.create(id, { ...created, owner: this.#backend.owner }, body);
    if (made.run !== undefined) return;
    if (made.registered && (await readEnd(this.#backend.journal, id)) !== undefined) return this.forget(id);
    await this.adopt(id).catch((error: unknown) => {
      // It lives elsewhere, or has ended.
      if (!(error instanceof StaleOwnerError || error instanceof InvalidStateTransitionError)) throw error;
    });
  }

  /** The run, brought here if nobody alive owns it; two callers get the same one. @throws StaleOwnerError, InvalidStateTransitionError, DefinitionChangedError */
  adopt(run: RunId): Promise<Run> {
    const creating = this.#creating.get(run);
    if (creating !== undefined) return creating.then(() => this.adopt(run));
    let adopting = this.#adopting.get(run);
    const live = this.#live.get(run);
    if (adopting === undefined && live !== undefined) return Promise.resolve(live);
    if (adopting === undefined) {
      adopting = this.#adopt(run)
        .catch((error: unknown) => {
          // It may be taken over by now.
          if (mayWorkLater(error)) this.#letLoose(run);
          throw error;
        })
        .finally(() => this.#adopting.delete(run));
      this.#adopting.set(run, adopting);
    }
    return adopting;
  }

  /** To a run wherever it lives: into its own journal here, into its inbox elsewhere. */
  async say(run: RunId, message: Message): Promise<Ack> {
    for (;;) {
      const live = await this.adopt(run).catch((error: unknown) => {
        if (error instanceof StaleOwnerError || error instanceof DefinitionChangedError) return undefined;
        throw error;
      });
      if (live === undefined) break;
      // What is in its inbox already comes before.
      await this.#taking.get(run);
      // It may have been parked meanwhile.
      if (this.#live.get(run) === live) return live.obey(message);
    }
    const end = await readEnd(this.#backend.journal, run);
    if (end !== undefined) throw ended(run, end.type.slice('run.'.length), message.type);
    const ack = await this.#post(run, message);
    await this.#notify(run);
    return ack;
  }

  /** Its inbox has grown. */
  async #notify(run: RunId): Promise<void> {
    const { open } = await this.#register.get(run);
    if (open !== undefined) await this.#signals.inbox(open.tenant, run);
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

  /** Fences runs wherever they live, and all that they have begun. What they were doing has stopped when this resolves, or is in the receipt. */
  kill(runs: readonly RunId[], asked: Asked): Promise<Receipt> {
    return this.#kills.kill(runs, asked).then((receipt) => {
      // It may be on record all the same.
      for (const { run } of receipt.left) this.#letLoose(run);
      return receipt;
    });
  }

  /** As `kill`, for all that it reaches; and nothing of that begins until it is lifted. */
  async killAll(thrown: KillSwitch, graceMs: number): Promise<Receipt> {
    await this.switches.throw(thrown);
    const { reason, by } = thrown;
    // What it reaches is killed also where this cannot be recorded: the switch itself says who has thrown it.
    const recorded = record({ type: 'kill', width: widthOf(thrown), reason, by }, this.#runPorts).catch(
      (error: unknown) => this.#ports.report(error, 'recording in the control log that a kill switch was thrown'),
    );
    const reached = (await this.open()).filter((open) => reaches(thrown, open));
    const known = new Set(reached.map(({ run }) => run));
    const isBelow = ({ parent }: OpenRun): boolean => parent !== undefined && known.has(parent.run);
    const of = (some: readonly OpenRun[]): RunId[] => some.map(({ run }) => run);
    const receipt = await this.#kills.kill(
      of(reached.filter((open) => !isBelow(open))),
      { reason, by, graceMs },
      of(reached.filter(isBelow)),
    );
    await recorded;
    // One that is not there yet finds itself switched off when it is (W1).
    return { ...receipt, left: receipt.left.filter(({ error }) => !(error instanceof NotFoundError)) };
  }

  /** Where it lives here, nothing more is recorded for it when this resolves. */
  async #seize(run: RunId): Promise<Run | undefined> {
    // At once: nothing more begins.
    void this.#live.get(run)?.release();
    await this.#creating.get(run);
    await this.#adopting.get(run)?.catch(() => {});
    const live = this.#live.get(run);
    await live?.release();
    return live;
  }

  async #find(run: RunId): Promise<Found> {
    const { open } = await this.#register.get(run);
    if (open === undefined) return { open, elsewhere: false };
    return { open, elsewhere: open.owner !== this.#backend.owner && (await this.#backend.alive(open.owner)) };
  }

  /** Kills what lives or rests here and is switched off; what is not any more goes on. */
  #switched(): void {
    for (const run of this.#live.values()) run.goOn();
    const kill = async (): Promise<void> => {
      const { owner } = this.#backend;
      for (const open of await this.open()) {
        const off = this.switches.off(open);
        if (off === undefined || open.owner !== owner) continue;
        const { reason, by } = off;
        const { left } = await this.#kills.kill([open.run], { reason, by, graceMs: GRACE_MS });
        for (const { run, error } of left) this.#ports.report(error, `run ${run}: killing what is switched off`);
        if (left.length > 0) throw new StorageError('Not all of it was killed.', { runs: left.map(({ run }) => run) });
      }
    };
    const { clock, report } = this.#ports;
    kill().catch((error: unknown) => {
      report(error, `killing what is switched off is tried again in ${WAKE_AGAIN_MS} ms`);
      clock.setTimeout(() => this.#closed || this.#switched(), WAKE_AGAIN_MS, false);
    });
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(only?: RunId): Promise<Recovered> {
    const recovery: Recovered = { recovered: [], left: [] };
    const one = async (open: OpenRun, revision: number | undefined): Promise<void> => {
      try {
        if (await this.#recover(open, revision)) recovery.recovered.push(open.run);
      } catch (error) {
        if (only === undefined && error instanceof NotFoundError) await this.forget(open.run);
        // Somebody alive was faster, or it was killed instead.
        else if (only === undefined && (error instanceof StaleOwnerError || (await this.#isOver(open.run, error))))
          return;
        else recovery.left.push({ run: open.run, error });
      }
    };
    let claims: Promise<void>[] = [];
    for (const { open, revision } of await this.#registered(only)) {
      if (this.#live.has(open.run) || this.#parked.has(open.run)) continue;
      // What this process owned and has let go of, nobody else will take.
      if (open.owner !== this.#backend.owner && (await this.#backend.alive(open.owner))) {
        this.#presence.saw(open.owner);
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

  async #isOver(run: RunId, error: unknown): Promise<boolean> {
    return error instanceof InvalidStateTransitionError && (await readEnd(this.#backend.journal, run)) !== undefined;
  }

  /** Goes on, from now on, with what other processes leave when they end. */
  succeed(): void {
    this.#presence.watch(async (gone) => {
      const { left } = await this.recover();
      for (const { run, error } of left) this.#ports.report(error, `run ${run} was left as it is`);
      // It may have killed a run that lives here, and not have come to say so.
      this.#lookAgain();
      const theirs = (await this.open()).filter(({ owner }) => owner === gone);
      if (theirs.length === 0) return 'nothing left';
      // Of those that others were faster with, some may be left again.
      const notForUs = new Set(left.flatMap(({ run, error }) => (mayWorkLater(error) ? [] : [run])));
      return theirs.every(({ run }) => notForUs.has(run)) ? 'not for us' : 'look again';
    });
    this.#takeUp();
  }

  /** What this process has let go of without an end nobody else takes while it is alive. */
  #takeUp(): void {
    const { clock, report } = this.#ports;
    this.#takesUp = clock.setTimeout(
      () => {
        const all = Array.from(this.#loose, ([run, seen]) =>
          this.#takeUpOne(run, seen).catch((error: unknown) => {
            if (mayWorkLater(error)) this.#letLoose(run);
            report(error, `run ${run}: looking at it again`);
          }),
        );
        void Promise.all(all).then(() => {
          if (!this.#closed) this.#takeUp();
        });
      },
      TAKE_UP_MS,
      false,
    );
  }
  #takesUp: unknown;

  #letLoose(run: RunId, seen = 0): void {
    this.#loose.set(run, seen);
  }

  async #takeUpOne(run: RunId, seen: number): Promise<void> {
    this.#loose.delete(run);
    if (this.#closed || this.#live.has(run)) return;
    const { open } = await this.#register.get(run);
    const tail = await this.#backend.journal.tail(run);
    // Never recorded, or ended: what is registered of it is nobody's.
    if (tail === undefined) return open === undefined ? undefined : this.forget(run);
    const end = await readEnd(this.#backend.journal, run);
    if (end !== undefined) return open === undefined ? undefined : this.#finish(open, end);
    if (this.#parked.has(run)) return;
    try {
      await this.adopt(run);
    } catch (error) {
      if (error instanceof InvalidStateTransitionError) return;
      if (mayWorkLater(error)) throw error;
      if (!(error instanceof StaleOwnerError)) return this.#giveUp(run);
      // Two processes may each take it for the other's, for a moment.
      if (seen < SEEN_ELSEWHERE) this.#letLoose(run, seen + 1);
    }
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

  /** As `fold`, as often as it is asked to. */
  folding(run: RunId): Fold {
    return folding(run, (beginning) => this.#way(beginning), this.#runPorts);
  }

  /** @throws NotFoundError, CorruptJournalError */
  compare(run: RunId, given: Resolved): Promise<Difference> {
    const recordedOf = (beginning: Beginning): Resolved | undefined => {
      const { version, chart } = beginning.event;
      try {
        const { body } = this.#way(beginning);
        return body.version === version && body.chart === chart ? body : undefined;
      } catch (error) {
        if (error instanceof TroupeError) return undefined;
        throw error;
      }
    };
    return compareRun(run, given, recordedOf, this.#runPorts);
  }

  /**
   * A run that begins as another one did; live when this resolves. `given`: the body of the definition that was asked for; `begun` is
   * called before anything happens in it.
   * @throws NotFoundError, ValidationError, ReplayDivergenceError, DefinitionChangedError: nothing was written
   */
  async fork(from: RunId, asked: ForkAsked, given: Resolved | undefined, begun: () => void): Promise<void> {
    this.#mustBeOpen();
    const bodyOf = (beginning: Beginning): { body: Resolved; migrations: Migration[] } =>
      given?.definition === beginning.event.definition ? wayFrom(beginning.event, given) : this.#way(beginning);
    const { run, commit } = await stageFork(from, asked, bodyOf, this.#runPorts);
    await this.#alone(run.id, async () => {
      const [written] = await Promise.all([
        commit(),
        this.#register.add(this.#openRun(run)),
        this.#presence.announce(),
      ]);
      if (!written) throw exists(run.id);
      await this.#mustBeOn(run);
      this.#keep(run);
      begun();
      run.goLive([]);
    });
    void this.#takeInbox(run.id);
  }

  /** It has ended: whoever waits for it is told before it is forgotten. */
  async #conclude(run: RunId, parent: OpenRun['parent'] | null | undefined): Promise<void> {
    this.#letLoose(run);
    if (parent !== undefined && parent !== null) await this.#tellParent(run, parent);
    await this.forget(run);
  }

  async #tellParent(child: RunId, { run, call }: NonNullable<OpenRun['parent']>): Promise<void> {
    // Its call waits here for the child's end, or looks for it once it is awake.
    if (this.#live.has(run)) return;
    if ((await readEnd(this.#backend.journal, run)) !== undefined) return;
    // On record also where it rests here: whoever takes it over then sees that it does not rest any more.
    await this.#post(run, { type: 'childEnded', call, by: child });
    if (this.#parked.has(run)) this.#wake(run);
    else await this.#notify(run);
  }

  async forget(run: RunId): Promise<void> {
    this.#live.delete(run);
    this.#parked.remove(run);
    if (this.#closed) return;
    // Later, where the store fails now.
    this.#letLoose(run);
    const settled = this.#ports.ended?.(run);
    if (settled !== undefined) {
      await settled;
      // Closed meanwhile: it is found as ended where it is recovered.
      if (this.#closed) return;
    }
    await this.#register.delete(run);
    this.#loose.delete(run);
  }

  /** Lets go of every run: they go on where they are recovered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.switches.close();
    this.#signals.close();
    this.#resting?.close();
    this.#ports.clock.clearTimeout(this.#takesUp);
    await this.#presence.close(this.#live.size + this.#parked.size > 0);
    const live = [...this.#live.values()];
    await Promise.all(live.map((run) => run.release()));
    for (const run of live)
      run.abandon(new ClosedError(`Run ${run.id} was let go of: this troupe was closed.`, { run: run.id }));
    this.#live.clear();
    this.#parked.clear();
    await whenEnded();
  }

  // Taking over.

  #way(beginning: Beginning): { body: Resolved; migrations: Migration[] } {
    return wayFrom(beginning.event, this.#ports.bodyOf(beginning));
  }

  async #recover(open: OpenRun, revision: number | undefined): Promise<boolean> {
    const { run, parked } = open;
    const known = parked !== undefined && revision !== undefined && this.#ports.knows(open.definition, open.chart);
    if (known && (await this.#restsStill(run, parked)))
      return this.#alone(run, async () => {
        await this.#presence.announce();
        if (!(await this.#register.claim({ ...open, owner: this.#backend.owner }, revision))) return false;
        this.#mustBeOpen();
        this.#parked.add(run, parked.due ?? Infinity);
        // O3.
        if (!(await this.#restsStill(run, parked))) this.#wake(run);
        return true;
      });
    const end = await readEnd(this.#backend.journal, run);
    if (end === undefined) {
      await this.adopt(run);
      return true;
    }
    await this.#finish(open, end);
    return false;
  }

  /** Whoever has ended it may not have come to all that it had begun, nor to forgetting it. */
  async #finish({ run, parent }: OpenRun, end: Ended): Promise<void> {
    const { left } =
      end.type === 'run.killed'
        ? await this.kill([run], { ...end.event, graceMs: 0 })
        : await this.#kills.below(run, { ...worksForNobody(run), graceMs: 0 });
    for (const { error } of left) throw error;
    if (end.type !== 'run.killed') await this.#conclude(run, parent);
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
    if (folded.run.end !== undefined) {
      this.#parked.remove(id);
      throw ended(id, folded.run.status, 'recover');
    }
    await this.#mustBeWanted(folded.run);
    // Whoever has taken it over meanwhile may not have registered yet; nobody has one that has rested since it was registered here.
    const last = folded.run.owner as OwnerId;
    const restsHere = open?.owner === owner && open.parked?.seq === folded.run.position.seq;
    if (!restsHere && last !== owner && last !== open?.owner && (await this.#backend.alive(last))) {
      // By a start that found it there.
      if (open?.owner === owner) {
        this.#letLoose(id);
        await this.#register.claim({ ...open, owner: last }, revision);
      }
      throw elsewhere(id, last);
    }
    await this.#presence.announce();
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

  /** Nobody goes on with a run that is switched off, or whose parent has ended: it is killed. @throws InvalidStateTransitionError */
  async #mustBeWanted({ id, beginning }: Run): Promise<void> {
    const { parent } = beginning.event;
    const off = await this.switches.offNow(beginning.event);
    const over = off === undefined && parent !== null && (await readEnd(this.#backend.journal, parent.run));
    if (off === undefined && !over) return;
    const { reason, by } = off ?? worksForNobody(parent?.run ?? id);
    await fence(id, { reason, by }, this.#runPorts);
    // What it has begun, once nobody waits for its being taken over any more.
    this.kill([id], { reason, by, graceMs: GRACE_MS }).catch((error: unknown) =>
      this.#ports.report(error, `run ${id}: killing what it has begun`),
    );
    throw ended(id, 'killed', 'recover');
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
    const open = openOf(id, { ...event, owner: this.#backend.owner });
    return seq === 1 ? open : { ...open, from: seq };
  }

  #keep(run: Run): void {
    const { id } = run;
    this.#live.set(id, run);
  }

  #over(run: Run): void {
    const { id } = run;
    this.#resting?.delete(run);
    // Folds end, too.
    if (this.#live.get(id) !== run) return;
    this.#live.delete(id);
    if (run.lost) this.#remember(run);
    // Whoever has killed it may not live to forget it.
    if (run.end === undefined ? !run.parked : run.end.type === 'run.killed') this.#letLoose(id);
    // Whoever has killed it sees to that.
    if (run.end !== undefined && run.end.type !== 'run.killed')
      this.#conclude(id, run.beginning.event.parent).catch((error: unknown) =>
        this.#ports.report(error, `run ${id}: forgetting it`),
      );
  }

  /** It was taken away: whoever did it may ask what was stopped here. */
  #remember(run: Run): void {
    this.#lost.set(run.id, run);
    for (const [oldest] of this.#lost) {
      if (this.#lost.size <= MAX_LOST) break;
      this.#lost.delete(oldest);
    }
  }

  // Parking.

  async #park(run: Run, afterMs: number): Promise<void> {
    const parks = run.parks;
    // Not worth it: it would be woken again at once.
    if (parks === undefined || parks.due - this.#ports.clock.now() < afterMs || this.#closed) return;
    const { seq } = run.position;
    const parked = { seq, inbox: run.taken, due: parks.due === Infinity ? null : parks.due };
    // A message may be on its way from its inbox, or the end of a run that it has begun.
    const learns = (): boolean => this.#taking.has(run.id) || this.#children.looks(run.id);
    if (learns()) return this.#resting?.add(run);
    const { open, revision } = await this.#register.get(run.id);
    // A process that stood still may find that it is somebody else's.
    if (open?.owner !== this.#backend.owner) return this.#takenElsewhere(run.id);
    if (!(await this.#register.claim({ ...this.#openRun(run), parked }, revision))) return this.#resting?.add(run);
    // It has ended meanwhile.
    if (run.end !== undefined) return this.#register.delete(run.id);
    // O2: what has happened meanwhile makes the record void, and it stays.
    if (this.#closed || this.#live.get(run.id) !== run || run.position.seq !== seq || run.parks?.due !== parks.due)
      return;
    if (learns()) {
      this.#resting?.add(run);
      // Otherwise it would rest for whoever takes it over.
      return this.#register.put(this.#openRun(run));
    }
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
    // It has ended.
    if (error instanceof InvalidStateTransitionError) return this.#parked.remove(run);
    report(error, `run ${run}: waking it`);
    if (this.#closed || !this.#parked.has(run)) return;
    if (mayWorkLater(error)) return this.#parked.add(run, clock.now() + WAKE_AGAIN_MS);
    this.#parked.remove(run);
    // It lives elsewhere, or two ways of bringing it here were in each other's.
    if (error instanceof StaleOwnerError) return this.#letLoose(run);
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

  async #killedElsewhere(id: RunId, { owner, graceMs }: Killed): Promise<readonly StoppedActor[] | undefined> {
    await this.#adopting.get(id)?.catch(() => {});
    const live = this.#live.get(id) ?? this.#lost.get(id);
    // It has stopped already, of what it could not record any more.
    if (live === undefined && !this.#parked.has(id)) return owner === this.#backend.owner ? [] : undefined;
    const end = await readEnd(this.#backend.journal, id);
    if (end?.type !== 'run.killed') return undefined;
    this.#parked.remove(id);
    await live?.release();
    const stopping = live?.killed(end) ?? [];
    return answers(stopping, graceMs, this.#ports.clock);
  }

  /** One that only waits would not learn it by itself. */
  async #takenElsewhere(id: RunId): Promise<void> {
    const tail = await this.#backend.journal.tail(id);
    const live = this.#live.get(id);
    if (live !== undefined && tail !== undefined && tail.epoch > live.position.epoch) live.abandon(taken(id));
  }

  /** Signals were missed. */
  #lookAgain(): void {
    for (const id of this.#live.keys()) {
      void this.#takeInbox(id);
      this.#killedElsewhere(id, { owner: this.#backend.owner, graceMs: 0 })
        .then(() => this.#takenElsewhere(id))
        .catch((error: unknown) => this.#ports.report(error, `run ${id}: looking whose it is`));
    }
    void this.#lookAtResting().catch((error: unknown) => this.#ports.report(error, 'looking at inboxes again'));
  }

  async #lookAtResting(): Promise<void> {
    const resting = this.#parked.runs();
    for (const { run, owner, parked } of await this.open()) {
      if (owner !== this.#backend.owner) continue;
      resting.delete(run);
      if (parked !== undefined && this.#parked.has(run) && !(await this.#restsStill(run, parked))) this.#wake(run);
    }
    // Somebody else has them, or they have ended.
    for (const run of resting) this.#parked.remove(run);
  }

  /** `revision` undefined: of one that was asked for by name, which is brought here. */
  async #registered(only?: RunId): Promise<{ open: OpenRun; revision: number | undefined }[]> {
    if (only !== undefined) {
      const { open } = await this.#register.get(only);
      return [{ open: open ?? { run: only, owner: this.#backend.owner, ...UNREGISTERED }, revision: undefined }];
    }
    const all: { open: OpenRun; revision: number }[] = [];
    for await (const one of this.#register.list()) all.push(one);
    return all;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClosedError('This troupe is closed; create another.');
  }
}

const openOf = (
  run: RunId,
  { owner, tenant, definition, chart, parent }: Omit<EntryEvents['run.created'], 'owner'> & { owner: OwnerId },
): OpenRun => ({ run, owner, tenant, definition, chart, ...(parent !== null && { parent }) });

const worksForNobody = (parent: RunId): { reason: string; by: string } => ({
  reason: `run ${parent}, which it worked for, has ended`,
  by: parent,
});

const switchedOff = (run: RunId, { reason, by }: KillSwitch): KillSwitchTriggeredError =>
  new KillSwitchTriggeredError(
    `Run ${run} was not begun: ${by} has killed all that is like it (${reason}); lift that first.`,
    { run, reason, by },
  );

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
