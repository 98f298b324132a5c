import { randomBytes } from 'node:crypto';
import type { InspectionEvent } from 'xstate';
import { Bodies, type Resolved } from '../actors/body.ts';
import { attachInspector } from '../actors/durable.ts';
import { createRun, fence, foldRun, readEnd, recoveredNext, takeOver } from '../actors/owner.ts';
import type { Run, RunPorts } from '../actors/run.ts';
import type { Backend } from './backend.ts';
import { embedded } from './backends/embedded/index.ts';
import { unseal } from './chain.ts';
import { Deadlines, systemClock, type Clock } from './clock.ts';
import { encode, toData } from './codec.ts';
import type { AnyDefinition } from './define/definition.ts';
import { toolbox, type Toolbox } from './define/toolbox.ts';
import { isEnd, type Budget, type Entry, type EntryOf } from './protocol/entry.ts';
import {
  ClosedError,
  DefinitionChangedError,
  InDoubtError,
  InvalidStateTransitionError,
  NotFoundError,
  StaleOwnerError,
  ValidationError,
} from './protocol/errors.ts';
import { ownerId, runId, type OwnerId, type RunId } from './protocol/ids.ts';
import type { HandleOf, OutputOf, Recovery, Replay, RunInfo, StartArguments, TroupeOptions } from './options.ts';
import type { PlanSpec } from './protocol/spec.ts';
import { errorOf, RunHandle, type HandlePorts, type Read, type Receipt } from './run.ts';
import { NO_SUMMARY, outcomesUnknown, summarised, type RunStatus, type Summary } from './summary.ts';

/** What the registry keeps of a run until it has ended, so that it is found when its owner is gone. */
interface OpenRun {
  run: RunId;
  owner: OwnerId;
}
const openKey = (run: RunId): string => `open.${run}`;

export class Troupe {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #bodies = new Bodies();
  readonly #definitions = new Map<string, AnyDefinition>();
  readonly #tools: Toolbox;
  readonly #report: (error: unknown, where: string) => void;
  readonly #inspect: ((event: InspectionEvent) => void) | undefined;
  readonly #live = new Map<RunId, Run>();
  readonly #adopting = new Map<RunId, Promise<Run>>();
  #closing: Promise<void> | undefined;

