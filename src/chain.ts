import { hash } from 'node:crypto';
import type { Stored } from './backend.ts';
import { decode, encode } from './codec.ts';
import { ENTRY_VERSION, isEntryType, type Entry } from './protocol/entry.ts';
import { CorruptJournalError, UnsupportedFormatError } from './protocol/errors.ts';
import type { RunId } from './protocol/ids.ts';

/** Entries to stored bytes and back. Each carries sha256(hash of the one before ‖ its bytes); before the first stand 32 zeros. */
export const GENESIS: Uint8Array = new Uint8Array(32);

const digest = (framed: Uint8Array): Uint8Array => hash('sha256', framed, 'buffer');

export function seal(entry: Entry, before: Uint8Array): Stored {
  // One buffer for what is hashed and what is stored.
  const framed = Buffer.concat([before, encode(entry)]);
  return { seq: entry.seq, epoch: entry.epoch, bytes: framed.subarray(before.length), hash: digest(framed) };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * Reads a run's entries, checking each against the one before; `from` is the last that was checked already.
 * @throws CorruptJournalError a missing, altered, repeated or swapped entry, by run and seq
 * @throws UnsupportedFormatError an entry of a version or type this troupe does not know
 */
export async function* unseal(
  run: RunId,
  stored: AsyncIterable<Stored>,
  from: { seq: number; hash: Uint8Array } = { seq: 0, hash: GENESIS },
): AsyncGenerator<{ entry: Entry; hash: Uint8Array }> {
  let { seq, hash: before } = from;
  for await (const item of stored) {
    seq += 1;
    const corrupt = (what: string): CorruptJournalError =>
      new CorruptJournalError(
        `Run ${run}: entry ${seq} is ${what}. Nothing was executed; restore the journal from a copy or leave this run.`,
        { run, seq, what },
      );
    if (item.seq !== seq) throw corrupt(item.seq > seq ? 'missing' : 'repeated');
    if (!sameBytes(digest(Buffer.concat([before, item.bytes])), item.hash))
      throw corrupt('altered, or does not follow the one before it');
    before = item.hash;
    let entry: unknown;
    try {
      entry = decode(item.bytes);
    } catch {
      throw corrupt('not readable');
    }
    yield { entry: known(run, item, entry), hash: item.hash };
  }
}

function known(run: RunId, { seq, epoch }: Stored, entry: unknown): Entry {
  // The hash vouches for the rest: these bytes are the ones a troupe wrote here.
  const { v, type, run: written, seq: number, epoch: raised } = entry as Entry;
  if (v !== ENTRY_VERSION || !isEntryType(type))
    throw new UnsupportedFormatError(
      `Run ${run}: entry ${seq} has version ${String(v)} and type '${String(type)}', which this troupe does not know. It was left as it is; use a newer troupe.`,
      { run, seq, version: v, type },
    );
  if (written !== run || number !== seq || raised !== epoch)
    throw new CorruptJournalError(
      `Run ${run}: entry ${seq} of epoch ${epoch} says it is entry ${String(number)} of epoch ${String(raised)} of run ${String(written)}.`,
      { run, seq },
    );
  return entry as Entry;
}
