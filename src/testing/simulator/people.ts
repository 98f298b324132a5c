import { TroupeError } from '../../protocol/errors.ts';
import type { RunHandle } from '../../run.ts';
import type { Troupe } from '../../troupe.ts';
import type { Audit } from './checks/audit.ts';
import type { Cluster } from './cluster.ts';
import type { Act, RunPlan } from './plan.ts';
import type { Process } from './process.ts';
import type { Random } from './random.ts';
import type { Timeline } from './timeline.ts';
import type { Workload } from './workload.ts';
import type { World } from './world.ts';

/** What one run's people have asked for, and what they were told: the reference that the journal is held against. */
export interface Known {
  readonly plan: RunPlan;
  /** Acknowledged, at virtual time. */
  started: number | undefined;
  killed: { at: number; inDoubt: readonly string[]; status: string } | undefined;
  /** Messages by number: true once they were acknowledged. */
  readonly sent: Map<number, boolean>;
  result: { success: boolean; data: unknown } | undefined;
  /** A power cut took back something of it that was acknowledged for less. */
  excused: boolean;
}

/** Nothing that a run of a workload could spend. */
const PLENTY = { tokens: 1e12, usd: 1e6, steps: 1e9, toolCalls: 1e9, wallClock: '365d' } as const;

/** Those outside the cluster: they start runs, send to them, decide about them, and remember what was acknowledged. */
export class People {
  readonly known = new Map<string, Known>();
  readonly #timeline: Timeline;
  readonly #cluster: Cluster;
  readonly #audit: Audit;
  readonly #world: World;
  readonly #workload: Workload;
  readonly #random: Random;
  readonly #trace: (line: string) => void;
  #sent = 0;

  constructor(ports: {
    timeline: Timeline;
    cluster: Cluster;
    audit: Audit;
    world: World;
    workload: Workload;
    random: Random;
    trace: (line: string) => void;
  }) {
    this.#timeline = ports.timeline;
    this.#cluster = ports.cluster;
    this.#audit = ports.audit;
    this.#world = ports.world;
    this.#workload = ports.workload;
    this.#random = ports.random;
    this.#trace = ports.trace;
  }

  begin(runs: readonly RunPlan[], acts: readonly Act[]): void {
    for (const plan of runs) {
      const known = { plan, started: undefined, killed: undefined, sent: new Map(), result: undefined, excused: false };
      this.known.set(plan.name, known);
      this.#timeline.after(plan.at, undefined, () => this.#start(known, runs.indexOf(plan)));
    }
    for (const act of acts) this.#timeline.after(act.at, undefined, () => this.#do(act));
  }

