import type { OwnerId, RunId } from './protocol/ids.ts';

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

export interface Journal {
  /**
   * Appends entries `after + 1 …` of one run, all or none. `barrier` asks for disk before it resolves.
   * @throws StorageFullError, StorageError: nothing was written
   */
  append(
    run: RunId,
    entries: readonly Stored[],
    at: { epoch: number; after: number; barrier?: boolean },
  ): Promise<Appended>;
  /** Entries from `from` (1 by default) in order of seq, as they are now. */
  read(run: RunId, from?: number): AsyncIterable<Stored>;
  tail(run: RunId): Promise<Stored | undefined>;
  /** Every run that has an entry, in no order. */
  list(): AsyncIterable<RunId>;
}

export interface Registered {
  key: string;
  value: unknown;
  /** Changes with every put. */
  revision: number;
}

/** Control facts, each under 64 KiB encoded. */
export interface Registry {
  get(key: string): Promise<Registered | undefined>;
  /** With `expected` only if the key's revision is that one (0: absent). Resolves to the new revision, or undefined if it was refused. */
  put(key: string, value: unknown, expected?: number): Promise<number | undefined>;
  /** Of a key that is absent: nothing. */
  delete(key: string): Promise<void>;
  list(prefix: string): AsyncIterable<Registered>;
}

/** Where troupe keeps what it must not forget. Nothing above this contract knows which one it has. */
export interface Backend {
  readonly name: string;
  readonly level: Level;
  readonly journal: Journal;
  readonly registry: Registry;
  /** This process, for as long as the backend is open. */
  readonly owner: OwnerId;
  /** False only when that owner is known to be gone. */
  alive(owner: OwnerId): Promise<boolean>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** What `embedded()` and `nats()` return: opened by `createTroupe`. */
export interface BackendFactory {
  open(ports: { owner: OwnerId; immediate: (run: () => void) => void }): Promise<Backend>;
}
