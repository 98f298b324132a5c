import { ReplayDivergenceError, TroupeError } from '../../protocol/errors.ts';
import type { Width } from '../../protocol/receipt.ts';
import type { RunHandle } from '../../run.ts';
import type { Audit } from './checks/audit.ts';
import { ENOUGH } from './checks/switches.ts';
import type { Cluster } from './cluster.ts';
import type { Act, Plan } from './plan.ts';
import type { Process } from './process.ts';
import { plentyFor, type FundPlan } from './funds.ts';
import { decide } from './deciding.ts';
import { forkOf } from './forks.ts';
import { knownOf, type Known } from './known.ts';
import { Random } from './random.ts';
import type { Timeline } from './timeline.ts';
import { isWhole, WideKills } from './wideKills.ts';
import type { Workload } from './workload.ts';
import type { World } from './world.ts';

const WITH_A_FORK: readonly Act['deed'][] = ['send', 'kill', 'pause', 'decide', 'result', 'replay', 'fork'];

const AGAIN_MS = 1_000;

/** Nothing that a run of a workload could spend. */
const PLENTY = { tokens: 1e12, usd: 1e5, steps: 1e9, toolCalls: 1e9, wallClock: '365d' } as const;

/** Those outside the cluster: they start runs, send to them, decide about them, and remember what was acknowledged. */
export class People {
  readonly known = new Map<string, Known>();
  readonly #timeline: Timeline;
  readonly #cluster: Cluster;
  readonly #audit: Audit;
  readonly #wide: WideKills;
  readonly #deciding: Parameters<typeof decide>[2];
  readonly #workload: Workload;
  readonly #seed: number;
  readonly #safetyMs: number;
  readonly #random: Random;
  readonly #trace: (line: string) => void;
  readonly #funded = new Map<string, { fund: FundPlan; since: number | undefined }>();
  /** Asked to begin, and not answered yet; by whom. */
  readonly #starting = new Map<string, Process>();
  #sent = 0;

  constructor(ports: {
    timeline: Timeline;
    cluster: Cluster;
    audit: Audit;
    world: World;
    workload: Workload;
    plan: Plan;
    trace: (line: string) => void;
  }) {
    this.#timeline = ports.timeline;
    this.#cluster = ports.cluster;
    this.#audit = ports.audit;
    this.#workload = ports.workload;
    this.#seed = ports.plan.seed;
    this.#safetyMs = ports.plan.safetyMs;
    this.#random = new Random(ports.plan.seed, 'people');
    this.#trace = ports.trace;
    this.#wide = new WideKills(ports.audit, ports.trace);
    this.#deciding = { random: this.#random, audit: ports.audit, world: ports.world };
  }

  begin({ runs, acts, funds }: Plan): void {
    for (const fund of funds) this.#fund(fund);
    for (const plan of runs) {
      const known = knownOf(plan);
      this.known.set(plan.name, known);
      this.#timeline.after(plan.at, undefined, () => this.#start(known, runs.indexOf(plan)));
    }
    for (const act of acts) this.#timeline.after(act.at, undefined, () => this.#do(act));
  }

