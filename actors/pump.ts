import type { Journal, Level, Stored } from '../src/backend.ts';
import { seal } from '../src/chain.ts';
import type { Clock } from '../src/clock.ts';
import { ENTRY_VERSION, isEnd, type Entry } from '../src/protocol/entry.ts';
import {
  ClosedError,
  InvalidStateTransitionError,
  StaleOwnerError,
  StorageError,
  StorageFullError,
} from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Said } from './said.ts';

/**
 * The one way into a run's machines.
 *
 * P1. Enqueued, appended as a group, acknowledged, delivered strictly by seq; one group is under way at a time.
 * P2. What waits while a group is under way travels with the next.
 * P3. Nothing is delivered that is not acknowledged, and nothing acknowledged is not delivered.
 * P4. After a refused append by which somebody else has become the owner nothing more is appended.
 * P5. A call that may begin before its intent is on record counts, with what it costs, also where its run is killed at that moment.
 */

export interface Position {
  seq: number;
  epoch: number;
  hash: Uint8Array;
  at: number;
}

export interface Ack {
  seq: number;
  level: Level;
}

/** Enqueued; its seq is known once its group is sealed. */
export interface Pending {
  readonly said: Said;
  readonly cause: number | string | null | Pending;
  seq: number;
  /** It is the cause of something else that waits or is recorded. */
  led: boolean;
  readonly acknowledged: ((ack: Ack) => void) | undefined;
  /** A caller at a door, who is told when it cannot be recorded; what has none waits until it can. */
  readonly refused: ((error: unknown) => void) | undefined;
}

export interface PumpHost {
  deliver(group: readonly Entry[]): void;
  /** Nothing is enqueued and nothing under way. */
  idle(): void;
  /** The run belongs to somebody else, or its journal cannot be written. */
  lost(error: unknown): void;
  report(error: unknown, where: string): void;
}

const MAX_GROUP = 256;
const RETRY_MS = 1_000;

/** May wait for the next result: a begin that is lost in a crash is begun again with the same input. */
const canRide = ({ type, event }: Said): boolean =>
  type === 'leaf.abandoned' || (type === 'leaf.started' && event.effect !== 'irreversible');

/** Did not wait for its intent. */
const hasBegun = ({ type, event }: Said): boolean =>
  type === 'leaf.succeeded'
    ? event.begun !== undefined
    : type === 'leaf.started' && event.effect !== 'irreversible' && event.child === undefined;

const isIrreversible = ({ type, event }: Said): boolean => type === 'leaf.started' && event.effect === 'irreversible';

export class Pump {
  readonly #run: RunId;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #host: PumpHost;
  readonly position: Position;
  /** The run has begun something that cannot be undone. */
  irreversible = false;
  #queue: Pending[] = [];
  #underWay: Promise<void> | undefined;
  #stopped = false;
  #stopping: Promise<void> | undefined;
  #lost = false;
  #waiting = false;
  /** The end is enqueued: nothing may follow it. */
  #sealed = false;

  constructor(run: RunId, position: Position, ports: { journal: Journal; clock: Clock }, host: PumpHost) {
    this.#run = run;
    this.position = position;
    this.#journal = ports.journal;
    this.#clock = ports.clock;
    this.#host = host;
  }

  enqueue(
    said: Said,
    cause: Pending['cause'] = said.cause,
    acknowledged?: Pending['acknowledged'],
    refused?: Pending['refused'],
  ): Pending {
    const pending: Pending = { said, cause, seq: 0, led: false, acknowledged, refused };
    if (typeof cause === 'object' && cause !== null) cause.led = true;
    if (this.#sealed) {
      refused?.(
        new InvalidStateTransitionError(`Run ${this.#run} has ended, or is about to: it takes nothing more.`, {
          run: this.#run,
          state: 'ended',
          event: said.type,
          allowed: [],
        }),
      );
      return pending;
    }
    if (this.#stopped) {
      refused?.(
        new ClosedError(`Run ${this.#run} takes nothing more here: this process has let go of it.`, {
          run: this.#run,
        }),
      );
      return pending;
    }
    this.#sealed = isEnd(said.type);
    this.#queue.push(pending);
    if (this.#underWay === undefined) this.#wake(canRide(said));
    return pending;
  }

  /** Takes back what has not been sealed yet, unless something follows from it. Who waits for it is to be told by whoever does that. */
  withdraw(pending: Pending): boolean {
    if (pending.seq > 0 || pending.led) return false;
    const at = this.#queue.lastIndexOf(pending);
    if (at >= 0) this.#queue.splice(at, 1);
    return at >= 0;
  }

  /** Enqueues for a caller who waits: resolves once it is acknowledged. */
  send(said: Said, cause?: Pending['cause']): Promise<Ack> {
    return new Promise((resolve, reject) => this.enqueue(said, cause, resolve, reject));
  }

  get idle(): boolean {
    return this.#queue.length === 0 && this.#underWay === undefined;
  }

  /** Takes nothing more and lets the group under way end; what has begun by then is recorded. */
  stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping ??= this.#stop(this.#queue.splice(0));
    return this.#stopping;
  }

