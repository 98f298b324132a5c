import { hash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { CorruptJournalError, UnsupportedFormatError, type RunId, type Stored } from 'troupe';

/** What LangGraph's serializer gives: the name of a format, and bytes in it. */
export type Typed = readonly [type: string, bytes: Uint8Array];

/** A checkpoint without its channel values. */
export interface Kept {
  readonly thread: string;
  readonly ns: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly checkpoint: Typed;
  readonly metadata: Typed;
}

export interface Write {
  readonly task: string;
  readonly path: string;
  /** Of the writes of its task; below 0 for an error, an interrupt and the like. */
  readonly index: number;
  readonly channel: string;
  readonly value: Typed;
}

export interface Value {
  readonly channel: string;
  readonly version: number | string;
  readonly value: Typed;
}

/** What a thread was asked to keep, as its journal has it. */
export type Entry =
  /** `values` are of the channels that changed; the others stand in entries before, by their versions. */
  | { readonly type: 'checkpoint.put'; readonly kept: Kept; readonly values: readonly Value[] }
  | { readonly type: 'writes.put'; readonly ns: string; readonly id: string; readonly writes: readonly Write[] }
  | { readonly type: 'thread.deleted' };

const VERSION = 1;
const TYPES: Record<Entry['type'], true> = { 'checkpoint.put': true, 'writes.put': true, 'thread.deleted': true };

/** Where a journal ends, as far as it has been read. */
export type Tail = Pick<Stored, 'seq' | 'epoch' | 'hash'>;
export const EMPTY: Tail = { seq: 0, epoch: 0, hash: new Uint8Array(32) };

const PREFIX = 'langgraph_';

/** A thread's name may be any string, a journal's may not. Hashed as UTF-16, in which no two strings are alike. */
export const journalOf = (thread: string): RunId =>
  // border: 53 of the characters that an id may have
  `${PREFIX}${hash('sha256', Buffer.from(thread, 'utf16le'), 'base64url')}` as RunId;

export const isThread = (journal: RunId): boolean => journal.startsWith(PREFIX);

const digest = (before: Uint8Array, bytes: Uint8Array): Uint8Array =>
  hash('sha256', Buffer.concat([before, bytes]), 'buffer');

export function seal(entry: Entry, after: Tail): Stored {
  const bytes = serialize({ v: VERSION, ...entry });
  return { seq: after.seq + 1, epoch: after.epoch, bytes, hash: digest(after.hash, bytes) };
}

/** @throws CorruptJournalError, UnsupportedFormatError */
export function unseal(run: RunId, stored: Stored, after: Tail): Entry {
  const { seq } = stored;
  if (seq !== after.seq + 1 || Buffer.compare(digest(after.hash, stored.bytes), stored.hash) !== 0)
    throw new CorruptJournalError(
      `Entry ${seq} of ${run} is altered, or does not follow entry ${after.seq}: restore the journal from a copy, or leave this thread.`,
      { run, seq },
    );
  // border: the hash vouches for the rest
  const entry = deserialize(stored.bytes) as Entry & { v: unknown };
  if (entry.v === VERSION && entry.type in TYPES) return entry;
  throw new UnsupportedFormatError(
    `Entry ${seq} of ${run} has version ${String(entry.v)} and type '${entry.type}', which this saver does not know. It was left as it is: use a newer one.`,
    { run, seq },
  );
}