  /** As often as it takes. */
  #fund(fund: FundPlan): void {
    const { tenant } = fund;
    if (this.#funded.get(tenant)?.since !== undefined) return;
    this.#funded.set(tenant, { fund, since: undefined });
    this.#at(`sets the budget of ${tenant}`, 0, async ({ troupe }) => {
      if (troupe === undefined) return;
      await troupe.setBudget(fund);
      this.#funded.set(tenant, { fund, since: this.#timeline.now });
    });
    this.#timeline.after(AGAIN_MS, undefined, () => this.#fund(fund));
  }

  /** What a run shares with others. */
  #widthOf(known: Known, width: Act['width']): Width {
    if (width === 'all') return { all: true };
    return width === 'tenant' ? { tenant: known.plan.tenant } : { definition: this.#kindOf(known).definition.name };
  }

  /** The faults are over. */
  #helps(): boolean {
    return this.#timeline.now >= this.#safetyMs;
  }

  /** All processes know of its tenant's budget by now. */
  #isReady({ plan: { tenant } }: Known): boolean {
    const known = this.#funded.get(tenant);
    return known === undefined || this.#timeline.now > (known.since ?? Infinity) + AGAIN_MS;
  }

  /** A heal is over: whatever waits for somebody is decided, in favour of an end. */
  help(): void {
    for (const { fund } of this.#funded.values())
      this.#at(`gives ${fund.tenant} plenty`, this.#random.whole(0, 11), ({ troupe }) =>
        troupe?.setBudget(plentyFor(fund)),
      );
    this.#at('lifts', this.#random.whole(0, 11), ({ troupe }) => troupe && this.#wide.liftAll(troupe));
    for (const run of new Set([...this.known.keys(), ...this.#audit.runs.keys()])) {
      const known = this.known.get(run);
      const facts = this.#audit.runs.get(run);
      const exists = (facts?.entries.length ?? 0) > 0;
      if (facts?.end !== undefined || (!exists && (known?.started === undefined || known.excused))) continue;
      // Whoever was told of an error, or of nothing, or knows of the power cut, asks again.
      if (known !== undefined && known.origin === undefined && (known.started === undefined || known.excused))
        this.#start(known, this.#random.whole(0, 11));
      if (known?.origin !== undefined && (known.started === undefined || known.excused))
        this.#at(`recovers ${run}`, this.#random.whole(0, 11), ({ troupe }) => troupe?.recover(run));
      this.#ask('helps', run, this.#random.whole(0, 11), async (handle) => {
        await decide(handle, true, this.#deciding);
        const summary = await handle.summary();
        if (summary.status === 'paused') await handle.resume({ budget: PLENTY });
        const finish = known && this.#kindOf(known).finish;
        if (finish !== undefined) await handle.send(finish);
      });
    }
  }

  #kindOf({ plan }: Known) {
    const kind = this.#workload.kinds[plan.kind];
    if (kind === undefined) throw new RangeError(`There is no kind ${plan.kind}.`);
    return kind;
  }

  /** Of these somebody will be told yet. */
  get starting(): string[] {
    return [...this.#starting].filter(([, { gone, closed }]) => !gone && !closed).map(([id]) => id);
  }

  #start(known: Known, by: number): void {
    if (!this.#isReady(known)) {
      // When the faults are over it is started by whoever helps.
      if (!this.#helps()) this.#timeline.after(AGAIN_MS, undefined, () => this.#start(known, by));
      return;
    }
    const { name: id, input, budget, tenant } = known.plan;
    const { definition } = this.#kindOf(known);
    this.#at(`starts ${id}`, by, async (process) => {
      const options = { id, tenant, ...(budget && { budget }) };
      const { troupe } = process;
      if (troupe === undefined) return;
      this.#starting.set(id, process);
      const { status } = await troupe.start(definition, input, options).finally(() => this.#starting.delete(id));
      known.started ??= this.#timeline.now;
      this.#trace(`${id} is started (${status})`);
    });
  }

  #do({ name, run, deed, by, width }: Act): void {
    const known = this.known.get(run);
    if (known === undefined) return;
    const ask = (then: (handle: RunHandle) => Promise<unknown>): void => this.#ask(deed, run, by, then);
    switch (deed) {
      case 'send':
        return ask((handle) => this.#send(known, handle));
      case 'burst':
        return ask((handle) => Promise.all(Array.from({ length: 5 }, () => this.#send(known, handle))));
      case 'kill':
        return ask(async (handle) => {
          const { status, inDoubt, runs, left } = await handle.kill(`${ENOUGH}${run}`);
          known.killed ??= { at: this.#timeline.now, inDoubt, status };
          // What a store that failed has left is in the receipt, and is killed later.
          if (status === 'killed') this.#audit.seal(run, left.length === 0 && isWhole(runs));
          this.#trace(`${run} is killed (${status})`);
        });
      case 'killAll':
        return this.#at(
          `kills all like ${run}`,
          by,
          ({ troupe }) => troupe && this.#wide.kill(this.#widthOf(known, width), troupe),
        );
      case 'fork':
        return this.#at(`forks ${run}`, by, (process) => this.#fork(known, name, process));
      case 'lift':
        return this.#at(
          `lifts what ${run} is of`,
          by,
          ({ troupe }) => troupe && this.#wide.lift(this.#widthOf(known, width), troupe),
        );
      case 'pause':
        return ask((handle) => handle.pause('wait'));
      case 'resume':
        return ask((handle) => handle.resume());
      case 'checkpoint':
        return ask((handle) => handle.checkpoint('here'));
      case 'decide':
        return ask((handle) => decide(handle, false, this.#deciding));
      case 'result':
        return ask(async (handle) => {
          const { success, data } = await handle.result();
          known.result = { success, data };
        });
      case 'again':
        return this.#start(known, by);
      case 'replay':
        return this.#at(`replays ${run}`, by, async ({ troupe }) => void (await troupe?.replay(run)));
    }
  }

  async #fork(from: Known, act: string, process: Process): Promise<void> {
    const { troupe } = process;
    if (troupe === undefined) return;
    // Of its own, so that what is left out of a plan changes nothing here.
    const random = new Random(this.#seed, act);
    const { name: run } = from.plan;
    const id = `${act}f`;
    const { options, misfit, mayDiverge } = forkOf(this.#audit.of(run).entries, this.#kindOf(from).changed, random);
    const known = knownOf({ ...from.plan, name: id }, run);
    this.known.set(id, known);
    const where = `${id} at ${options.at ?? 'its end'}, ${Object.keys(options.replace ?? {}).join() || 'nothing'} replaced`;
    this.#trace(`${run} is to be forked as ${where}`);
    this.#starting.set(id, process);
    try {
      await troupe.fork(run, { ...options, id }).finally(() => this.#starting.delete(id));
    } catch (error) {
      if (!(mayDiverge && error instanceof ReplayDivergenceError)) throw error;
      const { seq } = error.context as { seq: number };
      if (misfit !== undefined && misfit !== seq)
        this.#audit.violated('R2', id, `entry ${misfit} is the first that does not fit; ${seq} is named`);
      if (this.#audit.of(id).entries.length > 0)
        this.#audit.violated('R2', id, `it is there, though its fork was refused: ${error.message}`);
      return;
    }
    if (misfit !== undefined)
      this.#audit.violated('R2', id, `it is there, though entry ${misfit} does not fit its definition`);
    known.started = this.#timeline.now;
    this.#trace(`${run} is forked as ${id}`);
    if (random.chance(0.5)) this.#do({ name: id, at: 0, run: id, deed: random.pick(WITH_A_FORK), by: 0, width: 'all' });
  }

  async #send(known: Known, handle: RunHandle): Promise<void> {
    const message = this.#kindOf(known).message?.((this.#sent += 1));
    if (message === undefined) return;
    known.sent.set(message.n, false);
    await handle.send(message);
    known.sent.set(message.n, true);
    this.#trace(`${known.plan.name} has message ${message.n}`);
  }

  #ask(what: string, run: string, by: number, then: (handle: RunHandle) => Promise<unknown>): void {
    this.#at(`${what} ${run}`, by, async ({ troupe }) => {
      if (troupe !== undefined) await then(await troupe.attach(run));
    });
  }

  /** At one of the processes that serve now. What it refuses, it refuses by an error of its own. */
  #at(what: string, by: number, then: (process: Process) => Promise<unknown> | undefined): void {
    const { serving } = this.#cluster;
    const process = serving[by % serving.length];
    if (process === undefined) return;
    this.#timeline.after(0, process, () => {
      this.#trace(`${process.name} is asked: ${what}`);
      then(process)?.catch((error: unknown) => {
        this.#trace(`${process.name} refuses: ${what}: ${String(error).slice(0, 160)}`);
        if (this.#audit.damages.reportedBy(error)) return;
        if (!(error instanceof TroupeError)) this.#audit.violated('S2', what, `refused with ${String(error)}`);
        else if (error.code === 'CORRUPT_JOURNAL' || error.code === 'REPLAY_DIVERGENCE')
          this.#audit.violated('R1', what, error.message);
      });
    });
  }
}
