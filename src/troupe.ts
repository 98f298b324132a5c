import { randomBytes } from 'node:crypto';
import { Allotments, type TenantBudget } from '../actors/allotments.ts';
import { record } from '../actors/control.ts';
import { Definitions } from '../actors/definitions.ts';
import { attachInspector } from '../actors/durable.ts';
import { handlePorts } from '../actors/handles.ts';
import { recoveredNext } from '../actors/owner.ts';
import type { RunPorts } from '../actors/run/ports.ts';
import { Runs } from '../actors/runs.ts';
import { Starting } from '../actors/starting.ts';
import { auditing, checkedAudit } from './auditing.ts';
import type { Backend, Stored } from './backend.ts';
import { embedded } from './backends/embedded/index.ts';
import { Deadlines, systemClock, type Clock } from './clock.ts';
import { mustNotBeInDoubt } from './deciding.ts';
import { checkedLimits, checkedPeriod } from './define/budget.ts';
import type { AnyDefinition } from './define/definition.ts';
import { optionsOf } from './asking.ts';
import { toolbox } from './define/toolbox.ts';
import type { Asking, KillOptions, RunReceipt } from './handle.ts';
import { listed, mustBeThere, type Filter } from './listing.ts';
import { idFrom, runIdsFrom } from './newId.ts';
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
import type { AuditRow } from './protocol/audit.ts';
import type { Control } from './protocol/control.ts';
import { milliseconds } from './protocol/duration.ts';
import { ClosedError } from './protocol/errors.ts';
import { checkedPrincipal, checkedText, ownerId, runId, tenantId } from './protocol/ids.ts';
import { checkedWidth, type KillSwitch, type Receipt, type Width } from './protocol/receipt.ts';
import { Replay, type Difference } from './replay.ts';
import { errorOf } from './result.ts';
import type { RunHandle } from './run.ts';
import { mustBeKnown, settingsOf } from './settings.ts';
import { NO_SUMMARY } from './summary.ts';

/** Whoever kills waits so long at most. */
const MAX_GRACE_MS = 3_600_000;

export class Troupe {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #definitions: Definitions;
  readonly #runs: Runs;
  readonly #allotments: Allotments;
  readonly #starting: Starting;
  readonly #principal: string;
  readonly #ends = new AbortController();
  #closing: Promise<void> | undefined;

