import { createHash } from 'node:crypto';
import type { AnyActorRef, InspectionEvent } from 'xstate';
import '../../frame.ts';
import { entryOf } from '../../chain.ts';
import { decode } from '../../codec.ts';
import { TroupeError } from '../../protocol/errors.ts';
import { runId } from '../../protocol/ids.ts';
import type { KillSwitch, Width } from '../../protocol/receipt.ts';
import { Audit, type Violation } from './checks/audit.ts';
import { checkEnd, checkWorld } from './checks/end.ts';
import { digestOf, folds } from './checks/fold.ts';
import { leaveNewer, NEWER, newerChanged } from './checks/newer.ts';
import { widthOf } from './checks/switches.ts';
import { Cluster } from './cluster.ts';
import { People } from './people.ts';
import type { Plan } from './plan.ts';
import type { Process } from './process.ts';
import { SimulatedStore } from './store/store.ts';
import type { Disk, Lost } from './store/disk.ts';
import { Timeline } from './timeline.ts';
import { enter, World } from './world.ts';
import { mustBeWorkload, type Workload } from './workload.ts';

/**
 * One seed, from its plan to what is wrong, if anything.
 *
 * Safety: faults befall the cluster while people use it; whatever is written or begins is checked at once.
 * Liveness: the faults are over; every run that is not at its end must come to it within `boundMs` of virtual time.
 */

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Of everything that happened, in order: the same for the same plan. */
  readonly digest: string;
  readonly trace: readonly string[];
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
  readonly entries: number;
  /** Virtual time from the heal to the last end. */
  readonly healedMs: number;
}

const HELP_MS = 1_000;
/** After the faults and before anybody helps: what was acknowledged is to be taken by itself. */
const QUIET_MS = 40_000;
const SETTLE_MS = 20_000;
/** With clocks that agree. */
const BOUND_MS = 180_000;
const JUMPED_MS = 2 * 3_600_000;

/** What a plan does to processes that run a workload, and which promises that breaks. @throws ValidationError */
export async function simulate(plan: Plan, workload: Workload): Promise<Outcome> {
  mustBeWorkload(workload);
  const simulation = new Simulation(plan, workload);
  enter(simulation.world);
  const unhandled = (error: unknown): void => simulation.audit.violated('S2', '-', `nobody handles ${String(error)}`);
  process.on('unhandledRejection', unhandled);
  try {
    return await simulation.run();
  } finally {
    process.off('unhandledRejection', unhandled);
    enter(undefined);
  }
}

class Simulation {
  readonly world: World;
  readonly audit: Audit;
  readonly #plan: Plan;
  readonly #workload: Workload;
  readonly #timeline = new Timeline();
  readonly #lines: string[] = [];
  readonly #store: SimulatedStore;
  readonly #cluster: Cluster;
  readonly #people: People;
  /** Roots of live runs, by process and run. */
  readonly #roots = new Map<Process, Map<string, AnyActorRef>>();
  /** What live runs showed, by run and seq. */
  readonly #showed = new Map<string, Map<number, string>>();

