import type { AnyActorRef } from 'xstate';
import type { Level } from './backend.ts';
import type { Read } from './chain.ts';
import { Changes } from './changes.ts';
import { asFailure, toData, toEvent } from './codec.ts';
import { isEnd, type Entry, type EntryOf, type EntryType } from './protocol/entry.ts';
import {
  BudgetExceededError,
  ClosedError,
  KillSwitchTriggeredError,
  NotFoundError,
  RunFailedError,
  StaleOwnerError,
  TroupeError,
  ValidationError,
} from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';
import { checkedBudget, type BudgetOptions } from './define/budget.ts';
import { checkId, checkedPrincipal, runId, checkedText, type RunId } from './protocol/ids.ts';
import { allowedIn, illegal, type Command } from './protocol/lifecycle.ts';
import type { Approval } from './protocol/spec.ts';
import type { Duration } from './protocol/duration.ts';
import type { Message } from './protocol/inbox.ts';
import type { KilledRun, Receipt } from './protocol/receipt.ts';
import type { RunStatus } from './protocol/lifecycle.ts';
import { NO_SUMMARY, summarised, type Summary } from './summary.ts';

/** A decision about a call whose outcome nobody knows. */
export type Decision = { output: unknown } | { error: unknown } | { retry: true };

export interface CallInDoubt {
  run: RunId;
  call: string;
  /** What it was called with. */
  input: unknown;
}

/** What a kill of one run came to: of the run itself, and of all that it had begun (`runs`). */
export type RunReceipt = Receipt & KilledRun;