  /** Use `createTroupe`. */
  constructor(backend: Backend, clock: Clock, options: TroupeOptions) {
    const { principal, parkAfterMs, report } = settingsOf(options);
    this.#backend = backend;
    this.#clock = clock;
    this.#principal = principal;
    this.#definitions = new Definitions(clock, toolbox(options.tools ?? []));
    this.#deadlines = new Deadlines(clock, () => this.#runs.hears());
    this.#allotments = new Allotments(backend, clock, report);
    this.#runs = new Runs({
      backend,
      clock,
      deadlines: this.#deadlines,
      begins: (definition, input) => this.#definitions.begins(definition, input),
      parkAfterMs,
      ended: (run) => {
        this.#starting.ended(run);
        return this.#allotments.ended(run);
      },
      drawers: () => this.#allotments.drawers(),
      raise: (run, budget) => this.#allotments.raise(run, budget),
      report,
      bodyOf: (beginning) => this.#definitions.begunAs(beginning),
      knows: (definition, chart) => this.#definitions.knows(definition, chart),
      ...attaching(options.inspect, report),
    });
    this.#starting = new Starting({
      backend,
      runs: this.#runs,
      allotments: this.#allotments,
      definitions: this.#definitions,
      handles: handlePorts({
        backend,
        clock,
        runs: this.#runs,
        allotments: this.#allotments,
        principal,
        report,
        kill: (run, reason, asked) => this.kill(run, reason, asked),
        mustBeOpen: () => this.#mustBeOpen(),
        closing: this.#ends.signal,
      }),
      newId: runIdsFrom(options.random ?? randomBytes),
    });
    for (const definition of options.definitions ?? []) this.#definitions.add(definition);
    if (options.recover !== false) this.#runs.succeed();
  }

  /**
   * Starts a run; resolves once it is recorded. An id that exists is attached to.
   * @throws ValidationError, also when the id is of a run of another tenant, DefinitionChangedError when it is another definition's, StorageFullError,
   * BudgetExceededError when its tenant's budget has too little left
   */
  start<D extends AnyDefinition>(definition: D, ...[input, options = {}]: StartArguments<D>): Promise<HandleOf<D>> {
    // As soon as it is there, before anything happens in it: whoever listens at once misses nothing.
    return new Promise((begun, failed) => {
      this.#mustBeOpen();
      this.#starting.start(definition, input, options, begun).then(begun, failed);
    });
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
    return this.#starting.attach(runId(id), definition);
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
    return this.#starting.fork(runId(id), options);
  }

  /** Takes over the unfinished runs that nobody alive owns, or one of them. */
  async recover(id?: string): Promise<Recovery> {
    this.#mustBeOpen();
    return this.#runs.recovery.recover(id === undefined ? undefined : runId(id));
  }

  /**
   * Kills a run and all that it has begun, wherever that lives; or all runs of a tenant, of a definition, or all there are, and then nothing of that
   * begins until it is lifted. What was killed can record nothing more. Resolves when everything has stopped, or `grace` (`'5s'` by default, `'1h'` at most) is over:
   * who has not answered by then is in the receipt. Killing what has ended changes nothing.
   * @throws NotFoundError, ValidationError
   */
  async kill(target: string, reason?: string, options?: KillOptions): Promise<RunReceipt>;
  async kill(target: Width, reason?: string, options?: KillOptions): Promise<Receipt>;
  async kill(target: string | Width, reason = 'killed', options: KillOptions = {}): Promise<RunReceipt | Receipt> {
    this.#mustBeOpen();
    const { by, grace = '5s' } = optionsOf('kill', options);
    const graceMs = Math.ceil(milliseconds(grace, 'grace of a kill', MAX_GRACE_MS));
    const asked = { reason: checkedText(reason, 'reason'), by: checkedPrincipal(by ?? this.#principal) };
    if (typeof target !== 'string')
      return this.#runs.wide.kill({ ...checkedWidth(target), ...asked, at: this.#clock.now() }, graceMs);
    const run = runId(target);
    const receipt = await this.#runs.kill([run], { ...asked, graceMs });
    const own = receipt.runs.find((killed) => killed.run === run);
    if (own === undefined) throw receipt.left.find((left) => left.run === run)?.error;
    return { ...receipt, ...own, ms: receipt.ms };
  }

  /** Lets what was killed by its width begin again; what has ended has ended. False: it was not switched off. @throws ValidationError */
  async lift(width: Width, options: Asking = {}): Promise<boolean> {
    this.#mustBeOpen();
    const { by } = optionsOf('lift', options);
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
    const folded = await this.#runs.reading.fold(run);
    const { summary = NO_SUMMARY, status } = folded;
    const actors = folded.states();
    if (folded.end === undefined && !(await this.#runs.register.isOwned(run)))
      folded.fold(recoveredNext(folded, this.#backend.owner, this.#clock));
    return new Replay({ run, status, summary, inDoubt: folded.inDoubt(), actors }, this.#runs.reading.folding(run));
  }

  /**
   * Whether a run's journal fits another version of its definition, and where it first does not. Nothing is executed.
   * @throws NotFoundError, CorruptJournalError
   */
  async diff(id: string, definition: AnyDefinition): Promise<Difference> {
    this.#mustBeOpen();
    return this.#runs.reading.compare(runId(id), this.#definitions.bodyOf(definition));
  }

  /** A run's entries as they are stored, for a copy of them. @throws NotFoundError */
  async *stored(id: string): AsyncGenerator<Stored> {
    this.#mustBeOpen();
    const run = runId(id);
    await mustBeThere(this.#backend.journal, run);
    yield* this.#backend.journal.read(run);
  }

  /**
   * What all runs of a tenant may spend in each period, in place of the budget it had; what is spent and drawn stays. Each run draws what it may
   * spend when it starts and gives back the rest when it has ended. Other processes know of it within 200 ms. @throws ValidationError
   */
  async setBudget(options: TenantBudgetOptions): Promise<void> {
    this.#mustBeOpen();
    const { tenant, period, perRun, by, ...limits } = optionsOf('setBudget', options);
    const rules = {
      periodMs: checkedPeriod(period),
      limits: checkedLimits(limits, 'budget'),
      perRun: perRun === undefined ? {} : checkedLimits(perRun, 'budget.perRun'),
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
    if (wanted.run !== undefined) await mustBeThere(journal, wanted.run);
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
   * no run that has ended is read. @throws ValidationError
   */
  async runs(filter: Filter = {}): Promise<RunInfo[]> {
    this.#mustBeOpen();
    const wanted = optionsOf('runs', filter);
    return listed(this.#backend, await this.#runs.register.open(), wanted);
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
    this.#ends.abort();
    this.#starting.close();
    await this.#runs.close();
    await this.#allotments.close();
    this.#deadlines.close();
    await this.#definitions.stop();
    await this.#backend.close();
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('This troupe is closed; create another.');
  }
}

/** Opens the store and, unless `recover` is false, takes over what nobody alive owns. @throws ValidationError, StorageError, UnsupportedFormatError */
export async function createTroupe(options: TroupeOptions = {}): Promise<Troupe> {
  mustBeKnown(options);
  const clock = options.clock ?? systemClock();
  const random = options.random ?? randomBytes;
  const owner = ownerId(idFrom(random));
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
