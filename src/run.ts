import type { AnyActorRef } from 'xstate';
import type { Level } from './backend.ts';
import type { Read } from './chain.ts';
import { Changes } from './changes.ts';
import { asFailure, toData, toEvent } from './codec.ts';
import { isEnd, type Entry, type EntryOf, type EntryType } from './protocol/entry.ts';
import {
  BudgetExceededError,
  ClosedError,
  InvalidStateTransitionError,
  KillSwitchTriggeredError,
  NotFoundError,
  RunFailedError,
  StaleOwnerError,
  TroupeError,
  ValidationError,
} from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';
import type { RunId } from './protocol/ids.ts';
import type { Message } from './protocol/inbox.ts';
import { NO_SUMMARY, summarised, type RunStatus, type Summary } from './summary.ts';

/** A decision about a call whose outcome nobody knows. */
export type Decision = { output: unknown } | { error: unknown } | { retry: true };

export interface CallInDoubt {
  call: string;
  /** What it was called with. */
  input: unknown;
}

export interface Receipt {
  run: string;
  reason: string;
  /** `killed`, or how the run had ended before. */
  status: RunStatus;
  seq: number;
  /** Every actor that was stopped here, and the state it was in. */
  stopped: readonly { actor: string; state: unknown }[];
  /** Irreversible calls that were under way: their outcome is not known. */
  inDoubt: readonly string[];
  /** Until everything here had stopped. */
  ms: number;
}

/** `data` is the output; the fields of an object output can be read directly, too. */
export type Result<Output> =
  | ({ success: true; data: Output; error?: never; metadata: Summary } & (Output extends readonly unknown[]
      ? unknown
      : Output extends object
        ? Readonly<Output>
        : unknown))
  | { success: false; error: Failure; data?: never; metadata: Summary };

interface Ack {
  seq: number;
  level: Level;
}

/** A run that lives in this process, as far as a handle needs it. */
interface LiveRun {
  readonly status: string;
  /** Undefined when it was not folded from its first entry. */
  readonly summary: Summary | undefined;
  readonly bodyActor: AnyActorRef | undefined;
  /** It has left memory; what it was is of yesterday. */
  readonly parked: boolean;
  send(event: { type: string }, cause: string | null): Promise<Ack>;
  resolve(call: string, decision: Decision): Promise<Ack>;
  observe(observer: (entry: Entry) => void): () => void;
  hold(): () => void;
  look(subscribe: (body: AnyActorRef) => { unsubscribe(): void }): () => void;
  whenWaiting(): Promise<void>;
  readonly ended: Promise<EntryOf<'run.completed' | 'run.failed' | 'run.killed'>>;
}

export interface HandlePorts {
  /** What follows the entry that was read last, each with its hash. */
  entries(run: RunId, after?: Read): AsyncIterable<{ entry: Entry; hash: Uint8Array }>;
  live(run: RunId): LiveRun | undefined;
  /** Brings a run that rests in this process back to memory; undefined where it does not. */
  wake(run: RunId): Promise<LiveRun> | undefined;
  /** It rests in this process, and nothing but a message or a decision can move it. */
  waits(run: RunId): boolean;
  /** To the run here (`here`), brought here if nobody alive owns it; otherwise into its inbox. */
  say(run: RunId, message: Message, here: (live: LiveRun) => Promise<Ack>): Promise<Ack>;
  /** `seen`: as its journal stands at that entry. */
  inDoubt(run: RunId): Promise<{ calls: CallInDoubt[]; seen: number }>;
  /** Tells when its journal may have grown. */
  watch(run: RunId, changed: () => void): () => void;
  kill(run: RunId, reason: string): Promise<Receipt>;
  report(error: unknown, where: string): void;
  closed(): boolean;
}

/** A run, wherever it lives. */
export class RunHandle<Snapshot = unknown, Event extends { type: string } = { type: string }, Output = unknown> {
  readonly id: RunId;
  readonly #ports: HandlePorts;
  #status: RunStatus;
  /** As it lived here last, also after its end. */
  #seen: LiveRun | undefined;

  constructor(id: RunId, status: RunStatus, ports: HandlePorts) {
    this.id = id;
    this.#status = status;
    this.#ports = ports;
    this.#seen = ports.live(id);
  }

