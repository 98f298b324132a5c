import { randomBytes } from 'node:crypto';
import { Bodies, type Resolved } from '../actors/body.ts';
import { attachInspector } from '../actors/durable.ts';
import { recoveredNext } from '../actors/owner.ts';
import type { RunPorts } from '../actors/run.ts';
import { Runs } from '../actors/runs.ts';
import type { Backend } from './backend.ts';
import { embedded } from './backends/embedded/index.ts';
import { unseal, type Read } from './chain.ts';
import { Deadlines, MAX_TIMEOUT_MS, systemClock, type Clock } from './clock.ts';
import { encode, toData } from './codec.ts';
import type { AnyDefinition } from './define/definition.ts';
import { closest } from './define/closest.ts';
import { checkedInput } from './define/input.ts';
import { toolbox, type Toolbox } from './define/toolbox.ts';
import { milliseconds } from './protocol/duration.ts';
import { isEnd, type Beginning, type Budget, type Entry } from './protocol/entry.ts';
import {
  ClosedError,
  DefinitionChangedError,
  InDoubtError,
  NotFoundError,
  ValidationError,
} from './protocol/errors.ts';
import { DEFAULT_TENANT, ownerId, runId, type OwnerId, type RunId } from './protocol/ids.ts';
import type { HandleOf, OutputOf, Recovery, Replay, RunInfo, StartArguments, TroupeOptions } from './options.ts';
import type { PlanSpec } from './protocol/spec.ts';
import { errorOf, RunHandle, type CallInDoubt, type HandlePorts, type Receipt } from './run.ts';
import { NO_SUMMARY, outcomesUnknown, summarised, type RunStatus, type Summary } from './summary.ts';

export class Troupe {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #bodies: Bodies;
  readonly #definitions = new Map<string, AnyDefinition>();
  readonly #tools: Toolbox;
  readonly #report: (error: unknown, where: string) => void;
  readonly #runs: Runs;
  #closing: Promise<void> | undefined;
  #random = Buffer.alloc(0);