  /** Use `createTroupe`. */
  constructor(backend: Backend, clock: Clock, options: TroupeOptions) {
    this.#backend = backend;
    this.#clock = clock;
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
    this.#inspect = options.inspect;
    for (const definition of options.definitions ?? []) this.#define(definition);
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
    // Together, so that they share a commit where the store can.
    const [made, opened] = await Promise.all([
      createRun(id, created, body, this.#ports()),
      this.#backend.registry.put(openKey(id), { run: id, owner: this.#backend.owner } satisfies OpenRun, 0),
    ]);
    if (made === undefined) return this.#attachTo(id, definition, spec, opened !== undefined);
    // Closed meanwhile: it is on record, and goes on where it is recovered.
    this.#mustBeOpen();
    this.#keep(made.run);
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
    const recovery: Recovery = { recovered: [], left: [] };
    for (const open of id === undefined ? await this.#openRuns() : [{ run: runId(id) }]) {
      if (this.#live.has(open.run)) continue;
      try {
        // What this process owned and has let go of, nobody else will take.
        if ('owner' in open && open.owner !== this.#backend.owner && (await this.#backend.alive(open.owner))) continue;
        if ((await readEnd(this.#backend.journal, open.run)) === undefined) {
          await this.#adopt(open.run);
          recovery.recovered.push(open.run);
        } else await this.#forget(open.run);
      } catch (error) {
        if (error instanceof NotFoundError && id === undefined) await this.#forget(open.run);
        else recovery.left.push({ run: open.run, error });
      }
    }
    return recovery;
  }

  /** Kills a run, wherever it lives: what it was doing can record nothing more. Killing an ended run changes nothing. @throws NotFoundError */
  async kill(id: string, reason = 'killed'): Promise<Receipt> {
    this.#mustBeOpen();
    const run = runId(id);
    const since = this.#clock.now();
    await this.#adopting.get(run)?.catch(() => {});
    const live = this.#live.get(run);
    await live?.release();
    const stopped = live === undefined || live.end !== undefined ? [] : live.states();
    const end = await fence(run, reason, this.#ports()).catch((error: unknown) => {
      // Not recorded, so it goes on where it is recovered; here it stops all the same.
      live?.abandon(error);
      throw error;
    });
    if (end.type === 'run.killed' && live !== undefined && live.end === undefined) live.killed(end);
    await this.#forget(run);
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
    const folded = await foldRun(run, (created) => this.#bodyOf(created), this.#ports());
    const { summary, status } = folded;
    const actors = folded.states();
    if (folded.end === undefined && !(await this.#isOwned(run)))
      folded.fold(recoveredNext(folded, this.#backend.owner, this.#clock));
    return { run, entries: summary.entries, status, summary, inDoubt: folded.inDoubt(), actors, equal: true };
  }

  /** Every run of this store, oldest first; one that cannot be read is listed with its error. */
  async runs(filter: { status?: RunStatus } = {}): Promise<RunInfo[]> {
    this.#mustBeOpen();
    const owners = new Map((await this.#openRuns()).map(({ run, owner }) => [run, owner]));
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
    const live = [...this.#live.values()];
    await Promise.all(live.map((run) => run.release()));
    for (const run of live)
      run.abandon(new ClosedError(`Run ${run.id} was let go of: this troupe was closed.`, { run: run.id }));
    this.#live.clear();
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

  #bodyOf({ run, event }: EntryOf<'run.created'>): Resolved {
    if (event.spec !== null) return this.#bodies.ofSpec(event.spec as PlanSpec, this.#toolsOf(event.definition));
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
    // It had ended, or its creator did not live to register it.
    if (opened) await (handle.can('kill') ? this.#adopt(id) : this.#forget(id));
    return handle;
  }

  /** One at a time for each run: two callers get the same one. */
  #adopt(run: RunId): Promise<Run> {
    const live = this.#live.get(run);
    if (live !== undefined) return Promise.resolve(live);
    let adopting = this.#adopting.get(run);
    if (adopting === undefined) {
      adopting = this.#takeOver(run).finally(() => this.#adopting.delete(run));
      this.#adopting.set(run, adopting);
    }
    return adopting;
  }

  async #takeOver(id: RunId): Promise<Run> {
    const { registry, owner } = this.#backend;
    const open = (await registry.get(openKey(id)))?.value as OpenRun | null | undefined;
    if (open && open.owner !== owner && (await this.#backend.alive(open.owner)))
      throw new StaleOwnerError(
        `Run ${id} lives in another process, which is alive (owner ${open.owner}); do this there, or kill the run.`,
        { run: id, owner: open.owner },
      );
    const run = await foldRun(id, (created) => this.#bodyOf(created), this.#ports());
    if (run.end !== undefined)
      throw new InvalidStateTransitionError(`Run ${id} is ${run.status}: it takes nothing more.`, {
        run: id,
        state: run.status,
        event: 'recover',
        allowed: [],
      });
    if (!(await takeOver(run, owner, this.#ports())))
      throw new StaleOwnerError(`Run ${id} was taken over by somebody else at this moment; try again.`, { run: id });
    // Closed meanwhile: it goes on where it is recovered.
    this.#mustBeOpen();
    this.#keep(run);
    try {
      // Before anything happens in it: a run that has ended already must not be registered again.
      await registry.put(openKey(id), { run: id, owner } satisfies OpenRun);
    } catch (error) {
      run.abandon(error);
      throw error;
    }
    if (run.end === undefined) run.goLive([]);
    return run;
  }

  #keep(run: Run): void {
    this.#live.set(run.id, run);
    run.ended
      .then(
        () => this.#forget(run.id),
        () => void this.#live.delete(run.id),
      )
      .catch((error: unknown) => this.#report(error, `run ${run.id}: forgetting it`));
  }

  /** It has ended. */
  async #forget(run: RunId): Promise<void> {
    this.#live.delete(run);
    if (this.#closing === undefined) await this.#backend.registry.delete(openKey(run));
  }

  async #openRuns(): Promise<OpenRun[]> {
    const open: OpenRun[] = [];
    for await (const { value } of this.#backend.registry.list('open.')) open.push(value as OpenRun);
    return open;
  }

  async #isOwned(run: RunId): Promise<boolean> {
    const open = (await this.#backend.registry.get(openKey(run)))?.value as OpenRun | null | undefined;
    return open != null && this.#backend.alive(open.owner);
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
    this.#live.get(id)?.ended.then(
      () => signal.removeEventListener('abort', kill),
      () => {},
    );
  }

  #ports(): RunPorts {
    const { journal } = this.#backend;
    const inspect = this.#inspect;
    return {
      journal,
      clock: this.#clock,
      deadlines: this.#deadlines,
      report: this.#report,
      ...(inspect && {
        attach: ({ root, actors }) =>
          attachInspector(root, actors, inspect, (error) => this.#report(error, 'an inspection observer')),
      }),
    };
  }

  #handlePorts(): HandlePorts {
    return {
      entries: (run, after) => this.#entries(run, after),
      live: (run) => this.#live.get(run),
      adopt: (run) => {
        this.#mustBeOpen();
        return this.#adopt(run);
      },
      kill: (run, reason) => this.kill(run, reason),
      report: this.#report,
      clock: this.#clock,
      closed: () => this.#closing !== undefined,
    };
  }

  #newId(): RunId {
    // One that begins with '-' would be an option on a command line.
    return randomBytes(12).toString('base64url').replace(/^-/, '_') as RunId;
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('This troupe is closed; create another.');
  }
}

/** Opens the store and, unless `recover` is false, takes over what nobody alive owns. @throws ValidationError, StorageError, UnsupportedFormatError */
export async function createTroupe(options: TroupeOptions = {}): Promise<Troupe> {
  const clock = options.clock ?? systemClock();
  const owner = ownerId(randomBytes(12).toString('base64url'));
  const backend = await (options.backend ?? embedded()).open({ owner, immediate: (run) => clock.immediate(run) });
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
  const schema = definition.kind === 'durable' ? undefined : definition.inputSchema;
  // A tool's own machine reports its input; a plan's is refused here.
  if (schema === undefined || definition.kind === 'tool') return input;
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issues = result.error.issues
    .map(({ path, message }) => `${path.map(String).join('.') || 'input'}: ${message}`)
    .join('; ');
  throw new ValidationError(`The input of ${definition.name} is not what its schema asks for: ${issues}.`, {
    definition: definition.name,
    issues,
  });
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
