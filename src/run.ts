import type { AnyActorRef } from 'xstate';
import type { Level } from './backend.ts';
import type { Clock } from './clock.ts';
import { isEnd, type Entry, type EntryOf, type EntryType } from './protocol/entry.ts';
import {
  BudgetExceededError,
  ClosedError,
  InvalidStateTransitionError,
  KillSwitchTriggeredError,
  RunFailedError,
  StaleOwnerError,
  ValidationError,
  type TroupeError,
} from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';
import type { RunId } from './protocol/ids.ts';
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

/** A run that lives in this process, as far as a handle needs it. */
interface LiveRun {
  readonly status: string;
  readonly summary: Summary;
  readonly bodyActor: AnyActorRef | undefined;
  send(target: string, event: { type: string }, cause: string | null): Promise<{ seq: number; level: Level }>;
  resolve(call: string, decision: Decision): Promise<{ seq: number; level: Level }>;
  inDoubt(): CallInDoubt[];
  observe(observer: (entry: Entry) => void): () => void;
  whenWaiting(): Promise<void>;
  readonly ended: Promise<EntryOf<'run.completed' | 'run.failed' | 'run.killed'>>;
}

export interface HandlePorts {
  /** What follows the entry that was read last, each with its hash. */
  entries(run: RunId, after?: Read): AsyncIterable<{ entry: Entry; hash: Uint8Array }>;
  live(run: RunId): LiveRun | undefined;
  /** Brings the run here, if nobody alive owns it. */
  adopt(run: RunId): Promise<LiveRun>;
  kill(run: RunId, reason: string): Promise<Receipt>;
  report(error: unknown, where: string): void;
  clock: Clock;
  closed(): boolean;
}

/** How far a journal has been read, and checked. */
export interface Read {
  seq: number;
  hash: Uint8Array;
}

const POLL_MS = 100;

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

  /** The body's snapshot, where the run lives in this process. */
  getSnapshot(): Snapshot | undefined {
    return this.#live?.bodyActor?.getSnapshot() as Snapshot | undefined;
  }

  /** The body's snapshots, where the run lives in this process. An observer that throws disturbs nobody. */
  subscribe(observer: (snapshot: Snapshot) => void): () => void {
    const actor = this.#live?.bodyActor;
    const next = (snapshot: unknown): void => this.#guarded(() => observer(snapshot as Snapshot), 'an observer');
    const subscription = actor?.subscribe({ next, error: () => {} });
    return () => subscription?.unsubscribe();
  }

  /** What the body emits (`emit`), where the run lives in this process. */
  onEmitted(type: string, handler: (event: { type: string }) => void): () => void {
    const actor = this.#live?.bodyActor;
    const subscription = actor?.on(type as never, (event: { type: string }) =>
      this.#guarded(() => handler(event), `a handler of '${type}'`),
    );
    return () => subscription?.unsubscribe();
  }

  /** Entries of a type (or `'*'`) as they are delivered, where the run lives in this process. */
  on<T extends EntryType>(type: T | '*', handler: (entry: EntryOf<T>) => void): () => void {
    const live = this.#ports.live(this.id);
    return (
      live?.observe((entry) => {
        if (type === '*' || entry.type === type) handler(entry as EntryOf<T>);
      }) ?? (() => {})
    );
  }

  /** Resolves once the event is recorded. @throws ValidationError, InvalidStateTransitionError, StaleOwnerError, StorageFullError */
  async send(event: Event, options: { cause?: string } = {}): Promise<{ seq: number; level: Level }> {
    if (typeof event === 'object' && event !== null && /^(troupe|xstate)\./.test(String(event.type)))
      throw new ValidationError(
        `The event '${event.type}' is not yours to send: names that begin with troupe. or xstate. are the runtime's.`,
        { type: event.type },
      );
    this.#must('send');
    const live = await this.#ports.adopt(this.id);
    return live.send('body', event, options.cause ?? null);
  }

  /** Calls of which nobody knows whether they happened. */
  async inDoubt(): Promise<CallInDoubt[]> {
    return this.#ended ? [] : (await this.#ports.adopt(this.id)).inDoubt();
  }

  /** Decides a call in doubt; takes the run over first where nobody owns it. */
  async resolve(call: string, decision: Decision): Promise<{ seq: number; level: Level }> {
    this.#must('resolve');
    checkDecision(decision);
    return (await this.#ports.adopt(this.id)).resolve(call, decision);
  }

  async kill(reason = 'killed'): Promise<Receipt> {
    const receipt = await this.#ports.kill(this.id, reason);
    this.#status = receipt.status;
    return receipt;
  }

  /** From the first entry to the last, then on until the run has ended. */
  async *entries(): AsyncGenerator<Entry> {
    for (let read: Read | undefined; ;) {
      const changed = this.#changed();
      try {
        for await (const { entry, hash } of this.#ports.entries(this.id, read)) {
          read = { seq: entry.seq, hash };
          yield entry;
          if (isEnd(entry.type)) return;
        }
        if (this.#ports.closed()) return;
        await changed.promise;
      } finally {
        changed.cancel();
      }
    }
  }

  /** Resolves when the run has ended, or lives here and only waits: for a person, a message. */
  async settled(): Promise<'ended' | 'waiting'> {
    const ended = this.result().then(() => 'ended' as const);
    ended.catch(() => {});
    const waiting = this.#ports
      .live(this.id)
      ?.whenWaiting()
      .then(() => 'waiting' as const);
    return waiting === undefined ? ended : Promise.race([ended, waiting]);
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
    if (live !== undefined && lost === undefined) return this.#resultOf(live.summary);
    // Whoever took it goes on with it; anything else has stopped it for good.
    if (lost !== undefined && !(lost instanceof StaleOwnerError)) throw lost;
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

  /** Settles when the journal may have more: told by a run that lives here, otherwise by looking again. */
  #changed(): { promise: Promise<void>; cancel: () => void } {
    const { clock } = this.#ports;
    const live = this.#ports.live(this.id);
    let settle!: () => void;
    const promise = new Promise<void>((resolve) => {
      settle = resolve;
    });
    if (live === undefined) {
      const timer = clock.setTimeout(settle, POLL_MS);
      return { promise, cancel: () => clock.clearTimeout(timer) };
    }
    const cancel = live.observe(settle);
    live.ended.then(settle, settle);
    return { promise, cancel };
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

/** @throws ValidationError */
function checkDecision(decision: unknown): void {
  const given = typeof decision === 'object' && decision !== null ? Object.keys(decision) : [];
  const [what] = given;
  if (given.length === 1 && (what === 'output' || what === 'error' || (decision as { retry?: unknown }).retry === true))
    return;
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