  constructor(plan: Plan, workload: Workload) {
    this.#plan = plan;
    this.#workload = workload;
    const timeline = this.#timeline;
    const trace = (line: string): void => void this.#lines.push(`${timeline.now.toFixed(3)} ${line}`);
    this.audit = new Audit(timeline, lateMs(plan), trace);
    this.world = new World(timeline, plan.seed, plan.trouble, (performance) =>
      this.audit.begins(performance, this.world),
    );
    this.#store = new SimulatedStore(timeline, this.audit, plan.leaseMs, plan.level);
    const told = {
      trace,
      report: (process: Process, error: unknown, where: string) => this.#reported(process, error, where, trace),
      lost: (lost: Lost[]) => this.#lost(lost),
      newer: (how: 'version' | 'type') => this.#newer(how),
      damaged: (run: string, seq: number) => this.audit.damages.add(run, seq),
    };
    this.#cluster = new Cluster(timeline, this.#store, plan, told, (process) => ({
      definitions: workload.kinds.flatMap(({ definition, changed }) => [
        definition,
        ...(changed ? [changed.definition] : []),
      ]),
      ...(plan.watched && { inspect: (event) => this.#inspects(process, event) }),
    }));
    const { audit, world } = this;
    this.#people = new People({ timeline, cluster: this.#cluster, audit, world, workload, plan, trace });
    if (plan.watched) audit.delivered = (process, run, seq) => this.#delivered(process, run, seq);
  }

  async run(): Promise<Outcome> {
    const { seed, safetyMs } = this.#plan;
    this.#cluster.begin();
    this.#people.begin(this.#plan);
    await this.#timeline.until(() => this.#failed, safetyMs);
    if (!this.#failed) await this.#liveness();
    const healedMs = this.#timeline.now - safetyMs;
    if (!this.#failed) await this.#ends();
    return {
      seed,
      violations: this.audit.violations,
      digest: createHash('sha256').update(this.#lines.join('\n')).digest('hex').slice(0, 16),
      trace: this.#lines,
      faults: Object.fromEntries(this.#cluster.befell),
      events: this.#timeline.happened,
      entries: [...this.audit.runs.values()].reduce((sum, { entries }) => sum + entries.length, 0),
      healedMs,
    };
  }

  get #failed(): boolean {
    return this.audit.violations.length > 0;
  }

  async #liveness(): Promise<void> {
    const jumped = this.#plan.faults.some(({ kind }) => kind === 'jump');
    const bound = this.#timeline.now + (jumped ? JUMPED_MS : 0) + BOUND_MS;
    this.#lines.push(`${this.#timeline.now.toFixed(3)} HEALED`);
    this.world.trouble = 0;
    this.#cluster.heal();
    await this.#timeline.until(() => this.#failed || this.#unfinished().length === 0, this.#timeline.now + QUIET_MS);
    this.#mustHaveTaken();
    const help = (): void => {
      if (this.#unfinished().length === 0) return;
      this.#people.help();
      this.#timeline.after(HELP_MS, undefined, help);
    };
    this.#timeline.after(HELP_MS, undefined, help);
    await this.#timeline.until(() => this.#failed || this.#unfinished().length === 0, bound);
    if (this.#failed) return;
    for (const run of this.#unfinished()) {
      const { last } = this.audit.of(run);
      this.audit.violated('L1', run, `it has not ended; its last entry is ${last?.seq ?? 0} (${last?.type ?? 'none'})`);
    }
  }

  #mustHaveTaken(): void {
    for (const [run, { sent, excused }] of this.#people.known) {
      const { end, messages } = this.audit.of(run);
      if (excused || end !== undefined || this.audit.isDamaged(run)) continue;
      for (const [n, acknowledged] of sent)
        if (acknowledged && !messages.has(n))
          this.audit.violated('L1', run, `message ${n} lies in its inbox, and nobody takes it`);
    }
  }

  /** On record, or acknowledged and not excused; without an end. */
  #unfinished(): string[] {
    const open = this.#people.starting;
    for (const [run, { started, excused }] of this.#people.known)
      if (started !== undefined && !excused && this.audit.of(run).end === undefined) open.push(run);
    for (const [run, { entries, end }] of this.audit.runs)
      if (entries.length > 0 && end === undefined && !open.includes(run)) open.push(run);
    return this.audit.damages.count === 0 ? open : open.filter((run) => !this.audit.isDamaged(run));
  }

  async #ends(): Promise<void> {
    await this.#timeline.until(() => this.#failed, this.#timeline.now + SETTLE_MS);
    const { audit } = this;
    const { disk } = this.#store;
    for (const known of this.#people.known.values())
      if (!audit.isDamaged(known.plan.name)) checkEnd(known, { audit, disk, workload: this.#workload });
    checkWorld(audit, this.world);
    audit.funds.end(audit.runs, (promise, run, what) => audit.violated(promise, run, what));
    for (const key of disk.facts.keys()) {
      const run = key.slice('open.'.length);
      if (key.startsWith('open.') && audit.runs.get(run)?.end !== undefined && !audit.isDamaged(run))
        audit.violated('M1', run, 'it has ended and is still registered');
    }
    if (audit.damages.count > 0 || disk.journals.has(NEWER)) await this.#told();
    for (const run of audit.runs.keys()) {
      const stored = disk.journals.get(runId(run)) ?? [];
      if (stored.length === 0 || audit.damages.has(run) || run === NEWER) continue;
      const wrong = await folds(run, stored, this.#workload, this.#showed.get(run) ?? new Map<number, string>());
      if (wrong !== undefined) audit.violated('R1', run, wrong);
    }
    await this.#closes();
  }

  /** Whoever asks is told of the damage, and of what nobody knows; the others are as they ended. */
  async #told(): Promise<void> {
    const { audit } = this;
    const [process] = this.#cluster.serving;
    const { troupe } = process ?? {};
    const { disk } = this.#store;
    if (process === undefined || troupe === undefined) return;
    const ended = (run: string): string | undefined => audit.runs.get(run)?.end?.type.slice('run.'.length);
    let over = false;
    const ask = async (): Promise<void> => {
      if (audit.damages.count > 0)
        for (const { run, what } of await audit.damages.missed(troupe, ended)) audit.violated('J4', run, what);
      const newer = disk.journals.has(NEWER) ? await newerChanged(disk, troupe) : undefined;
      if (newer !== undefined) audit.violated('R3', NEWER, newer);
    };
    this.#timeline.after(0, process, () => {
      ask().then(
        () => (over = true),
        (error: unknown) => {
          audit.violated('J4', '-', `asked for what cannot be read: ${String(error)}`);
          over = true;
        },
      );
    });
    await this.#timeline.until(() => over, this.#timeline.now + SETTLE_MS);
    if (!over) audit.violated('J4', '-', 'nobody answers for what cannot be read');
  }

  /** Whatever is closed keeps nothing. */
  async #closes(): Promise<void> {
    const { serving } = this.#cluster;
    let closed = 0;
    for (const process of serving) {
      const { live = 0, parked = 0 } = process.troupe?.counts ?? {};
      if (live + parked > 0 && this.audit.damages.count === 0)
        this.audit.violated('M1', '-', `${process.name} has ${live} runs live and ${parked} parked`);
      const close = (): void => void process.troupe?.close().then(() => (closed += 1));
      this.#timeline.after(0, process, close);
    }
    await this.#timeline.until(() => closed === serving.length, this.#timeline.now + SETTLE_MS);
    if (closed < serving.length) this.audit.violated('M1', '-', `${serving.length - closed} troupes do not close`);
    for (const { name, timeouts, watches } of serving)
      if (timeouts > 0 || watches > 0)
        this.audit.violated('M1', '-', `${name} is closed and keeps ${timeouts} timers and ${watches} watches`);
  }

  #reported(process: Process, error: unknown, where: string, trace: (line: string) => void): void {
    trace(`${process.name} reports ${where}: ${String(error).slice(0, 200)}`);
    if (String(error).includes('planned') || this.audit.damages.reportedBy(error)) return;
    const bad =
      !(error instanceof TroupeError) || error.code === 'CORRUPT_JOURNAL' || error.code === 'REPLAY_DIVERGENCE';
    if (bad) this.audit.violated(error instanceof TroupeError ? 'R1' : 'S2', '-', `${where}: ${String(error)}`);
  }

  #lost(lost: readonly Lost[]): void {
    const { disk } = this.#store;
    this.audit.rebuild(lost, (journal) => disk.journals.get(journal) ?? []);
    this.audit.switches.cut(switchesOn(disk));
    // On record, and not registered any more: it is found where somebody asks for it again.
    for (const [run, known] of this.#people.known)
      if (!disk.facts.has(`open.${run}`) && this.audit.of(run).end === undefined) known.excused = true;
    for (const { journal, entry } of lost) {
      const run = journal.split('/')[0] ?? journal;
      const known = this.#people.known.get(run);
      // It was acknowledged for `process`, if it was: power was not promised.
      if (known !== undefined) known.excused = true;
      if (journal !== run) continue;
      const live = this.#showed.get(run);
      for (const seq of live?.keys() ?? []) if (seq >= entry.seq) live?.delete(seq);
      if (entryOf(entry.bytes).type === 'run.killed' && this.audit.isSealed(run))
        this.audit.violated('J2', run, 'its kill was acknowledged, and not flushed before a power cut');
    }
  }

  #newer(how: 'version' | 'type'): void {
    const [first] = this.#workload.kinds;
    if (first !== undefined) leaveNewer(this.#store.disk, first.definition.name, how, this.#timeline.now);
  }

  // What live runs show.

  #inspects(process: Process, event: InspectionEvent): void {
    if (event.type !== '@xstate.actor' || event.actorRef.sessionId !== event.rootId) return;
    const roots = this.#roots.get(process) ?? new Map<string, AnyActorRef>();
    this.#roots.set(process, roots.set(event.rootId, event.actorRef as AnyActorRef));
  }

  #delivered(process: Process, run: string, seq: number): void {
    const { now } = this.#timeline;
    // To an inspector a fork has the id of what it was forked from.
    if (this.audit.forked.has(run)) return;
    // After the promises of this event: by then it is delivered. Who stands still shows nothing until later.
    this.#timeline.after(0, process, () => {
      if (this.#timeline.now > now) return;
      const root = this.#roots.get(process)?.get(run);
      if (root === undefined) return;
      const { status } = root.getSnapshot() as { status: string };
      // It has been let go of, was killed before it knew that this was written, or does not know yet that it was killed.
      if (status === 'stopped' || (status !== 'active') !== (this.audit.of(run).end?.seq === seq)) return;
      const showed = this.#showed.get(run) ?? new Map<number, string>();
      this.#showed.set(run, showed.set(seq, digestOf(root)));
    });
  }
}

function switchesOn({ facts }: Disk): readonly Width[] {
  const fact = facts.get('kill.switches');
  return fact === undefined ? [] : (decode(fact.bytes) as KillSwitch[]).map(widthOf);
}

/** How much longer than its time a call may be under way: whoever stands still, or cannot write, cannot say that it is over. */
const lateMs = ({ faults }: Plan): number =>
  faults.reduce((ms, fault) => {
    if (fault.kind === 'slow') return ms + fault.forMs + 10 * fault.upToMs;
    return fault.kind === 'freeze' || fault.kind === 'errors' ? ms + 2 * fault.forMs + 1_000 : ms;
  }, 1_000);