  async #killAll(known: Known, troupe: Troupe | undefined): Promise<void> {
    const { name } = this.#kindOf(known).definition;
    const { runs } = (await troupe?.kill({ definition: name }, 'all of these')) ?? { runs: [] };
    this.#trace(`all runs of ${name} are killed`);
    this.#audit.off.add(name);
    for (const { run, status } of runs) if (status === 'killed') this.#audit.seal(run);
  }

  /** Whatever was switched off may begin again. */
  async #lift(troupe: Troupe | undefined): Promise<void> {
    this.#audit.off.clear();
    for (const thrown of (await troupe?.switches()) ?? [])
      if ('definition' in thrown) await troupe?.lift({ definition: thrown.definition });
  }

  /** A heal is over: whatever waits for somebody is decided, in favour of an end. */
  help(): void {
    this.#at('lifts', this.#random.whole(0, 11), ({ troupe }) => this.#lift(troupe));
    for (const run of new Set([...this.known.keys(), ...this.#audit.runs.keys()])) {
      const known = this.known.get(run);
      const facts = this.#audit.runs.get(run);
      const exists = (facts?.entries.length ?? 0) > 0;
      if (facts?.end !== undefined || (!exists && (known?.started === undefined || known.excused))) continue;
      // Whoever was told of an error, or of nothing, or knows of the power cut, asks again.
      if (known !== undefined && (known.started === undefined || known.excused))
        this.#start(known, this.#random.whole(0, 11));
      this.#ask('helps', run, this.#random.whole(0, 11), async (handle) => {
        await this.#decide(run, handle, true);
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

  #start(known: Known, by: number): void {
    const { name: id, input, budget } = known.plan;
    const { definition } = this.#kindOf(known);
    this.#at(`starts ${id}`, by, async ({ troupe }) => {
      const options = { id, ...(budget && { budget }) };
      if (troupe === undefined) return;
      const { status } = await troupe.start(definition, input, options);
      known.started ??= this.#timeline.now;
      this.#trace(`${id} is started (${status})`);
    });
  }

  #do({ run, deed, by }: Act): void {
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
          const { status, inDoubt } = await handle.kill('enough');
          known.killed ??= { at: this.#timeline.now, inDoubt, status };
          if (status === 'killed') this.#audit.seal(run);
          this.#trace(`${run} is killed (${status})`);
        });
      case 'killAll':
        return this.#at(`kills all like ${run}`, by, ({ troupe }) => this.#killAll(known, troupe));
      case 'pause':
        return ask((handle) => handle.pause('wait'));
      case 'resume':
        return ask((handle) => handle.resume());
      case 'checkpoint':
        return ask((handle) => handle.checkpoint('here'));
      case 'decide':
        return ask((handle) => this.#decide(run, handle, false));
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

  async #send(known: Known, handle: RunHandle): Promise<void> {
    const message = this.#kindOf(known).message?.((this.#sent += 1));
    if (message === undefined) return;
    known.sent.set(message.n, false);
    await handle.send(message);
    known.sent.set(message.n, true);
    this.#trace(`${known.plan.name} has message ${message.n}`);
  }

  async #decide(run: string, handle: RunHandle, kindly: boolean): Promise<void> {
    for (const { call, hash, input } of await handle.approvals()) {
      if (!kindly && this.#random.chance(0.2)) {
        await handle.deny(call, { by: 'boss', hash, reason: 'no' });
        continue;
      }
      const by = !kindly && this.#random.chance(0.15) ? 'mallory' : 'boss';
      this.#audit.shown.set(`${run} ${call}`, JSON.stringify(input));
      const wrong = !kindly && this.#random.chance(0.15);
      await handle.approve(call, { by, hash: wrong ? hash.replace(/^./, (c) => (c === '0' ? '1' : '0')) : hash });
    }
    for (const { call } of await handle.inDoubt()) {
      const done = this.#world.of(run, call).find(({ performed }) => performed);
      const gone = this.#world.of(run, call).every(({ process }) => process.gone || process.closed);
      const intended = this.#audit
        .of(run)
        .call(call)
        .intents.map(({ epoch }) => this.#audit.of(run).writers.get(epoch));
      const nobody = gone && intended.every((process) => process === undefined || process.gone || process.closed);
      if (done !== undefined) await handle.resolve(call, { output: done.output });
      else if (nobody && this.#random.chance(0.7)) await handle.resolve(call, { retry: true });
      else await handle.resolve(call, { error: new Error('planned: given up') });
    }
  }

  #ask(what: string, run: string, by: number, then: (handle: RunHandle) => Promise<unknown>): void {
    this.#at(`${what} ${run}`, by, async ({ troupe }) => {
      if (troupe !== undefined) await then(await troupe.attach(run));
    });
  }

  /** At one of the processes that serve now. What it refuses, it refuses by an error of its own. */
  #at(what: string, by: number, then: (process: Process) => Promise<unknown>): void {
    const { serving } = this.#cluster;
    const process = serving[by % serving.length];
    if (process === undefined) return;
    this.#timeline.after(0, process, () => {
      this.#trace(`${process.name} is asked: ${what}`);
      then(process).catch((error: unknown) => {
        this.#trace(`${process.name} refuses: ${what}: ${String(error).slice(0, 160)}`);
        if (!(error instanceof TroupeError)) this.#audit.violated('S2', what, `refused with ${String(error)}`);
        else if (error.code === 'CORRUPT_JOURNAL' || error.code === 'REPLAY_DIVERGENCE')
          this.#audit.violated('R1', what, error.message);
      });
    });
  }
}