  /** Use `createTroupe`. */
  constructor(backend: Backend, clock: Clock, options: TroupeOptions) {
    this.#backend = backend;
    this.#clock = clock;
    this.#bodies = new Bodies(clock);
    this.#deadlines = new Deadlines(clock);
    this.#tools = toolbox(options.tools ?? []);
    const report = options.report ?? ((error, where) => console.warn(`troupe: ${where}:`, error));
    this.#report = (error, where) => {
      try {
        report(error, where);
      } catch {
        // Told to nobody, it disturbs nobody.
      }
    };
    this.#runs = new Runs({
      backend,
      clock,
      deadlines: this.#deadlines,
      tenant: DEFAULT_TENANT,
      parkAfterMs: parkAfterMs(options.parkAfter),
      report: this.#report,
      bodyOf: (beginning) => this.#bodyOf(beginning),
      knows: (definition, chart) => this.#knows(definition, chart),
      ...attaching(options.inspect, this.#report),
    });
    for (const definition of options.definitions ?? []) this.#define(definition);
    if (options.recover !== false) this.#runs.succeed();
  }

  /**
   * Starts a run; resolves once it is recorded. An id that exists is attached to.
   * @throws ValidationError, DefinitionChangedError when the id is another definition's, StorageFullError
   */
  async start<D extends AnyDefinition>(
    definition: D,
    ...[input, options = {}]: StartArguments<D>
  ): Promise<HandleOf<D>> {
    this.#mustBeOpen();
    options.signal?.throwIfAborted();
    this.#define(definition);
    const id = options.id === undefined ? this.#newId() : runId(options.id);
    const body = this.#bodies.of(definition);
    const data = toData(checked(definition, input), 'input');
    const budget = checkedBudget(options.budget);
    const spec = definition.kind === 'plan' && definition.parsed ? toData(definition.spec) : null;
    const { name } = definition;
    const version = definition.kind === 'tool' ? '1' : definition.version;
    const created = {
      definition: name,
      version,
      chart: body.chart,
      input: data,
      owner: this.#backend.owner,
      budget,
      spec,
    };
    const made = await this.#runs.create(id, created, body);
    if (made.run === undefined) return this.#attachTo(id, definition, spec, made.registered);
    const handle = new RunHandle(id, 'running', this.#handlePorts()) as HandleOf<D>;
    made.run.goLive(made.first);
    this.#killOn(options.signal, id);
    return handle;
  }

  /**
   * Starts a run and waits for its output.
   * @throws RunFailedError, BudgetExceededError, KillSwitchTriggeredError, InDoubtError when only somebody's decision can move it on
   */
  async execute<D extends AnyDefinition>(definition: D, ...given: StartArguments<D>): Promise<OutputOf<D>> {
    const run = (await this.start(definition, ...given)) as RunHandle;
    if ((await run.settled()) === 'waiting') await mustNotBeInDoubt(run);
    const result = await run.result();
    if (!result.success) throw errorOf(result);
    return result.data as OutputOf<D>;
  }

  /** A run that exists, wherever it lives; typed by its definition where one is given. @throws NotFoundError, DefinitionChangedError */
  async attach<D extends AnyDefinition = AnyDefinition>(id: string, definition?: D): Promise<HandleOf<D>> {
    this.#mustBeOpen();
    const run = runId(id);
    const summary = await this.#summary(run);
    if (definition !== undefined && summary.definition !== definition.name)
      throw new DefinitionChangedError(
        `Run ${run} exists and is of ${summary.definition}, not of ${definition.name}; choose another id.`,
        {
          run,
          definition: summary.definition,
        },
      );
    return new RunHandle(run, summary.status, this.#handlePorts()) as HandleOf<D>;
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(id?: string): Promise<Recovery> {
    this.#mustBeOpen();
    return this.#runs.recover(id === undefined ? undefined : runId(id));
  }

  /** Kills a run, wherever it lives: what it was doing can record nothing more. Killing an ended run changes nothing. @throws NotFoundError */
  async kill(id: string, reason = 'killed'): Promise<Receipt> {
    this.#mustBeOpen();
    const run = runId(id);
    const since = this.#clock.now();
    const { end, stopped } = await this.#runs.kill(run, reason);
    const inDoubt = end.type === 'run.killed' ? await outcomesUnknown(this.#entries(run)) : [];
    return {
      run,
      reason: end.type === 'run.killed' ? end.event.reason : reason,
      status: statusOf(end),
      seq: end.seq,
      stopped,
      inDoubt,
      ms: this.#clock.now() - since,
    };
  }

  /** Folds a run's journal with nothing executed. @throws ReplayDivergenceError, CorruptJournalError, NotFoundError */
  async replay(id: string): Promise<Replay> {
    this.#mustBeOpen();
    const run = runId(id);
    const folded = await this.#runs.fold(run);
    const { summary = NO_SUMMARY, status } = folded;
    const actors = folded.states();
    if (folded.end === undefined && !(await this.#runs.isOwned(run)))
      folded.fold(recoveredNext(folded, this.#backend.owner, this.#clock));
    return { run, entries: summary.entries, status, summary, inDoubt: folded.inDoubt(), actors, equal: true };
  }

  /** Unfinished runs that this process owns: in memory, and resting outside it. */
  get counts(): { live: number; parked: number } {
    return this.#runs.counts;
  }

  /** Every run of this store, oldest first; one that cannot be read is listed with its error. */
  async runs(filter: { status?: RunStatus } = {}): Promise<RunInfo[]> {
    this.#mustBeOpen();
    const owners = new Map((await this.#runs.open()).map(({ run, owner }) => [run, owner]));
    const infos: RunInfo[] = [];
    for await (const run of this.#backend.journal.list()) {
      const info = await this.#infoOf(run, owners.get(run));
      if (filter.status === undefined || filter.status === info.status) infos.push(info);
    }
    return infos.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** Lets go of every run (they go on where they are recovered) and closes the store. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#runs.close();
    this.#deadlines.close();
    await this.#bodies.stop();
    await this.#backend.close();
  }

  #define(definition: AnyDefinition): void {
    const known = this.#definitions.get(definition.name);
    if (known !== undefined && known !== definition && !(known.kind === 'plan' && known.parsed))
      throw new ValidationError(`Two definitions are named ${definition.name}; rename one.`, {
        definition: definition.name,
      });
    this.#definitions.set(definition.name, definition);
  }

  #knows(name: string, chart: string): boolean {
    const definition = this.#definitions.get(name);
    return definition !== undefined && this.#bodies.of(definition).chart === chart;
  }

  #bodyOf({ run, event }: Beginning): Resolved {
    if (event.spec !== null)
      return this.#bodies.ofSpec(event.spec as PlanSpec, this.#toolsOf(event.definition), this.#definitions);
    const definition = this.#definitions.get(event.definition);
    if (definition !== undefined) return this.#bodies.of(definition);
    throw new DefinitionChangedError(
      `Run ${run} is of ${event.definition} ${event.version}, which this process was not given; add it to createTroupe({ definitions }).`,
      { run, definition: event.definition, version: event.version },
    );
  }

  #toolsOf(name: string): Toolbox {
    const definition = this.#definitions.get(name);
    return definition?.kind === 'plan' ? new Map([...this.#tools, ...definition.tools]) : this.#tools;
  }

  /** A start that found the run there. @throws DefinitionChangedError */
  async #attachTo<D extends AnyDefinition>(
    id: RunId,
    definition: D,
    spec: unknown,
    opened: boolean,
  ): Promise<HandleOf<D>> {
    const handle = await this.attach(id, definition);
    for await (const { entry } of this.#entries(id)) {
      if (entry.type === 'run.created' && Buffer.compare(encode(entry.event.spec), encode(spec)) !== 0)
        throw new DefinitionChangedError(
          `Run ${id} exists and is of another plan named ${definition.name}; choose another id.`,
          {
            run: id,
            definition: definition.name,
          },
        );
      break;
    }
    // It had ended, or whoever created it did not live to register it, or to go on with it.
    if (opened || !(await this.#runs.isOwned(id)))
      await (handle.can('kill') ? this.#runs.adopt(id) : this.#runs.forget(id));
    return handle;
  }

  #entries(run: RunId, after?: Read): AsyncGenerator<{ entry: Entry; hash: Uint8Array }> {
    return unseal(run, this.#backend.journal.read(run, (after?.seq ?? 0) + 1), after);
  }

  async #summary(run: RunId): Promise<Summary> {
    let summary = NO_SUMMARY;
    for await (const { entry } of this.#entries(run)) summary = summarised(summary, entry);
    if (summary.entries === 0) throw new NotFoundError(`There is no run ${run}.`, { run });
    return summary;
  }

  async #infoOf(run: RunId, owner: OwnerId | undefined): Promise<RunInfo> {
    try {
      const { definition, status, createdAt, endedAt } = await this.#summary(run);
      const owned = endedAt === undefined && owner !== undefined && (await this.#backend.alive(owner));
      return { run, definition, status, createdAt, endedAt, owned };
    } catch (error) {
      return { run, definition: '', status: 'unreadable', createdAt: 0, endedAt: undefined, owned: false, error };
    }
  }

  #killOn(signal: AbortSignal | undefined, id: RunId): void {
    if (signal === undefined) return;
    const kill = (): void =>
      void this.kill(id, 'its signal was aborted').catch((error: unknown) =>
        this.#report(error, `run ${id}: kill on abort`),
      );
    if (signal.aborted) return kill();
    signal.addEventListener('abort', kill, { once: true });
    this.#runs.live(id)?.ended.then(
      () => signal.removeEventListener('abort', kill),
      () => {},
    );
  }

  #handlePorts(): HandlePorts {
    return {
      entries: (run, after) => this.#entries(run, after),
      live: (run) => this.#runs.live(run),
      waits: (run) => this.#runs.waits(run),
      wake: (run) => this.#runs.wake(run),
      say: (run, message, here) => {
        this.#mustBeOpen();
        return this.#runs.say(run, message, here);
      },
      inDoubt: (run) => this.#inDoubt(run),
      watch: (run, changed) => this.#watch(run, changed),
      kill: (run, reason) => this.kill(run, reason),
      report: this.#report,
      closed: () => this.#closing !== undefined,
    };
  }

  /** Whoever follows a run keeps the process alive, also while nothing comes. */
  #watch(run: RunId, changed: () => void): () => void {
    const alive = this.#clock.setTimeout(() => {}, MAX_TIMEOUT_MS);
    const unwatch = this.#backend.journal.watch(run, changed);
    return () => {
      this.#clock.clearTimeout(alive);
      unwatch();
    };
  }

  /** Asked of the run where it lives here, otherwise of its journal: nothing begins for a question. */
  async #inDoubt(id: RunId): Promise<{ calls: CallInDoubt[]; seen: number }> {
    const live = this.#runs.live(id);
    const run = live ?? (await this.#runs.fold(id));
    const seen = run.position.seq;
    if (run.end !== undefined) return { calls: [], seen };
    if (live === undefined && !(await this.#runs.isOwned(id)))
      run.fold(recoveredNext(run, this.#backend.owner, this.#clock));
    return { calls: run.inDoubt(), seen };
  }

  #newId(): RunId {
    // Asked of the system in bulk: one by one it costs more than writing the run.
    if (this.#random.length < ID_BYTES) this.#random = randomBytes(ID_BYTES * 256);
    const bytes = this.#random.subarray(0, ID_BYTES);
    this.#random = this.#random.subarray(ID_BYTES);
    // One that begins with '-' would be an option on a command line.
    return bytes.toString('base64url').replace(/^-/, '_') as RunId;
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('This troupe is closed; create another.');
  }
}

/** Opens the store and, unless `recover` is false, takes over what nobody alive owns. @throws ValidationError, StorageError, UnsupportedFormatError */
export async function createTroupe(options: TroupeOptions = {}): Promise<Troupe> {
  const unknown = Object.keys(options).find((option) => !Object.hasOwn(OPTIONS, option));
  if (unknown !== undefined)
    throw new ValidationError(
      `createTroupe() has no option '${unknown}'; closest: ${closest(unknown, Object.keys(OPTIONS)).join(', ') || 'none'}.`,
      { path: unknown },
    );
  const clock = options.clock ?? systemClock();
  const owner = ownerId(randomBytes(12).toString('base64url'));
  const backend = await (options.backend ?? embedded()).open({ owner, clock });
  try {
    const troupe = new Troupe(backend, clock, options);
    if (options.recover !== false) await recoverAll(troupe, options.report);
    return troupe;
  } catch (error) {
    await backend.close();
    throw error;
  }
}

async function recoverAll(troupe: Troupe, report: TroupeOptions['report']): Promise<void> {
  const { left } = await troupe.recover();
  for (const { run, error } of left) (report ?? console.warn)(error, `run ${run} was left as it is`);
}

async function mustNotBeInDoubt(run: RunHandle): Promise<void> {
  const calls = (await run.inDoubt()).map(({ call }) => call);
  if (calls.length === 0) return;
  throw new InDoubtError(
    `Run ${run.id} waits for somebody to say what became of ${calls.join(', ')}: run.resolve(call, { output } | { error } | { retry: true }).`,
    { run: run.id, calls },
  );
}

const statusOf = (end: Entry): RunStatus =>
  isEnd(end.type) ? (end.type.slice('run.'.length) as RunStatus) : 'running';

function checked(definition: AnyDefinition, input: unknown): unknown {
  // A tool's own machine reports its input; a plan's is refused here.
  if (definition.kind !== 'plan' || definition.inputSchema === undefined) return input;
  return checkedInput(definition.name, definition.inputSchema, input);
}

function checkedBudget(budget: Budget | undefined): Budget | null {
  if (budget === undefined) return null;
  const { steps } = budget;
  if (steps !== undefined && (!Number.isInteger(steps) || steps < 0))
    throw new ValidationError(`budget.steps is ${String(steps)}; use a whole number from 0.`, {
      path: 'budget.steps',
      steps,
    });
  return steps === undefined ? {} : { steps };
}

const OPTIONS: Record<keyof TroupeOptions, true> = {
  backend: true,
  definitions: true,
  tools: true,
  recover: true,
  parkAfter: true,
  inspect: true,
  report: true,
  clock: true,
};
const ID_BYTES = 12;
const PARK_AFTER_MS = 60_000;

function parkAfterMs(after: TroupeOptions['parkAfter']): number | undefined {
  if (after === false) return undefined;
  return after === undefined ? PARK_AFTER_MS : milliseconds(after, 'option parkAfter of createTroupe');
}

const attaching = (
  inspect: TroupeOptions['inspect'],
  report: (error: unknown, where: string) => void,
): Pick<RunPorts, 'attach'> =>
  inspect === undefined
    ? {}
    : {
        attach: ({ root, actors }) =>
          attachInspector(root, actors, inspect, (error) => report(error, 'an inspection observer')),
      };