  async #stop(left: Pending[]): Promise<void> {
    await this.#underWay;
    if (!this.#lost) await this.#record(left.filter(({ said }) => hasBegun(said)));
    for (const { refused } of left)
      refused?.(new ClosedError(`Run ${this.#run} was let go of before this was recorded.`, { run: this.#run }));
  }

  /** P5. Where that fails, what it has cost is not known. */
  async #record(begun: Pending[]): Promise<void> {
    try {
      while (begun.length > 0) await this.#commit(begun.splice(0, MAX_GROUP));
    } catch (error) {
      if (!(error instanceof StaleOwnerError)) this.#host.report(error, `run ${this.#run}: recording what has begun`);
    }
  }

  #wake(ride: boolean): void {
    if (!ride) queueMicrotask(() => this.#start());
    else if (!this.#waiting) {
      this.#waiting = true;
      this.#clock.immediate(() => {
        this.#waiting = false;
        this.#start();
      });
    }
  }

  #start(): void {
    if (this.#underWay !== undefined || this.#queue.length === 0) return;
    this.#underWay = this.#drain().catch((error: unknown) => this.#lose(error));
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#stopped) {
        const group = this.#queue.splice(0, MAX_GROUP);
        await this.#append(group);
        if (this.#queue.every(({ said }) => canRide(said))) break;
      }
    } catch (error) {
      // Nothing begins any more, so nobody is told that nothing is on its way.
      this.#underWay = undefined;
      return this.#lose(error);
    }
    this.#underWay = undefined;
    if (this.#queue.length === 0) this.#host.idle();
    else if (!this.#stopped) this.#wake(true);
  }

  async #append(group: Pending[]): Promise<void> {
    try {
      await this.#commit(group);
    } catch (error) {
      for (const { refused } of group) refused?.(error);
      if (!(error instanceof StorageFullError)) throw error;
      // Callers at a door have been told; what the run itself has to say waits for space.
      this.#queue.unshift(...group.filter(({ refused }) => refused === undefined));
      await this.#pause(error);
    }
  }

  async #commit(group: readonly Pending[]): Promise<void> {
    const { seq: after, epoch, hash } = this.position;
    const at = Math.max(this.position.at, this.#clock.now());
    const entries: Entry[] = [];
    const stored: Stored[] = [];
    let before = hash;
    for (const pending of group) {
      pending.seq = after + entries.length + 1;
      const entry = this.#entry(pending, at);
      const sealed = seal(entry, before);
      before = sealed.hash;
      entries.push(entry);
      stored.push(sealed);
    }
    // An end without an irreversible call behind it may be lost with the power: what led to it can be done again (decision 1).
    const barrier = group.some(({ said }) => isIrreversible(said) || (this.irreversible && isEnd(said.type)));
    const level = await this.#write(stored, { epoch, after, barrier });
    Object.assign(this.position, { seq: after + group.length, hash: before, at });
    this.#host.deliver(entries);
    for (const { acknowledged, seq } of group) acknowledged?.({ seq, level });
  }

  /** Until it is written or it is certain that it will not be. @throws StorageFullError: nothing was written; StaleOwnerError */
  async #write(stored: readonly Stored[], at: { epoch: number; after: number; barrier: boolean }): Promise<Level> {
    for (;;) {
      try {
        const appended = await this.#journal.append(this.#run, stored, at);
        if (appended.status === 'appended') return appended.level;
        // Refused: an earlier try got through unacknowledged, or somebody else is the owner. The tail tells.
        await this.#mustBeOurs(stored.at(-1)?.hash);
        return at.barrier ? 'disk' : 'process';
      } catch (error) {
        if (!(error instanceof StorageError && error.retryable) || this.#stopped) throw error;
        await this.#pause(error);
      }
    }
  }

  async #pause(error: unknown): Promise<void> {
    this.#host.report(error, `run ${this.#run}: recording is tried again in ${RETRY_MS} ms`);
    await new Promise<void>((resolve) => void this.#clock.setTimeout(resolve, RETRY_MS));
  }

  #entry({ said, cause, seq }: Pending, at: number): Entry {
    const { type, target, event } = said;
    return {
      v: ENTRY_VERSION,
      run: this.#run,
      seq,
      epoch: this.position.epoch,
      at,
      type,
      target,
      event,
      cause: typeof cause === 'object' && cause !== null ? cause.seq : cause,
    } as Entry;
  }

  async #mustBeOurs(hash: Uint8Array | undefined): Promise<void> {
    const tail = await this.#journal.tail(this.#run);
    if (tail !== undefined && hash !== undefined && Buffer.compare(tail.hash, hash) === 0) return;
    throw new StaleOwnerError(
      `Run ${this.#run} belongs to somebody else since entry ${tail?.seq ?? 0} (epoch ${tail?.epoch ?? 0}); this process has stopped it here.`,
      { run: this.#run, seq: tail?.seq, epoch: tail?.epoch },
    );
  }

  #lose(error: unknown): void {
    this.#stopped = true;
    this.#lost = true;
    for (const { refused } of this.#queue.splice(0)) refused?.(error);
    this.#host.lost(error);
  }
}
