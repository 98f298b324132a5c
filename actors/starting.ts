import { optionsOf } from '../src/asking.ts';
import type { Backend } from '../src/backend.ts';
import { encode } from '../src/codec.ts';
import { checkedBudget } from '../src/define/budget.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import { checkedReplacements } from '../src/define/replacement.ts';
import type { HandlePorts } from '../src/handle.ts';
import { summaryIn } from '../src/listing.ts';
import type { ForkOptions, HandleOf, StartOptions } from '../src/options.ts';
import type { Budget, EntryEvents } from '../src/protocol/entry.ts';
import { DefinitionChangedError, ValidationError } from '../src/protocol/errors.ts';
import { checkedPrincipal, DEFAULT_TENANT, runId, tenantId, type RunId } from '../src/protocol/ids.ts';
import type { RunStatus } from '../src/protocol/lifecycle.ts';
import { RunHandle } from '../src/run.ts';
import { Aborts } from './aborts.ts';
import type { Allotments } from './allotments.ts';
import { mustBeDefinition, whatOf, type Definitions } from './definitions.ts';
import type { Runs } from './runs.ts';
import { createdOf } from './spending.ts';

interface Ports {
  readonly backend: Backend;
  readonly runs: Pick<Runs, 'creating' | 'register' | 'adopting' | 'forgetting' | 'live'>;
  readonly allotments: Pick<Allotments, 'paying' | 'payingFork'>;
  readonly definitions: Definitions;
  readonly handles: HandlePorts;
  newId(): RunId;
}

/** How somebody comes by a run: started, forked from another one, or there already. */
export class Starting {
  readonly #ports: Ports;
  readonly #aborts: Aborts;

  constructor(ports: Ports) {
    const { backend, runs, handles } = ports;
    this.#ports = ports;
    this.#aborts = new Aborts({
      journal: backend.journal,
      register: runs.register,
      live: (run) => runs.live(run),
      report: (error, where) => handles.report(error, where),
    });
  }

  /** It is forgotten here. */
  ended(run: RunId): void {
    this.#aborts.ended(run);
  }

  /** No signal kills anything any more. */
  close(): void {
    this.#aborts.close();
  }

  /** `begun`: as soon as it is there, before anything happens in it. */
  async start<D extends AnyDefinition>(
    definition: D,
    input: unknown,
    options: StartOptions,
    begun: (handle: HandleOf<D>) => void,
  ): Promise<HandleOf<D>> {
    const { backend, runs, allotments, definitions, handles } = this.#ports;
    optionsOf('start', options);
    options.signal?.throwIfAborted();
    const id = this.#idOf(options.id);
    const { body, begins } = definitions.begins(definition, input);
    const tenant = options.tenant === undefined ? DEFAULT_TENANT : tenantId(options.tenant);
    const created = {
      ...begins,
      owner: backend.owner,
      by: checkedPrincipal(options.by ?? handles.principal),
      tenant,
      budget: checkedBudget(options.budget),
      parent: null,
      origins: [],
    };
    let handle: HandleOf<D> | undefined;
    const create = (budget: Budget | null) =>
      runs.creating.create(id, { ...created, budget }, body, () => {
        handle = this.#handle<D>(id, 'running');
        begun(handle);
      });
    const made = await allotments.paying(tenant, id, created.budget, create, ({ run }) => run !== undefined);
    if (made.run === undefined || handle === undefined)
      handle = await this.#attachTo(id, definition, created, 'registered' in made && made.registered);
    if (handle.can('kill')) this.#killOn(options.signal, id, created.by);
    return handle;
  }

  /** @throws NotFoundError, DefinitionChangedError */
  async attach<D extends AnyDefinition>(run: RunId, definition?: D): Promise<HandleOf<D>> {
    if (definition !== undefined) mustBeDefinition(definition);
    const summary = await summaryIn(this.#ports.backend.journal, run);
    if (definition !== undefined && summary.definition !== definition.name)
      throw new DefinitionChangedError(
        `Run ${run} exists and is of ${summary.definition}, not of ${definition.name}; choose another id.`,
        {
          run,
          definition: summary.definition,
        },
      );
    return this.#handle<D>(run, summary.status);
  }

  async fork<D extends AnyDefinition>(from: RunId, options: ForkOptions<D>): Promise<HandleOf<D>> {
    const { backend, runs, allotments, definitions, handles } = this.#ports;
    optionsOf('fork', options);
    const { at, definition, budget } = options;
    if (definition !== undefined) definitions.mustBeOnly(definition);
    const id = this.#idOf(options.id);
    const body = definition && definitions.bodyOf(definition);
    const asked = {
      id,
      at,
      owner: backend.owner,
      by: checkedPrincipal(options.by ?? handles.principal),
      budget: budget === undefined || budget === null ? budget : checkedBudget(budget),
      definition: definition && body && whatOf(definition, body),
      replace: checkedReplacements(options.replace),
    };
    let handle: HandleOf<D> | undefined;
    const begun = (): void => void (handle = this.#handle<D>(id, 'running'));
    await allotments.payingFork(from, id, asked, (drawn) =>
      runs.creating.fork(from, { ...asked, budget: drawn }, body, begun),
    );
    if (definition !== undefined) definitions.add(definition);
    return handle ?? this.attach(id, definition);
  }

  /** A start that found the run there. @throws ValidationError, DefinitionChangedError */
  async #attachTo<D extends AnyDefinition>(
    id: RunId,
    definition: D,
    { tenant, spec }: Pick<EntryEvents['run.created'], 'tenant' | 'spec'>,
    opened: boolean,
  ): Promise<HandleOf<D>> {
    const { backend, runs } = this.#ports;
    const there = await createdOf(id, backend.journal);
    // Whose it is, and what, is nothing to this one.
    if (there !== undefined && there.tenant !== tenant)
      throw new ValidationError(`Run ${id} exists and is not of tenant ${tenant}; choose another id.`, {
        run: id,
        tenant,
      });
    const handle = await this.attach(id, definition);
    if (Buffer.compare(encode(there?.spec), encode(spec)) !== 0)
      throw new DefinitionChangedError(
        `Run ${id} exists and is of another plan named ${definition.name}; choose another id.`,
        {
          run: id,
          definition: definition.name,
        },
      );
    // It had ended, or whoever created it did not live to register it, or to go on with it.
    if (opened || !(await runs.register.isOwned(id)))
      await (handle.can('kill') ? runs.adopting.adopt(id) : runs.forgetting.forget(id));
    return handle;
  }

  #killOn(signal: AbortSignal | undefined, id: RunId, by: string): void {
    if (signal === undefined) return;
    const { handles } = this.#ports;
    const kill = (): void =>
      void handles
        .kill(id, 'its signal was aborted', { by })
        .catch((error: unknown) => handles.report(error, `run ${id}: kill on abort`));
    this.#aborts.killOn(signal, id, kill);
  }

  #idOf(given: string | undefined): RunId {
    return given === undefined ? this.#ports.newId() : runId(given);
  }

  /** Typed by what it is of, as far as whoever asks knows. */
  #handle<D extends AnyDefinition>(id: RunId, status: RunStatus): HandleOf<D> {
    return new RunHandle(id, status, this.#ports.handles) as HandleOf<D>;
  }
}