/** `data` is the output; the fields of an object output can be read directly, too. */
export type Result<Output> =
  | ({ success: true; data: Output; error?: never; metadata: Summary } & (Output extends readonly unknown[] | Uint8Array
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
  observe(observer: (entry: Entry) => void): () => void;
  hold(): () => void;
  look(subscribe: (body: AnyActorRef) => { unsubscribe(): void }): () => void;
  whenWaiting(): Promise<void>;
  readonly ended: Promise<EntryOf<'run.completed' | 'run.failed' | 'run.killed'>>;
}

/** What waits for somebody to decide, and for when, as the run's journal stands at entry `seen`. */
export interface Pending {
  inDoubt: CallInDoubt[];
  approvals: readonly Approval[];
  /** When its next timer is due, in ms since the epoch; null: it has none. */
  due: number | null;
  seen: number;
}

export interface Asking {
  /** Who asks; `principal` of the troupe by default. */
  by?: string;
}

export interface KillOptions extends Asking {
  /** How long calls may take to end once they are told to; `'5s'` by default. Then those in processes of their own are ended. */
  grace?: Duration;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export interface HandlePorts {
  /** What follows the entry that was read last, each with its hash. */
  entries(run: RunId, after?: Read): AsyncIterable<{ entry: Entry; hash: Uint8Array }>;
  live(run: RunId): LiveRun | undefined;
  /** Brings a run that rests in this process back to memory; undefined where it does not. */
  wake(run: RunId): Promise<LiveRun> | undefined;
  /** It rests in this process, and nothing but a message or a decision can move it. */
  waits(run: RunId): boolean;
  /** Who asks, where nobody is named. */
  readonly principal: string;
  /** To the run here, brought here if nobody alive owns it; otherwise into its inbox. */
  say(run: RunId, message: Message): Promise<Ack>;
  pending(run: RunId): Promise<Pending>;
  /** Tells when its journal may have grown. */
  watch(run: RunId, changed: () => void): () => void;
  kill(run: RunId, reason: string, options: KillOptions): Promise<RunReceipt>;
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
    const live = this.#ports.live(this.id);
    // It rests since: what this process knows of it is what it was told last.
    if (live === undefined && this.#seen?.parked === true && !ENDED.includes(this.#seen.status)) {
      this.#status = this.#seen.status as RunStatus;
      this.#seen = undefined;
    }
    this.#seen = live ?? this.#seen;
    return this.#seen;
  }

  /** Where the lifecycle stands, as this process knows it. */
  get status(): string {
    return ENDED.includes(this.#status) ? this.#status : (this.#live?.status ?? this.#status);
  }

  can(command: Command): boolean {
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
  async send(event: Event, options: Asking & { cause?: string } = {}): Promise<Ack> {
    const data = toEvent(event);
    if (/^(troupe|xstate)\./.test(data.type))
      throw new ValidationError(
        `The event '${data.type}' is not yours to send: names that begin with troupe. or xstate. are the runtime's.`,
        { type: data.type },
      );
    const { cause = null, by } = options;
    return this.#say({ type: 'send', event: data, cause: cause && checkedText(cause, 'cause') }, by);
  }

  /** No new attempt of a call begins; messages, timers and results go on. @throws InvalidStateTransitionError */
  async pause(reason = 'paused', { by }: Asking = {}): Promise<Ack> {
    const ack = await this.#say({ type: 'pause', reason: checkedText(reason, 'reason') }, by);
    this.#status = 'paused';
    return ack;
  }

  /**
   * `budget`: each limit that it names, and `onExhausted` and `reserve`, in place of what it had; the others stay. Of a child run no limit can be
   * larger than what it was begun with, as its parent holds back no more for it.
   * @throws InvalidStateTransitionError, ValidationError, BudgetExceededError when its tenant's budget has too little left
   */
  async resume({ budget, by }: Asking & { budget?: BudgetOptions } = {}): Promise<Ack> {
    const ack = await this.#say({ type: 'resume', budget: checkedBudget(budget) }, by);
    this.#status = 'running';
    return ack;
  }

  /** Names what is recorded by now. */
  async checkpoint(label: string, { by }: Asking = {}): Promise<Ack> {
    return this.#say({ type: 'checkpoint', label: checkId(label, 'label of a checkpoint') }, by);
  }

  /** Calls that wait until somebody approves them, those of the runs that it has begun too. */
  async approvals(): Promise<readonly Approval[]> {
    return this.#ended ? [] : (await this.#ports.pending(this.id)).approvals;
  }

  /**
   * Lets a call begin that waits for that. `hash`: of the call as it was shown (`approvals()`); the one that waits now by default.
   * @throws NotFoundError when it does not wait, ValidationError when it is another call now, NotAllowedError when `by` may not
   */
  async approve(call: string, { by, hash }: Asking & { hash?: string } = {}): Promise<Ack> {
    return this.#decide({ type: 'approve', call }, by, hash);
  }

  /** The call fails with ApprovalDeniedError. @throws as `approve` */
  async deny(
    call: string,
    { by, hash, reason = 'no reason given' }: Asking & { hash?: string; reason?: string } = {},
  ): Promise<Ack> {
    return this.#decide({ type: 'deny', call, reason: checkedText(reason, 'reason') }, by, hash);
  }

  async #decide(
    about: { type: 'approve'; call: string } | { type: 'deny'; call: string; reason: string },
    by: string | undefined,
    hash: string | undefined,
  ): Promise<Ack> {
    await this.#must(about.type);
    const approval = await this.#waiting(about.call, hash);
    const message = { ...about, hash: approval.hash, by: checkedPrincipal(by ?? this.#ports.principal) };
    return this.#ports.say(approval.run, message);
  }

  /** Its own, or that of a run that it has begun. With the hash of something else, whose the call is says that it is void. */
  async #waiting(call: string, hash: string | undefined): Promise<{ run: RunId; hash: string }> {
    const { approvals } = await this.#ports.pending(this.id);
    const found = approvals.filter((approval) => approval.call === call);
    const [first] = found;
    const chosen = found.find((approval) => approval.hash === hash) ?? first;
    if (chosen === undefined) {
      const waiting = approvals.map((approval) => approval.call);
      throw new NotFoundError(
        `Run ${this.id} has no call '${call}' that waits for approval; waiting: ${waiting.join(', ') || 'none'}.`,
        { run: this.id, call, waiting },
      );
    }
    if (hash === undefined && chosen.run !== this.id && found.length > 1)
      throw new ValidationError(
        `${found.length} runs that ${this.id} has begun have a call '${call}' that waits for approval; say which by its hash.`,
        { run: this.id, call, hashes: found.map((approval) => approval.hash) },
      );
    return { run: runId(chosen.run), hash: hash ?? chosen.hash };
  }

  /** To wherever it lives. Resolves once it is recorded: in its journal where it lives in this process, otherwise in its inbox. */
  async #say(message: DistributiveOmit<Message, 'by'>, by = this.#ports.principal): Promise<Ack> {
    if (message.type !== 'childEnded') await this.#must(message.type);
    return this.#ports.say(this.id, { ...message, by: checkedPrincipal(by) });
  }

  /** Both of these, and its next timer, in one look. */
  async pending(): Promise<Pending> {
    return this.#ended ? { inDoubt: [], approvals: [], due: null, seen: 0 } : this.#ports.pending(this.id);
  }

  /** Calls of which nobody knows whether they happened, those of the runs that it has begun too. */
  async inDoubt(): Promise<CallInDoubt[]> {
    return this.#ended ? [] : (await this.#ports.pending(this.id)).inDoubt;
  }

  /**
   * Decides a call in doubt. Resolves once it is recorded, as `send` does; a run that lives in another process takes it if nobody was faster.
   * @throws NotFoundError when that call is not in doubt, ValidationError, InvalidStateTransitionError
   */
  async resolve(call: string, decision: Decision, { by }: Asking = {}): Promise<Ack> {
    await this.#must('resolve');
    const decided = checkedDecision(decision);
    const { run, seen } = await this.#doubt(call);
    const message = { type: 'resolve', call, decision: decided, seen } as const;
    return this.#ports.say(run, { ...message, by: checkedPrincipal(by ?? this.#ports.principal) });
  }

  /** Whose call it is, and the entry at which it is in doubt. */
  async #doubt(call: string): Promise<{ run: RunId; seen: number }> {
    const { inDoubt, seen } = await this.#ports.pending(this.id);
    const found = inDoubt.filter((known) => known.call === call);
    const own = found.find(({ run }) => run === this.id);
    if (own !== undefined) return { run: this.id, seen };
    const [below, another] = found;
    if (below !== undefined && another === undefined)
      return { run: below.run, seen: (await this.#ports.pending(below.run)).seen };
    const calls = inDoubt.map((known) => (known.run === this.id ? known.call : `${known.call} of run ${known.run}`));
    throw new NotFoundError(
      `Run ${this.id} has no call '${call}' in doubt that could be meant; in doubt: ${calls.join(', ') || 'none'}.`,
      { run: this.id, call, inDoubt: calls },
    );
  }

  async kill(reason = 'killed', options: KillOptions = {}): Promise<RunReceipt> {
    const receipt = await this.#ports.kill(this.id, reason, options);
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

  /** @throws InvalidStateTransitionError */
  async #must(command: Command): Promise<void> {
    // Of a run that lives elsewhere this process knows how it was when it looked last: its owner knows better.
    if (this.#ports.live(this.id) === undefined ? !this.#ended : this.can(command)) return;
    throw illegal(this.id, this.status, command);
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

/** Why this process has let go of it, if it has. */
const lostBeforeEnd = (live: LiveRun): Promise<unknown> =>
  live.ended.then(
    () => undefined,
    (error: unknown) => error,
  );

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

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
