import { optionsOf } from './asking.ts';
import { Changes } from './changes.ts';
import type { Read } from './chain.ts';
import { callInDoubt, callWaiting, checkedDecision, checkedHash, mustDecide } from './deciding.ts';
import { checkedBudget, type BudgetOptions } from './define/budget.ts';
import type {
  Ack,
  Asking,
  CallInDoubt,
  Decision,
  HandlePorts,
  KillOptions,
  LiveRun,
  Pending,
  RunReceipt,
} from './handle.ts';
import { Observing } from './observing.ts';
import { isEnd, type Entry, type EntryOf, type EntryType } from './protocol/entry.ts';
import { ClosedError, StaleOwnerError, TroupeError } from './protocol/errors.ts';
import { checkedPrincipal, checkedText, checkId, runId, type RunId } from './protocol/ids.ts';
import type { Message } from './protocol/inbox.ts';
import { allowedIn, illegal, type Command, type RunStatus } from './protocol/lifecycle.ts';
import type { Approval } from './protocol/spec.ts';
import { resultOf, type Result } from './result.ts';
import { sendable } from './sending.ts';
import { NO_SUMMARY, summarised, type Summary } from './summary.ts';

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** A run, wherever it lives. */
export class RunHandle<Snapshot = unknown, Event extends { type: string } = { type: string }, Output = unknown> {
  readonly id: RunId;
  readonly #ports: HandlePorts;
  readonly #observing: Observing;
  #status: RunStatus;
  /** As it lived here last, also after its end. */
  #seen: LiveRun | undefined;

  constructor(id: RunId, status: RunStatus, ports: HandlePorts) {
    this.id = id;
    this.#status = status;
    this.#ports = ports;
    this.#observing = new Observing(id, ports);
    this.#seen = ports.live(id);
  }

  get #live(): LiveRun | undefined {
    const live = this.#ports.live(this.id);
    // It rests since: what this process knows of it is what it was told last.
    if (live === undefined && this.#seen?.ending.parked === true && !ENDED.includes(this.#seen.status)) {
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
    return live?.ending.parked === false ? (live.bodyActor?.getSnapshot() as Snapshot | undefined) : undefined;
  }

  /** The body's snapshots, where the run lives in this process. An observer that throws disturbs nobody. */
  subscribe(observer: (snapshot: Snapshot) => void): () => void {
    return this.#observing.snapshots((snapshot) => observer(snapshot as Snapshot));
  }

  /** What the body emits (`emit`), where the run lives in this process. */
  onEmitted(type: string, handler: (event: { type: string }) => void): () => void {
    return this.#observing.emitted(type, handler);
  }

