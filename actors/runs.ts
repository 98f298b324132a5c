import type { Backend } from '../src/backend.ts';
import type { Beginning } from '../src/protocol/entry.ts';
import { ClosedError, NotFoundError } from '../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../src/protocol/ids.ts';
import type { Receipt } from '../src/protocol/receipt.ts';
import type { Resolved } from './body.ts';
import { ChildRuns, type ChildPorts } from './children.ts';
import { whenEnded } from './process.ts';
import type { Run } from './run.ts';
import type { RunPorts } from './run/ports.ts';
import { Adopting } from './runs/adopting.ts';
import { Creating } from './runs/creating.ts';
import { ensure } from './runs/ensure.ts';
import { Forgetting } from './runs/forgetting.ts';
import { Kills, type Kill } from './runs/kills.ts';
import { insist } from './runs/later.ts';
import { LOOK_AGAIN_MS, Loose } from './runs/loose.ts';
import { Lost } from './runs/lost.ts';
import { Mail } from './runs/mail.ts';
import { Parked } from './runs/parked.ts';
import { Parking } from './runs/parking.ts';
import { Presence } from './runs/presence.ts';
import { Reading } from './runs/reading.ts';
import { Recovery } from './runs/recovery.ts';
import { Register } from './runs/register.ts';
import { Signals, type Heard } from './runs/signals.ts';
import { Switches } from './runs/switches.ts';
import { Waking } from './runs/waking.ts';
import { WideKills } from './runs/wideKills.ts';

export interface RunsPorts extends Omit<RunPorts, 'journal' | 'rests' | 'over' | 'off' | 'children'> {
  readonly backend: Backend;
  /** Undefined: never. */
  readonly parkAfterMs: number | undefined;
  /** A run has ended, and is about to be forgotten. */
  readonly ended?: (run: RunId) => Promise<void> | undefined;
  /** Runs that have something which `ended` gives back. */
  readonly drawers: () => Promise<RunId[]>;
  bodyOf(beginning: Beginning): Resolved;
  begins: ChildPorts['begins'];
  /** True where this process was given that definition, with that chart. */
  knows(definition: string, chart: string): boolean;
}

/**
 * The runs that this process owns: those that live here and those that rest. Each file in `runs/` keeps one rule about them, with the state
 * that it needs for that; here they are joined.
 */
export class Runs {
  /** How they come to be, and how they are brought here. */
  readonly creating: Creating;
  readonly adopting: Adopting;
  readonly recovery: Recovery;
  readonly mail: Mail;
  /** As their journals have them; by whom they are owned. */
  readonly reading: Reading;
  readonly register: Register;
  /** What nothing of may begin; kills of all of a kind. */
  readonly switches: Switches;
  readonly wide: WideKills;
  readonly forgetting: Forgetting;
  readonly #report: (error: unknown, where: string) => void;
  readonly #live = new Map<RunId, Run>();
  readonly #parked: Parked;
  readonly #parking: Parking;
  readonly #waking: Waking;
  readonly #loose: Loose;
  readonly #lost: Lost;
  readonly #kills: Kills;
  readonly #signals: Signals;
  readonly #presence: Presence;
  /** Runs that have ended and are not forgotten yet. */
  #concluding = 0;
  #closed = false;

