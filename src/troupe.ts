import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { Bodies, type Resolved } from '../actors/body.ts';
import { definitionsOf } from '../actors/child.ts';
import { record } from '../actors/control.ts';
import type { Begins } from '../actors/children.ts';
import { Allotments, type TenantBudget } from '../actors/allotments.ts';
import { attachInspector } from '../actors/durable.ts';
import type { ForkAsked } from '../actors/copied.ts';
import { recoveredNext } from '../actors/owner.ts';
import type { RunPorts } from '../actors/run.ts';
import { Runs } from '../actors/runs.ts';
import type { Backend, Stored } from './backend.ts';
import { embedded } from './backends/embedded/index.ts';
import { auditing, checkedAudit } from './auditing.ts';
import { unseal, type Read } from './chain.ts';
import { Deadlines, MAX_TIMEOUT_MS, systemClock, type Clock } from './clock.ts';
import { encode, toData } from './codec.ts';
import type { AnyDefinition } from './define/definition.ts';
import { checkedBudget, checkedLimits, checkedPeriod } from './define/budget.ts';
import { closest } from './define/closest.ts';
import { checkedInput } from './define/input.ts';
import { checkedReplacements } from './define/replacement.ts';
import { toolbox, type Toolbox } from './define/toolbox.ts';
import { milliseconds } from './protocol/duration.ts';
import type { AuditRow } from './protocol/audit.ts';
import type { Control } from './protocol/control.ts';
import type { Beginning, Entry } from './protocol/entry.ts';
import {
  ClosedError,
  DefinitionChangedError,
  InDoubtError,
  NotFoundError,
  ValidationError,
} from './protocol/errors.ts';
import {
  checkedPrincipal,
  checkId,
  checkedText,
  DEFAULT_TENANT,
  ownerId,
  runId,
  tenantId,
  type OwnerId,
  type RunId,
  type TenantId,
} from './protocol/ids.ts';
import type {
  AuditOptions,
  ForkOptions,
  HandleOf,
  OutputOf,
  Recovery,
  RunInfo,
  StartArguments,
  TenantBudgetOptions,
  TroupeOptions,
} from './options.ts';
import type { KillSwitch, Receipt, Width } from './protocol/receipt.ts';
import type { PlanSpec } from './protocol/spec.ts';
import { Replay, type Difference } from './replay.ts';
import {
  errorOf,
  RunHandle,
  type Asking,
  type HandlePorts,
  type KillOptions,
  type Pending,
  type RunReceipt,
} from './run.ts';
import type { RunStatus } from './protocol/lifecycle.ts';
import { NO_SUMMARY, summarised, type Summary } from './summary.ts';

export class Troupe {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #bodies: Bodies;
  readonly #definitions = new Map<string, AnyDefinition>();
  readonly #tools: Toolbox;
  readonly #report: (error: unknown, where: string) => void;
  readonly #runs: Runs;
  readonly #allotments: Allotments;
  #closing: Promise<void> | undefined;
  readonly #principal: string;
  readonly #random: (bytes: number) => Uint8Array;
  #chance = Buffer.alloc(0);