  /** Entries of a type (or `'*'`) as they are delivered, where the run lives in this process. */
  on<T extends EntryType>(type: T | '*', handler: (entry: EntryOf<T>) => void): () => void {
    return this.#observing.entries((entry) => {
      if (type === '*' || entry.type === type) handler(entry as EntryOf<T>);
    });
  }

  /**
   * Resolves once the event is recorded: in the run's journal where it lives in this process, otherwise in its inbox; `seq` is its place there.
   * @throws ValidationError, InvalidStateTransitionError, StorageFullError
   */
  async send(event: Event, options: Asking & { cause?: string } = {}): Promise<Ack> {
    const { cause = null, by } = optionsOf('send', options);
    const data = sendable(event);
    return this.#say({ type: 'send', event: data, cause: cause === null ? null : checkedText(cause, 'cause') }, by);
  }

  /** No new attempt of a call begins; messages, timers and results go on. @throws InvalidStateTransitionError */
  async pause(reason = 'paused', options: Asking = {}): Promise<Ack> {
    const { by } = optionsOf('pause', options);
    const ack = await this.#say({ type: 'pause', reason: checkedText(reason, 'reason') }, by);
    this.#status = 'paused';
    return ack;
  }

  /**
   * `budget`: each limit that it names, and `onExhausted` and `reserve`, in place of what it had; the others stay. Of a child run no limit can be
   * larger than what it was begun with, as its parent holds back no more for it; and no new or smaller limit is taken to which a run that it has
   * begun, and that is under way, would not keep.
   * @throws InvalidStateTransitionError, ValidationError, BudgetExceededError when its tenant's budget has too little left
   */
  async resume(options: Asking & { budget?: BudgetOptions } = {}): Promise<Ack> {
    const { budget, by } = optionsOf('resume', options);
    const ack = await this.#say({ type: 'resume', budget: checkedBudget(budget) }, by);
    this.#status = 'running';
    return ack;
  }

  /** Names what is recorded by now. */
  async checkpoint(label: string, options: Asking = {}): Promise<Ack> {
    const { by } = optionsOf('checkpoint', options);
    return this.#say({ type: 'checkpoint', label: checkId(label, 'label of a checkpoint') }, by);
  }

  /** Calls that wait until somebody approves them, those of the runs that it has begun too. */
  async approvals(): Promise<readonly Approval[]> {
    return this.#ended ? [] : (await this.#ports.pending(this.id)).approvals;
  }

  /**
   * Lets a call begin that waits for that. `hash`: of the call as it was shown (`approvals()`); the one that waits now by default.
   * Resolves once it is recorded: in its journal where it lives in this process, otherwise in its inbox. Of decisions that are on their way there at
   * once its owner takes the first, and the others are on record as refused.
   * @throws as far as its journal tells by then: NotFoundError when it does not wait, ValidationError when it is another call now, NotAllowedError when
   * `by` may not. What is refused is on record too.
   */
  async approve(call: string, options: Asking & { hash?: string } = {}): Promise<Ack> {
    const { by, hash } = optionsOf('approve', options);
    return this.#decide({ type: 'approve', call }, by, hash);
  }

  /** The call fails with ApprovalDeniedError. @throws as `approve` */
  async deny(call: string, options: Asking & { hash?: string; reason?: string } = {}): Promise<Ack> {
    const { by, hash, reason = 'no reason given' } = optionsOf('deny', options);
    return this.#decide({ type: 'deny', call, reason: checkedText(reason, 'reason') }, by, hash);
  }

  async #decide(
    about: { type: 'approve'; call: string } | { type: 'deny'; call: string; reason: string },
    by: string | undefined,
    hash: string | undefined,
  ): Promise<Ack> {
    await this.#must(about.type);
    const who = checkedPrincipal(by ?? this.#ports.principal);
    const approval = await callWaiting(this.id, about.call, hash === undefined ? hash : checkedHash(hash), this.#ports);
    const message = { ...about, hash: hash ?? approval.hash, by: who };
    const run = runId(approval.run);
    try {
      mustDecide(approval, message);
    } catch (error) {
      await this.#ports.refuse(run, message, error);
      throw error;
    }
    return this.#ports.say(run, message);
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
  async resolve(call: string, decision: Decision, options: Asking = {}): Promise<Ack> {
    const { by } = optionsOf('resolve', options);
    await this.#must('resolve');
    const decided = checkedDecision(decision);
    const { run, seen } = await callInDoubt(this.id, call, this.#ports);
    const message = { type: 'resolve', call, decision: decided, seen } as const;
    return this.#ports.say(run, { ...message, by: checkedPrincipal(by ?? this.#ports.principal) });
  }

  async kill(reason = 'killed', options: KillOptions = {}): Promise<RunReceipt> {
    const receipt = await this.#ports.kill(this.id, reason, optionsOf('kill', options));
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

  /**
   * Resolves when the run has ended, or lives here and only waits: for a person, a message. So do the runs then that it has begun; of those that
   * live elsewhere that is known when their journals have stood still for a second, where their definitions are known here.
   */
  async settled(): Promise<'ended' | 'waiting'> {
    const ended = this.result().then(() => 'ended' as const);
    ended.catch(() => {});
    if (this.#ports.waits(this.id)) return 'waiting';
    const live = this.#ports.live(this.id) ?? (await this.#ports.wake(this.id));
    if (live === undefined) return ended;
    // Parked, it could not tell.
    const release = live.rest.hold();
    try {
      return await Promise.race([ended, live.rest.whenWaiting().then(() => 'waiting' as const)]);
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

  /**
   * How the run ended; waits for it. Never rejects for a run that failed or was killed.
   * @throws ClosedError, StorageError when its journal could not be read: the run goes on, and may be asked about again
   */
  async result(): Promise<Result<Output>> {
    const live = this.#live;
    const lost = live === undefined ? undefined : await lostBeforeEnd(live);
    if (live?.summary !== undefined && lost === undefined) return this.#resultOf(live.summary);
    // It goes on elsewhere, rests here, or is taken up again; anything else has stopped it for good.
    if (lost instanceof TroupeError && !lost.retryable && !(lost instanceof StaleOwnerError)) throw lost;
    let summary = NO_SUMMARY;
    for await (const entry of this.entries()) summary = summarised(summary, entry);
    if (ENDED.includes(summary.status)) return this.#resultOf(summary);
    throw new ClosedError(`Run ${this.id} has not ended; this troupe was closed. It goes on where it is recovered.`, {
      run: this.id,
    });
  }

  #resultOf(metadata: Summary): Result<Output> {
    this.#status = metadata.status;
    return resultOf(metadata) as Result<Output>;
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
}

const ENDED: readonly string[] = ['completed', 'failed', 'killed'];

/** Why this process has let go of it, if it has. */
const lostBeforeEnd = (live: LiveRun): Promise<unknown> =>
  live.ended.then(
    () => undefined,
    (error: unknown) => error,
  );