  get #live(): LiveRun | undefined {
    this.#seen = this.#ports.live(this.id) ?? this.#seen;
    return this.#seen;
  }

  /** Where the lifecycle stands, as this process knows it. */
  get status(): string {
    return ENDED.includes(this.#status) ? this.#status : (this.#live?.status ?? this.#status);
  }

  can(command: 'send' | 'kill' | 'resolve'): boolean {
    return allowedIn(this.status).includes(command);
  }

  /** The body's snapshot, where the run is in the memory of this process, or was to its end. */
  getSnapshot(): Snapshot | undefined {
    const live = this.#live;
    return live?.parked === false ? (live.bodyActor?.getSnapshot() as Snapshot | undefined) : undefined;
  }

  /** The body's snapshots, where the run lives in this process. An observer that throws disturbs nobody. */
  subscribe(observer: (snapshot: Snapshot) => void): () => void {
    const next = (snapshot: unknown): void => this.#guarded(() => observer(snapshot as Snapshot), 'an observer');
    return this.#looking((actor) => actor.subscribe({ next, error: () => {} }));
  }

  /** What the body emits (`emit`), where the run lives in this process. */
  onEmitted(type: string, handler: (event: { type: string }) => void): () => void {
    const heard = (event: { type: string }): void => this.#guarded(() => handler(event), `a handler of '${type}'`);
    return this.#looking((actor) => actor.on(type as never, heard));
  }

  #looking(subscribe: (actor: AnyActorRef) => { unsubscribe(): void }): () => void {
    return this.#whileAwake((live) => live.look(subscribe));
  }

  /** Somebody wants to know what happens: a run that rests here is woken, and stays in memory. */
  #whileAwake(begin: (live: LiveRun) => () => void): () => void {
    const live = this.#ports.live(this.id);
    if (live !== undefined) return begin(live);
    let end: (() => void) | undefined;
    let over = false;
    this.#ports.wake(this.id)?.then(
      (woken) => {
        if (!over) end = begin(woken);
      },
      (error: unknown) => this.#ports.report(error, `run ${this.id}: waking it for an observer`),
    );
    return () => {
      over = true;
      end?.();
    };
  }

  /** Entries of a type (or `'*'`) as they are delivered, where the run lives in this process. */
  on<T extends EntryType>(type: T | '*', handler: (entry: EntryOf<T>) => void): () => void {
    return this.#whileAwake((live) => {
      const release = live.hold();
      const end = live.observe((entry) => {
        if (type === '*' || entry.type === type) handler(entry as EntryOf<T>);
      });
      return () => {
        end();
        release();
      };
    });
  }

  /**
   * Resolves once the event is recorded: in the run's journal where it lives in this process, otherwise in its inbox; `seq` is its place there.
   * @throws ValidationError, InvalidStateTransitionError, StorageFullError
   */
  async send(event: Event, options: { cause?: string } = {}): Promise<Ack> {
    const data = toEvent(event);
    if (/^(troupe|xstate)\./.test(data.type))
      throw new ValidationError(
        `The event '${data.type}' is not yours to send: names that begin with troupe. or xstate. are the runtime's.`,
        { type: data.type },
      );
    this.#must('send');
    const { cause = null } = options;
    return this.#ports.say(this.id, { type: 'send', event: data, cause }, (live) => live.send(data, cause));
  }

  /** Calls of which nobody knows whether they happened. */
  async inDoubt(): Promise<CallInDoubt[]> {
    return this.#ended ? [] : (await this.#ports.inDoubt(this.id)).calls;
  }

  /**
   * Decides a call in doubt. Resolves once it is recorded, as `send` does; a run that lives in another process takes it if nobody was faster.
   * @throws NotFoundError when that call is not in doubt, ValidationError, InvalidStateTransitionError
   */
  async resolve(call: string, decision: Decision): Promise<Ack> {
    this.#must('resolve');
    const decided = checkedDecision(decision);
    // A run that lives here sees for itself.
    const seen = this.#ports.live(this.id) === undefined ? await this.#mustDoubt(call) : 0;
    const message = { type: 'resolve', call, decision: decided, seen } as const;
    return this.#ports.say(this.id, message, (live) => live.resolve(call, decided));
  }

  /** The entry at which it is in doubt. */
  async #mustDoubt(call: string): Promise<number> {
    const { calls, seen } = await this.#ports.inDoubt(this.id);
    const inDoubt = calls.map((known) => known.call);
    if (inDoubt.includes(call)) return seen;
    throw new NotFoundError(
      `Run ${this.id} has no call '${call}' in doubt; in doubt: ${inDoubt.join(', ') || 'none'}.`,
      { run: this.id, call, inDoubt },
    );
  }

  async kill(reason = 'killed'): Promise<Receipt> {
    const receipt = await this.#ports.kill(this.id, reason);
    this.#status = receipt.status;
    return receipt;
  }

  /** From the first entry to the last, then on until the run has ended. */
  async *entries(): AsyncGenerator<Entry> {
    const changes = new Changes(
      () => this.#ports.live(this.id),
      (changed) => this.#ports.watch(this.id, changed),
    );
    try {
      for (let read: Read | undefined; ;) {
        const changed = changes.next();
        for await (const { entry, hash } of this.#ports.entries(this.id, read)) {
          read = { seq: entry.seq, hash };
          yield entry;
          if (isEnd(entry.type)) return;
        }
        if (this.#ports.closed()) return;
        await changed;
      }
    } finally {
      changes.end();
    }
  }

  /** Resolves when the run has ended, or lives here and only waits: for a person, a message. */
  async settled(): Promise<'ended' | 'waiting'> {
    const ended = this.result().then(() => 'ended' as const);
    ended.catch(() => {});
    if (this.#ports.waits(this.id)) return 'waiting';
    const live = this.#ports.live(this.id) ?? (await this.#ports.wake(this.id));
    if (live === undefined) return ended;
    // Parked, it could not tell.
    const release = live.hold();
    try {
      return await Promise.race([ended, live.whenWaiting().then(() => 'waiting' as const)]);
    } finally {
      release();
    }
  }

  async summary(): Promise<Summary> {
    let summary = NO_SUMMARY;
    for await (const { entry } of this.#ports.entries(this.id)) summary = summarised(summary, entry);
    this.#status = summary.status;
    return summary;
  }

  /** How the run ended; waits for it. Never rejects for a run that failed or was killed. @throws ClosedError */
  async result(): Promise<Result<Output>> {
    const live = this.#live;
    const lost = live === undefined ? undefined : await lostBeforeEnd(live);
    if (live?.summary !== undefined && lost === undefined) return this.#resultOf(live.summary);
    // It goes on elsewhere, or rests here; anything else has stopped it for good.
    if (lost instanceof TroupeError && !(lost instanceof StaleOwnerError)) throw lost;
    let summary = NO_SUMMARY;
    for await (const entry of this.entries()) summary = summarised(summary, entry);
    if (ENDED.includes(summary.status)) return this.#resultOf(summary);
    throw new ClosedError(`Run ${this.id} has not ended; this troupe was closed. It goes on where it is recovered.`, {
      run: this.id,
    });
  }

  #resultOf(metadata: Summary): Result<Output> {
    this.#status = metadata.status;
    return metadata.status === 'completed' ? (completed(metadata) as Result<Output>) : failed(metadata);
  }

  get #ended(): boolean {
    return ENDED.includes(this.status);
  }

  #must(command: 'send' | 'resolve'): void {
    const { status } = this;
    const allowed = allowedIn(status);
    if (allowed.includes(command)) return;
    throw new InvalidStateTransitionError(
      `Run ${this.id} is ${status}: it takes ${allowed.join(', ') || 'nothing more'}, not ${command}.`,
      {
        run: this.id,
        state: status,
        event: command,
        allowed,
      },
    );
  }

  #guarded(run: () => void, what: string): void {
    try {
      run();
    } catch (error) {
      this.#ports.report(error, `run ${this.id}: ${what}`);
    }
  }
}

