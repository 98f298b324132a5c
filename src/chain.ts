import { hash } from 'node:crypto';
import type { Stored } from './backend.ts';
import { decode, encodeBehind } from './codec.ts';
import { ENTRY_VERSION, isEntryType, type Entry } from './protocol/entry.ts';
import { CorruptJournalError, UnsupportedFormatError } from './protocol/errors.ts';
import type { RunId } from './protocol/ids.ts';
import { INBOX_VERSION, type Message, type Post } from './protocol/inbox.ts';

/**
 * Entries to stored bytes and back.
 *
 * H1. An entry is stored by position, `[v, run, seq, epoch, at, type, target, event, cause]`: names would cost three times as much. For life.
 * H2. Each carries sha256(hash of the one before ‖ its bytes); before the first stand 32 zeros.
 */
export const GENESIS: Uint8Array = new Uint8Array(32);

// By way of a string: a Buffer from crypto is memory of its own, which costs twice as much.
const digest = (framed: Uint8Array): Uint8Array => Buffer.from(hash('sha256', framed, 'binary'), 'latin1');

export function seal(entry: Entry, before: Uint8Array): Stored {
  const { v, run, seq, epoch, at, type, target, event, cause } = entry;
  return sealed(seq, epoch, [v, run, seq, epoch, at, type, target, event, cause], before);
}

/** Inboxes have no owner, and so no epoch. */
export const sealPost = (post: Post<unknown>, before: Uint8Array): Stored => sealed(post.seq, 0, post, before);

function sealed(seq: number, epoch: number, value: unknown, before: Uint8Array): Stored {
  // One buffer for what is hashed and what is stored.
  const framed = encodeBehind(before, value);
  return { seq, epoch, bytes: framed.subarray(before.length), hash: digest(framed) };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** How far a journal has been read, and checked. */
export interface Read {
  readonly seq: number;
  readonly hash: Uint8Array;
}
const NOTHING: Read = { seq: 0, hash: GENESIS };

/**
 * Reads a run's entries, checking each against the one before; `from` is the last that was checked already.
 * @throws CorruptJournalError a missing, altered, repeated or swapped entry, by run and seq
 * @throws UnsupportedFormatError an entry of a version or type this troupe does not know
 */
export async function* unseal(
  run: RunId,
  stored: AsyncIterable<Stored>,
  from: Read = NOTHING,
): AsyncGenerator<{ entry: Entry; hash: Uint8Array }> {
  for await (const { item, value } of verified(run, 'entry', stored, from))
    yield { entry: known(run, item, value), hash: item.hash };
}

/** As `unseal`, for the inbox of a run. */
export async function* unsealPosts<Said = Message>(
  run: RunId,
  stored: AsyncIterable<Stored>,
  from: Read = NOTHING,
): AsyncGenerator<{ post: Post<Said>; hash: Uint8Array }> {
  for await (const { item, value } of verified(run, 'message', stored, from)) {
    const { v, seq } = value as Post<Said>;
    if (v !== INBOX_VERSION)
      throw new UnsupportedFormatError(
        `Run ${run}: message ${seq} of its inbox has version ${String(v)}, which this troupe does not know. It was left as it is; use a newer troupe.`,
        { run, seq, version: v },
      );
    yield { post: value as Post<Said>, hash: item.hash };
  }
}

async function* verified(
  run: RunId,
  what: 'entry' | 'message',
  stored: AsyncIterable<Stored>,
  from: Read,
): AsyncGenerator<{ item: Stored; value: unknown }> {
  let { seq, hash: before } = from;
  for await (const item of stored) {
    seq += 1;
    const corrupt = (how: string): CorruptJournalError =>
      new CorruptJournalError(
        `Run ${run}: ${what} ${seq} is ${how}. Nothing was executed; restore the journal from a copy or leave this run.`,
        { run, seq, what: how },
      );
    if (item.seq !== seq) throw corrupt(item.seq > seq ? 'missing' : 'repeated');
    if (!sameBytes(digest(Buffer.concat([before, item.bytes])), item.hash))
      throw corrupt('altered, or does not follow the one before it');
    before = item.hash;
    let value: unknown;
    try {
      value = decode(item.bytes);
    } catch {
      throw corrupt('not readable');
    }
    yield { item, value };
  }
}

/** An entry that is trusted to be one. */
export function entryOf(bytes: Uint8Array): Entry {
  const [v, run, seq, epoch, at, type, target, event, cause] = decode(bytes) as unknown[];
  return { v, run, seq, epoch, at, type, target, event, cause } as Entry;
}

function known(run: RunId, item: Stored, value: unknown): Entry {
  // The hash vouches for the rest: these bytes are the ones a troupe wrote here.
  const [v, written, seq, epoch, at, type, target, event, cause] = Array.isArray(value) ? (value as unknown[]) : [];
  if (v !== ENTRY_VERSION || !isEntryType(type))
    throw new UnsupportedFormatError(
      `Run ${run}: entry ${item.seq} has version ${String(v)} and type '${String(type)}', which this troupe does not know. It was left as it is; use a newer troupe.`,
      { run, seq: item.seq, version: v, type },
    );
  if (written !== run || seq !== item.seq || epoch !== item.epoch)
    throw new CorruptJournalError(
      `Run ${run}: entry ${item.seq} of epoch ${item.epoch} says it is entry ${String(seq)} of epoch ${String(epoch)} of run ${String(written)}.`,
      { run, seq: item.seq },
    );
  return { v, run, seq, epoch, at, type, target, event, cause } as Entry;
}