  /** Use `createTroupe`. */
  constructor(backend: Backend, clock: Clock, options: TroupeOptions) {
    this.#backend = backend;
    this.#principal = checkedPrincipal(options.principal ?? userName());
    this.#random = options.random ?? randomBytes;
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
    this.#allotments = new Allotments(backend, clock, this.#report);
    this.#runs = new Runs({
      backend,
      clock,
      deadlines: this.#deadlines,
      begins: (definition, input) => this.#begins(definition, input),
      parkAfterMs: parkAfterMs(options.parkAfter),
      ended: (run) => this.#allotments.ended(run),
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
   * @throws ValidationError, DefinitionChangedError when the id is another definition's, StorageFullError,
   * BudgetExceededError when its tenant's budget has too little left
   */
  start<D extends AnyDefinition>(definition: D, ...given: StartArguments<D>): Promise<HandleOf<D>> {
    // As soon as it is there, before anything happens in it: whoever listens at once misses nothing.
    return new Promise((begun, failed) => void this.#start(definition, given, begun).then(begun, failed));
  }

  async #start<D extends AnyDefinition>(
    definition: D,
    [input, options = {}]: StartArguments<D>,
    begun: (handle: HandleOf<D>) => void,
  ): Promise<HandleOf<D>> {
    this.#mustBeOpen();
    options.signal?.throwIfAborted();
    const id = options.id === undefined ? this.#newId() : runId(options.id);
    const { body, begins } = this.#begins(definition, input);
    const tenant = options.tenant === undefined ? DEFAULT_TENANT : tenantId(options.tenant);
    const created = {
      ...begins,
      owner: this.#backend.owner,
      by: checkedPrincipal(options.by ?? this.#principal),
      tenant,
      budget: checkedBudget(options.budget),
      parent: null,
      origins: [],
    };
    let handle: HandleOf<D> | undefined;
    const made = await this.#allotments.paying(tenant, id, created.budget, (budget) =>
      this.#runs.create(id, { ...created, budget }, body, () => {
        handle = new RunHandle(id, 'running', this.#handlePorts()) as HandleOf<D>;
        begun(handle);
      }),
    );
    if (made.run === undefined || handle === undefined)
      return this.#attachTo(id, definition, begins.spec, 'registered' in made && made.registered);
    this.#killOn(options.signal, id, created.by);
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

  /**
   * Begins a run that has the entries of another up to `at`, and goes on by itself from there; the other is as it was. What was under way
   * there is not under way here: calls that may begin again do, under keys of their own, irreversible ones are in doubt.
   * Resolves once it is recorded.
   * @throws NotFoundError, ValidationError, ReplayDivergenceError when the definition or a replaced result does not fit what is on
   * record, DefinitionChangedError: nothing was written
   */
  async fork<D extends AnyDefinition>(id: string, options: ForkOptions<D> = {}): Promise<HandleOf<D>> {
    this.#mustBeOpen();
    const { at, definition, budget } = options;
    if (definition !== undefined) this.#mustBeOnly(definition);
    const run = options.id === undefined ? this.#newId() : runId(options.id);
    const body = definition && this.#bodies.of(definition);
    const asked = {
      id: run,
      at,
      owner: this.#backend.owner,
      by: checkedPrincipal(options.by ?? this.#principal),
      budget: budget === null ? null : budget && checkedBudget(budget),
      definition: definition && body && whatOf(definition, body),
      replace: checkedReplacements(options.replace),
    };
    let handle: HandleOf<D> | undefined;
    const begun = (): void => void (handle = new RunHandle(run, 'running', this.#handlePorts()) as HandleOf<D>);
    await this.#allotments.payingFork(runId(id), run, asked, (drawn) =>
      this.#runs.fork(runId(id), { ...asked, budget: drawn }, body, begun),
    );
    if (definition !== undefined) this.#define(definition);
    return handle ?? this.attach(run, definition);
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(id?: string): Promise<Recovery> {
    this.#mustBeOpen();
    return this.#runs.recover(id === undefined ? undefined : runId(id));
  }

  /**
   * Kills a run and all that it has begun, wherever that lives; or all runs of a tenant, of a definition, or all there are, and then nothing of that
   * begins until it is lifted. What was killed can record nothing more. Resolves when everything has stopped, or `grace` (`'5s'` by default) is over:
   * who has not answered by then is in the receipt. Killing what has ended changes nothing.
   * @throws NotFoundError, ValidationError
   */
  async kill(target: string, reason?: string, options?: KillOptions): Promise<RunReceipt>;
  async kill(target: Width, reason?: string, options?: KillOptions): Promise<Receipt>;
  async kill(
    target: string | Width,
    reason = 'killed',
    { by, grace = '5s' }: KillOptions = {},
  ): Promise<RunReceipt | Receipt> {
    this.#mustBeOpen();
    const graceMs = milliseconds(grace, 'grace of a kill');
    const asked = { reason: checkedText(reason, 'reason'), by: checkedPrincipal(by ?? this.#principal) };
    if (typeof target !== 'string')
      return this.#runs.killAll({ ...checkedWidth(target), ...asked, at: this.#clock.now() }, graceMs);
    const run = runId(target);
    const receipt = await this.#runs.kill([run], { ...asked, graceMs });
    const own = receipt.runs.find((killed) => killed.run === run);
    if (own === undefined) throw receipt.left.find((left) => left.run === run)?.error;
    return { ...receipt, ...own, ms: receipt.ms };
  }

  /** Lets what was killed by its width begin again; what has ended has ended. False: it was not switched off. @throws ValidationError */
  async lift(width: Width, { by }: Asking = {}): Promise<boolean> {
    this.#mustBeOpen();
    const asked = { type: 'lift', width: checkedWidth(width), by: checkedPrincipal(by ?? this.#principal) } as const;
    if ((await this.#runs.switches.lift(asked.width)) === undefined) return false;
    await this.#record(asked);
    return true;
  }

  /** What is switched off, by whom and why. */
  async switches(): Promise<readonly KillSwitch[]> {
    this.#mustBeOpen();
    return this.#runs.switches.list();
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
    return new Replay({ run, status, summary, inDoubt: folded.inDoubt(), actors }, this.#runs.folding(run));
  }

  /**
   * Whether a run's journal fits another version of its definition, and where it first does not. Nothing is executed.
   * @throws NotFoundError, CorruptJournalError
   */
  async diff(id: string, definition: AnyDefinition): Promise<Difference> {
    this.#mustBeOpen();
    return this.#runs.compare(runId(id), this.#bodies.of(definition));
  }

  /** A run's entries as they are stored, for a copy of them. @throws NotFoundError */
  async *stored(id: string): AsyncGenerator<Stored> {
    this.#mustBeOpen();
    const run = runId(id);
    if ((await this.#backend.journal.tail(run)) === undefined)
      throw new NotFoundError(`There is no run ${run}.`, { run });
    yield* this.#backend.journal.read(run);
  }

  /**
   * What all runs of a tenant may spend in each period, in place of the budget it had; what is spent and drawn stays. Each run draws what it may
   * spend when it starts and gives back the rest when it has ended. Other processes know of it within 200 ms. @throws ValidationError
   */
  async setBudget({ tenant, period, perRun, by, ...limits }: TenantBudgetOptions): Promise<void> {
    this.#mustBeOpen();
    const rules = {
      periodMs: checkedPeriod(period),
      limits: checkedLimits(limits, 'budget'),
      perRun: checkedLimits(perRun ?? {}, 'budget.perRun'),
    };
    const asked = { by: checkedPrincipal(by ?? this.#principal), tenant: tenantId(tenant) };
    await this.#allotments.set(asked.tenant, rules);
    await this.#record({ type: 'setBudget', ...asked, ...rules });
  }

  /**
   * Who asked for what, when and why, what was decided and what it cost: of all runs or one, oldest first, as is on record now. Runs come in the
   * order in which they were begun, and what was asked of more than one of them comes before what happened later. What cannot be read is a row, too.
   * @throws NotFoundError, ValidationError
   */
  async *audit(options: AuditOptions = {}): AsyncGenerator<AuditRow> {
    this.#mustBeOpen();
    const { journal } = this.#backend;
    const wanted = checkedAudit(options);
    if (wanted.run !== undefined && (await journal.tail(wanted.run)) === undefined)
      throw new NotFoundError(`There is no run ${wanted.run}.`, { run: wanted.run });
    yield* auditing(journal, wanted);
  }

  #record(control: Control): Promise<void> {
    return record(control, { journal: this.#backend.journal, clock: this.#clock });
  }

  /** What a tenant may spend in this period, and what of it is gone; undefined where it has no budget. */
  async budgetOf(tenant: string): Promise<TenantBudget | undefined> {
    this.#mustBeOpen();
    return this.#allotments.of(tenantId(tenant));
  }

  /** Unfinished runs that this process owns: in memory, and resting outside it. */
  get counts(): { live: number; parked: number } {
    return this.#runs.counts;
  }

  /**
   * Every run of this store, oldest first; one that cannot be read is listed with its error. `unfinished`: only what the registry has, so that
   * no run that has ended is read.
   */
  async runs(filter: { status?: RunStatus; tenant?: string; unfinished?: boolean } = {}): Promise<RunInfo[]> {
    this.#mustBeOpen();
    const { status, tenant, unfinished } = filter;
    const owners = new Map((await this.#runs.open()).map(({ run, owner }) => [run, owner]));
    const infos: RunInfo[] = [];
    for await (const run of unfinished === true ? owners.keys() : this.#backend.journal.list()) {
      const info = await this.#infoOf(run, owners.get(run));
      if (unfinished === true && info.endedAt !== undefined) continue;
      if ((status ?? info.status) === info.status && (tenant ?? info.tenant) === info.tenant) infos.push(info);
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
    await this.#allotments.close();
    this.#deadlines.close();
    await this.#bodies.stop();
    await this.#backend.close();
  }

  /** What its runs begin with. @throws ValidationError */
  #begins(definition: AnyDefinition, input: unknown): { body: Resolved; begins: Begins } {
    this.#define(definition);
    const body = this.#bodies.of(definition);
    const { spec, ...what } = whatOf(definition, body);
    return { body, begins: { ...what, input: toData(checked(definition, input), 'input'), spec } };
  }

  #define(definition: AnyDefinition): void {
    this.#mustBeOnly(definition);
    if (this.#definitions.get(definition.name) === definition) return;
    this.#definitions.set(definition.name, definition);
    // What it may begin runs of is recovered here, too.
    if (definition.kind === 'durable') for (const child of definitionsOf(definition.machine)) this.#define(child);
  }

  /** @throws ValidationError */
  #mustBeOnly(definition: AnyDefinition): void {
    const known = this.#definitions.get(definition.name);
    if (known !== undefined && known !== definition && !(known.kind === 'plan' && known.parsed))
      throw new ValidationError(`Two definitions are named ${definition.name}; rename one.`, {
        definition: definition.name,
      });
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
      const { definition, tenant, parent, status, entries, createdAt, endedAt } = await this.#summary(run);
      const owned = endedAt === undefined && owner !== undefined && (await this.#backend.alive(owner));
      return { run, definition, tenant, parent, status, entries, createdAt, endedAt, owned };
    } catch (error) {
      const unknown = { definition: '', tenant: '', parent: null, entries: 0, createdAt: 0, endedAt: undefined };
      return { run, ...unknown, status: 'unreadable', owned: false, error };
    }
  }

  #killOn(signal: AbortSignal | undefined, id: RunId, by: string): void {
    if (signal === undefined) return;
    const kill = (): void =>
      void this.kill(id, 'its signal was aborted', { by }).catch((error: unknown) =>
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
      principal: this.#principal,
      say: async (run, message) => {
        this.#mustBeOpen();
        if (message.type !== 'resume' || message.budget === null) return this.#runs.say(run, message);
        return this.#runs.say(run, { ...message, budget: await this.#allotments.raise(run, message.budget) });
      },
      pending: (run) => this.#pending(run),
      watch: (run, changed) => this.#watch(run, changed),
      kill: (run, reason, options) => this.kill(run, reason, options),
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
  async #pending(id: RunId): Promise<Pending> {
    const live = this.#runs.live(id);
    const run = live ?? (await this.#runs.fold(id));
    const seen = run.position.seq;
    if (run.end !== undefined) return { inDoubt: [], approvals: [], due: null, seen };
    if (live === undefined && !(await this.#runs.isOwned(id)))
      run.fold(recoveredNext(run, this.#backend.owner, this.#clock));
    const below = (await Promise.all(run.openChildren.map((child) => this.#pendingBelow(child.run)))).flat();
    const { due } = run.system;
    return {
      inDoubt: [...run.inDoubt(), ...below.flatMap(({ inDoubt }) => inDoubt)],
      approvals: [...run.approvals(), ...below.flatMap(({ approvals }) => approvals)],
      due: due === Infinity ? null : due,
      seen,
    };
  }

  /** Of a run that another one has begun; none where it is not there yet. */
  async #pendingBelow(child: RunId): Promise<Pending[]> {
    try {
      return [await this.#pending(child)];
    } catch (error) {
      if (error instanceof NotFoundError) return [];
      throw error;
    }
  }

  #newId(): RunId {
    // Asked of the system in bulk: one by one it costs more than writing the run.
    if (this.#chance.length < ID_BYTES) this.#chance = Buffer.from(this.#random(ID_BYTES * 256));
    const bytes = this.#chance.subarray(0, ID_BYTES);
    this.#chance = this.#chance.subarray(ID_BYTES);
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
  const random = options.random ?? randomBytes;
  const owner = ownerId(Buffer.from(random(ID_BYTES)).toString('base64url'));
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

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a number that has no name.
    return 'unknown';
  }
}

async function recoverAll(troupe: Troupe, report: TroupeOptions['report']): Promise<void> {
  const { left } = await troupe.recover();
  for (const { run, error } of left) (report ?? console.warn)(error, `run ${run} was left as it is`);
}

/** @throws ValidationError */
function checkedWidth(width: Width): Width & ({ tenant: TenantId } | { definition: string } | { all: true }) {
  const { tenant, definition, all } = width as { tenant?: unknown; definition?: unknown; all?: unknown };
  if (Object.keys(width).length === 1) {
    if (tenant !== undefined) return { tenant: tenantId(tenant) };
    if (definition !== undefined) return { definition: checkId(definition, 'definition name') };
    if (all === true) return { all };
  }
  throw new ValidationError('A kill is of a run (its id), { tenant }, { definition } or { all: true }.', { width });
}

async function mustNotBeInDoubt(run: RunHandle): Promise<void> {
  const calls = (await run.inDoubt()).map(({ call }) => call);
  if (calls.length === 0) return;
  throw new InDoubtError(
    `Run ${run.id} waits for somebody to say what became of ${calls.join(', ')}: run.resolve(call, { output } | { error } | { retry: true }).`,
    { run: run.id, calls },
  );
}

/** What a run is of. */
const whatOf = (given: AnyDefinition, { definition, version, chart }: Resolved): ForkAsked['definition'] & {} => ({
  definition,
  version,
  chart,
  spec: given.kind === 'plan' && given.parsed ? toData(given.spec) : null,
});

function checked(definition: AnyDefinition, input: unknown): unknown {
  // A tool's own machine reports its input; a plan's is refused here.
  if (definition.kind !== 'plan' || definition.inputSchema === undefined) return input;
  return checkedInput(definition.name, definition.inputSchema, input);
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
  principal: true,
  random: true,
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