/** As it is kept. @throws ValidationError */
function checkedDecision(decision: unknown): Extract<Message, { type: 'resolve' }>['decision'] {
  const given = typeof decision === 'object' && decision !== null ? Object.keys(decision) : [];
  const { output, error, retry } = (decision ?? {}) as { output?: unknown; error?: unknown; retry?: unknown };
  if (given.length === 1) {
    if (given[0] === 'output') return { output: toData(output, 'output') };
    if (given[0] === 'error') return { error: asFailure(error) };
    if (retry === true) return { retry };
  }
  throw new ValidationError('A decision is one of { output }, { error } and { retry: true }.', { given });
}

const ENDED: readonly string[] = ['completed', 'failed', 'killed'];
const allowedIn = (status: string): readonly string[] => (ENDED.includes(status) ? [] : ['send', 'resolve', 'kill']);

/** Why this process has let go of it, if it has. */
const lostBeforeEnd = (live: LiveRun): Promise<unknown> =>
  live.ended.then(
    () => undefined,
    (error: unknown) => error,
  );

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function completed(metadata: Summary): Result<unknown> {
  const { output } = metadata;
  return { ...(isPlain(output) ? output : {}), success: true, data: output, metadata } as Result<unknown>;
}

const failed = (metadata: Summary): Result<never> => ({
  success: false,
  error: metadata.error ?? { name: 'KillSwitchTriggeredError', code: 'KILLED', message: metadata.reason ?? 'killed' },
  metadata,
});

/** What `execute` throws for a run that did not complete. */
export function errorOf({ error, metadata }: Extract<Result<unknown>, { success: false }>): TroupeError {
  const { run, status } = metadata;
  if (status === 'killed')
    return new KillSwitchTriggeredError(`Run ${run} was killed: ${metadata.reason ?? 'no reason given'}.`, {
      run,
      reason: metadata.reason ?? '',
    });
  if (error.code === 'BUDGET_EXCEEDED')
    return new BudgetExceededError(
      `Run ${run}: ${error.message}`,
      error.data as { resource: string; spent: number; limit: number },
    );
  return new RunFailedError(`Run ${run} failed: ${error.message}`, { run, error }, error);
}