  constructor(ports: RunsPorts) {
    const { backend, clock, deadlines, parkAfterMs, report, begins } = ports;
    const { owner, bus, registry, journal } = backend;
    const live = this.#live;
    this.#report = report;

    // What parts ask of this one, and of those that are made after them.
    const adopt = (run: RunId): Promise<Run> => this.adopting.adopt(run);
    const wake = (run: RunId): void => this.#waking.wake(run);
    const forget = (run: RunId): Promise<void> => this.forgetting.forget(run);
    const kill: Kill = (...asked) => this.kill(...asked);
    const keep = (run: Run): void => void live.set(run.id, run);
    const lookAgain = (): void => this.#lookAgain();
    const closed = (): boolean => this.#closed;
    const mustBeOpen = (): void => this.#mustBeOpen();

    const register = (this.register = new Register(backend));
    const parked = (this.#parked = new Parked(deadlines, wake));
    const here = { owner, journal, clock, report, register, live, parked };
    const presence = (this.#presence = new Presence(backend, clock, report));
    const heard: Heard = {
      inbox: (run) => void this.mail.heard(run),
      kill: (run, about) => this.#lost.killed(run, about),
      missed: () => {
        lookAgain();
        // Who has taken this process for gone may be at it still.
        clock.setTimeout(() => closed() || lookAgain(), LOOK_AGAIN_MS, false);
      },
    };
    const signals = (this.#signals = new Signals({ bus, owner, clock }, heard, report));
    const switches = (this.switches = new Switches(registry, () => this.wide.switched(), report));

    const children = new ChildRuns({
      journal,
      begins,
      live: (run) => live.get(run),
      waits: (run) => live.get(run)?.rest.waits ?? (parked.has(run) ? this.waits(run) : undefined),
      clock,
      report,
      closed,
      fold: (run) => this.reading.fold(run),
      reconsider: (run) => this.#reconsider(run),
      ensure: (run, created, body, signal) =>
        ensure(run, created, body, signal, { ...here, creating: this.creating, adopt, forget, closed }),
      kill: (run, asked) =>
        insist(`run ${run}: killing it`, { ...here, closed }, async () => {
          // Somebody else has begun a run under its id.
          const { open } = await register.get(run);
          if (open !== undefined && open.parent?.run !== asked.by) return;
          const { left } = await kill([run], { ...asked, graceMs: 0 });
          // One that was never begun is none.
          for (const { error } of left) if (!(error instanceof NotFoundError)) throw error;
        }),
    });
    const runPorts: RunPorts = {
      ...ports,
      journal,
      rests: (run) => {
        this.#parking.rests(run);
        this.#reconsider(run.beginning.event.parent?.run);
      },
      over: (run) => this.#over(run),
      off: ({ beginning: { event } }) => switches.off(event) !== undefined,
      children,
    };

    const kills = (this.#kills = new Kills({
      journal,
      clock,
      runPorts,
      seize: (run, fence) => this.#lost.seize(run, fence),
      announce: () =>
        void presence.announce().catch((error: unknown) => report(error, 'saying that this process kills runs')),
      find: (run) => register.find(run),
      isElsewhere: (other) => register.isElsewhere(other),
      stop: (...stopped) => this.#lost.stop(...stopped),
      tell: (open, graceMs) => signals.kill(open.tenant, open.run, { owner: open.owner, graceMs }),
      // It is killed all the same.
      conclude: (run, parent) => this.forgetting.concludeOrReport(run, parent),
    }));
    this.wide = new WideKills({ ...here, switches, kill, closed });

    // What is under way with them in parts that are made later.
    const being = {
      creating: {
        of: (run: RunId) => this.creating.of(run),
        alone: <T>(run: RunId, then: () => Promise<T>) => this.creating.alone(run, then),
      },
      isLeaving: (run: RunId) => this.#parking.isLeaving(run),
    };
    const finish: Forgetting['finish'] = (open, end) => this.forgetting.finish(open, end);
    const none: Forgetting['none'] = (run) => this.forgetting.none(run);
    const loose = (this.#loose = new Loose({ ...here, adopt, finish, forget, none }));
    const mail = (this.mail = new Mail({ ...here, ...being, signals, adopt, wake, closed }));
    const ended = (run: RunId): Promise<void> | undefined => ports.ended?.(run);
    const forgetting = (this.forgetting = new Forgetting({
      ...here,
      ...being,
      loose,
      mail,
      kill,
      kills,
      ended,
      closed,
    }));

    const reading = (this.reading = new Reading((beginning) => ports.bodyOf(beginning), runPorts));
    const coming = { register, presence, switches, loose, mail, reading, runPorts, kill, keep, mustBeOpen };
    const creating = (this.creating = new Creating({ ...coming, owner }));
    const adopting = (this.adopting = new Adopting({ ...coming, backend, live, parked, creating }));
    const alive = (other: OwnerId): Promise<boolean> => backend.alive(other);
    const lost = (this.#lost = new Lost({ ...here, creating, adopting, loose, alive, closed }));

    const learns = (run: RunId): boolean => mail.reads(run) || children.looks(run);
    this.#parking = new Parking({ ...here, lost, learns, closed }, parkAfterMs);
    const waking = (this.#waking = new Waking({ ...here, loose, adopting, closed }));
    const knows: RunsPorts['knows'] = (definition, chart) => ports.knows(definition, chart);
    const taking = { presence, creating, adopting, waking, forgetting, lookAgain, knows, mustBeOpen };
    const killSwitchedOff = (): void => this.wide.look();
    const drawers = (): Promise<RunId[]> => ports.drawers();
    this.recovery = new Recovery({ ...here, ...taking, backend, loose, drawers, killSwitchedOff });
  }

  live(run: RunId): Run | undefined {
    return this.#live.get(run);
  }

  /** A run that rests here, back in memory. */
  wake(run: RunId): Promise<Run> | undefined {
    return this.#parked.has(run) ? this.adopting.adopt(run) : this.adopting.of(run);
  }

  /** It rests here, and nothing but somebody's message or decision can move it. One that was taken over so is woken, and tells when it rests. */
  waits(run: RunId): boolean {
    const waits = this.#parked.waits(run);
    if (waits === undefined) return this.#parked.due(run) === Infinity;
    if (waits === 'unknown') {
      if (this.adopting.of(run) === undefined) this.#waking.wake(run);
      return false;
    }
    return waits.itself && waits.children.every((child) => this.#live.get(child)?.rest.waits ?? this.waits(child));
  }

  /** What this one waits for may wait for somebody now, or for nobody: so may this one, and whoever waits for it. */
  #reconsider(run: RunId | undefined): void {
    for (let above = run; above !== undefined;) {
      const live: Run | undefined = this.#live.get(above);
      live?.rest.reconsider();
      const waits = live === undefined ? this.#parked.waits(above) : undefined;
      // Whoever asks about one of which that is unknown wakes it.
      above = waits === 'unknown' ? undefined : (waits?.parent ?? live?.beginning.event.parent?.run);
    }
  }

  get counts(): { live: number; parked: number } {
    return { live: this.#live.size, parked: this.#parked.size };
  }

  /** Fences runs wherever they live, and all that they have begun. What they were doing has stopped when this resolves, or is in the receipt. */
  kill(...asked: Parameters<Kill>): Promise<Receipt> {
    return this.#kills.kill(...asked).then((receipt) => {
      // It may be on record all the same.
      for (const { run } of receipt.left) this.#loose.add(run);
      // Whatever has begun what is left is to be taken up again.
      if (receipt.left.length > 0) for (const { run } of receipt.runs) this.#loose.add(run);
      return receipt;
    });
  }

  /** Goes on, from now on, with what other processes leave when they end, and with what this one has let go of. */
  succeed(): void {
    this.recovery.watch();
    this.#loose.watch();
  }

  /** Lets go of every run: they go on where they are recovered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.switches.close();
    this.wide.close();
    const answered = this.#signals.close();
    this.#parking.close();
    this.#loose.close();
    await this.#presence.close(this.#leaves);
    const live = [...this.#live.values()];
    await Promise.all(live.map((run) => run.ending.release()));
    for (const run of live)
      run.ending.abandon(new ClosedError(`Run ${run.id} was let go of: this troupe was closed.`, { run: run.id }));
    this.#live.clear();
    this.#parked.clear();
    await whenEnded();
    await answered;
  }

  /** Something is left to do with runs that others are to find, once this process is gone. */
  get #leaves(): boolean {
    return this.#live.size + this.#parked.size + this.#concluding > 0 || this.creating.any || this.#loose.any;
  }

  /** A run has ended, or is not gone on with here. */
  #over(run: Run): void {
    const { id } = run;
    this.#parking.leaves(run);
    // Folds end, too.
    if (this.#live.get(id) !== run) return;
    this.#live.delete(id);
    if (run.end !== undefined) this.#reconsider(run.beginning.event.parent?.run);
    if (run.end === undefined && !run.ending.parked) this.#lost.remember(run);
    // Whoever has killed it may not live to forget it.
    if (run.end === undefined ? !run.ending.parked : run.end.type === 'run.killed') this.#loose.add(id);
    // Whoever has killed it sees to that.
    if (run.end !== undefined && run.end.type !== 'run.killed') void this.#conclude(run);
  }

  /** What it did not need any more is dead by then: nobody else would find that. */
  async #conclude({ id, beginning, orphans }: Run): Promise<void> {
    this.#concluding += 1;
    if (orphans.dead !== undefined) await orphans.dead;
    await this.forgetting.concludeOrReport(id, beginning.event.parent);
    this.#concluding -= 1;
  }

  /** What was left for the runs that live here while this process stood still. */
  async hears(): Promise<void> {
    await Promise.all(Array.from(this.#live.keys(), (id) => this.mail.read(id)));
  }

  /** Signals were missed. */
  #lookAgain(): void {
    for (const id of this.creating.under()) void this.mail.heard(id);
    for (const id of this.#live.keys()) {
      void this.mail.read(id);
      this.#lost.look(id);
    }
    void this.#waking.lookAgain().catch((error: unknown) => this.#report(error, 'looking at inboxes again'));
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClosedError('This troupe is closed; create another.');
  }
}
