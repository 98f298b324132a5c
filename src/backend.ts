import type { Clock } from './clock.ts';
import type { TroupeError } from './protocol/errors.ts';
import type { JournalId, OwnerId, RunId } from './protocol/ids.ts';
import type { Pattern, Subject } from './protocol/subject.ts';

/** What an acknowledged append survives: nothing, a kill -9 of us, a power cut. */
export type Level = 'memory' | 'process' | 'disk';

/** One entry as stored, never changed once it is sealed. `bytes` are opaque and kept verbatim; `hash` is sha256(hash before ‖ bytes). */
export interface Stored {
  readonly seq: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

export type Appended =
  | { status: 'appended'; level: Level }
  /** Somebody else was faster: the run's last seq is not `after`, or its epoch is higher. Nothing was written. */
  | { status: 'refused' };

/** Ends what a `watch` or `subscribe` began. May be called twice. What those they call throw disturbs nobody. */
export type Unwatch = () => void;

/** Bytes of what a bus or a queue carries, at most: what is larger belongs in a journal. */
export const MAX_PAYLOAD = 2 ** 20;

export interface Journal {
  /**
   * Appends entries `after + 1 …` of one run or inbox, all or none. `barrier` asks for disk before it resolves.
   * @throws StorageFullError, StorageError: nothing was written
   */
  append(
    journal: JournalId,
    entries: readonly Stored[],
    at: { epoch: number; after: number; barrier?: boolean },
  ): Promise<Appended>;
  /** Entries from `from` (1 by default) in order of seq, as they are now. */
  read(journal: JournalId, from?: number): AsyncIterable<Stored>;
  tail(journal: JournalId): Promise<Stored | undefined>;
  /** Every run that has an entry, in no order; inboxes are not listed. */
  list(): AsyncIterable<RunId>;
  /** Tells within 200 ms that it may have grown, whoever wrote it: a hint to read on. Told once at the beginning, too. */
  watch(journal: JournalId, changed: () => void): Unwatch;
}

export interface Registered {
  key: string;
  value: unknown;
  /** Higher than any before it in this registry; no other put, of whatever key, has ever had it. */
  revision: number;
}

/** Control facts, each under 64 KiB encoded. */
export interface Registry {
  get(key: string): Promise<Registered | undefined>;
  /**
   * With `expected` only if the key's revision is that one (0: absent). `barrier` asks for disk before it resolves. Resolves to the new
   * revision, or undefined if it was refused.
   */
  put(key: string, value: unknown, expected?: number, options?: { barrier?: boolean }): Promise<number | undefined>;
  /** Of a key that is absent: nothing. */
  delete(key: string): Promise<void>;
  list(prefix: string): AsyncIterable<Registered>;
  /**
   * What stands under the prefix now, then every change of it within 200 ms, whoever made it; `now` is undefined when the key was
   * deleted. Of several changes of one key in a row the last is certain, those between may be left out. `failed` is told what could
   * not be read, such as a value that was damaged; the others are told all the same.
   */
  watch(
    prefix: string,
    changed: (key: string, now: Registered | undefined) => void,
    failed?: (error: TroupeError) => void,
  ): Unwatch;
}

/** What a subscriber hears. What it throws disturbs nobody. */
export interface Listener {
  /** Every listener is given the same bytes: they are not to be changed. `reply` is there when somebody waits for one. */
  message(payload: Uint8Array, subject: Subject, reply: ((payload: Uint8Array) => void) | undefined): void;
  /** Messages may have been missed (a connection was lost, this process stood still): look at the journals. */
  missed?(): void;
}

/** Signals between actors and processes: each subscriber hears one at most once, those of one publisher in their order. A hint, never the truth. */
export interface Bus {
  /**
   * To everybody who has subscribed by now, in this process and others.
   * @throws ValidationError when it is over `MAX_PAYLOAD`, OverloadedError when too much waits to be told or written
   */
  publish(subject: Subject, payload: Uint8Array): Promise<void>;
  /** `*` stands for one token, a last `>` for one or more. */
  subscribe(pattern: Pattern, listener: Listener): Unwatch;
  /** The first reply. @throws UnreachableError when nobody listens, or nobody replies in time */
  request(subject: Subject, payload: Uint8Array, options: { timeoutMs: number }): Promise<Uint8Array>;
}

/** Work somebody may do, for the length of a lease. */
export interface Claim {
  readonly id: string;
  readonly payload: Uint8Array;
  /** From 1. */
  readonly delivery: number;
  /** Begins the lease anew; false when it had run out and the item is somebody else's, or done. */
  heartbeat(): Promise<boolean>;
  /** Done; false as above: what a late claimer did counts for nothing here. */
  ack(): Promise<boolean>;
  /** Back to the others, after `delayMs`. */
  release(delayMs?: number): Promise<boolean>;
}

/** Hints about work to do, delivered at least once, oldest first. Correctness never rests on it: the journal fences. */
export interface Queue {
  /**
   * Resolves at the level of the backend. An id that waits or is claimed already is not enqueued again: false.
   * @throws ValidationError when the payload is over `MAX_PAYLOAD`
   */
  enqueue(queue: string, id: string, payload: Uint8Array): Promise<boolean>;
  /** Undefined when nothing waits. An item whose lease has run out waits again. */
  claim(queue: string, options: { leaseMs: number }): Promise<Claim | undefined>;
  /** Tells within 200 ms that something may wait, and once at the beginning. */
  watch(queue: string, changed: () => void): Unwatch;
}

/** Where troupe keeps what it must not forget. Nothing above this contract knows which one it has. */
export interface Backend {
  readonly name: string;
  readonly level: Level;
  readonly bus: Bus;
  readonly journal: Journal;
  readonly queue: Queue;
  readonly registry: Registry;
  /** This process, for as long as the backend is open. */
  readonly owner: OwnerId;
  /** False only when that owner is known to be gone. */
  alive(owner: OwnerId): Promise<boolean>;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface BackendPorts {
  /** Made up anew for each opening. */
  owner: OwnerId;
  clock: Clock;
}

/** What `embedded()` and `nats()` return: opened by `createTroupe`. */
export interface BackendFactory {
  /** The directory of its files, where it has one. */
  readonly dir?: string;
  open(ports: BackendPorts): Promise<Backend>;
}
