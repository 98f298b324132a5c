import { MAX_PAYLOAD, type Stored } from '../../backend.ts';
import { encode, toData } from '../../codec.ts';
import { JournalTooLongError, ValidationError } from '../../protocol/errors.ts';
import { checkId, journalId, type JournalId } from '../../protocol/ids.ts';

/** What both stores refuse at the door, so that neither takes what the other would not. */

export interface At {
  epoch: number;
  after: number;
  barrier?: boolean;
}

/** SQLite keeps the number of a journal and a seq in one integer: 24 bits for the seq leave 29 for the journal that JavaScript counts exactly. */
export const SEQ_BITS = 24;
export const MAX_SEQ = 2 ** SEQ_BITS - 1;

/** @throws ValidationError, JournalTooLongError */
export function checkAppend(journal: JournalId, entries: readonly Stored[], at: At): void {
  journalId(journal);
  checkCount(at.after, 'after', 0);
  checkCount(at.epoch, 'epoch', 0);
  if (entries.length === 0) throw new ValidationError('An append needs at least one entry.', { path: 'entries' });
  const end = at.after + entries.length;
  if (end > MAX_SEQ)
    throw new JournalTooLongError(`Run ${journal} would have ${end} entries; at most ${MAX_SEQ} can be stored.`, {
      run: journal,
      entries: end,
      limit: MAX_SEQ,
    });
  let epoch = at.epoch;
  for (const [index, entry] of entries.entries()) {
    const path = `entries[${index}]`;
    if (entry.seq !== at.after + 1 + index)
      throw new ValidationError(
        `${path} has seq ${entry.seq}, but after ${at.after} it must be ${at.after + 1 + index}.`,
        {
          path: `${path}.seq`,
        },
      );
    checkCount(entry.epoch, `${path}.epoch`, epoch);
    epoch = entry.epoch;
    if (!(entry.bytes instanceof Uint8Array) || !(entry.hash instanceof Uint8Array))
      throw new ValidationError(`${path} must have bytes and hash, each a Uint8Array.`, { path });
  }
}

/** @throws ValidationError */
export function checkCount(value: unknown, path: string, least: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    throw new ValidationError(`${path} is ${String(value)}: it must be a whole number of at least ${least}.`, { path });
}

// Ids joined by '.' or '/', because a key must also be one in a NATS KV bucket.
const KEY = /^[A-Za-z0-9_-]{1,128}(?:[./][A-Za-z0-9_-]{1,128}){0,15}$/;
const PREFIX = /^[A-Za-z0-9_./-]{0,2048}$/;

/** @throws ValidationError */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== 'string' || !KEY.test(key))
    throw new ValidationError(`${shown(key)} is not a registry key: use 1 to 16 ids joined by '.' or '/'.`, {
      path: 'key',
    });
}

/** @throws ValidationError */
export function checkPrefix(prefix: unknown): asserts prefix is string {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix))
    throw new ValidationError(`${shown(prefix)} cannot begin a registry key.`, { path: 'prefix' });
}

const shown = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : `A ${typeof value}`;

const TOKEN = '[A-Za-z0-9_-]{1,128}';
const SUBJECT = new RegExp(`^${TOKEN}(?:\\.${TOKEN}){0,15}$`);
const PATTERN = new RegExp(`^(?:(?:${TOKEN}|\\*)\\.){0,15}(?:${TOKEN}|\\*|>)$`);

/** @throws ValidationError */
export function checkSubject(subject: unknown): void {
  if (typeof subject !== 'string' || !SUBJECT.test(subject))
    throw new ValidationError(`${shown(subject)} is not a subject: use 1 to 16 ids joined by '.'.`, {
      path: 'subject',
    });
}

/** @throws ValidationError */
export function checkPattern(pattern: unknown): void {
  if (typeof pattern !== 'string' || !PATTERN.test(pattern))
    throw new ValidationError(
      `${shown(pattern)} cannot be subscribed to: use 1 to 16 ids joined by '.', '*' for any one, a last '>' for the rest.`,
      { path: 'pattern' },
    );
}

/** A copy, which whoever gave it can no longer change. @throws ValidationError */
export function checkPayload(payload: unknown): Uint8Array {
  if (!(payload instanceof Uint8Array))
    throw new ValidationError('The payload must be a Uint8Array.', { path: 'payload' });
  if (payload.byteLength <= MAX_PAYLOAD) return new Uint8Array(payload);
  throw new ValidationError(
    `The payload is ${payload.byteLength} bytes; at most ${MAX_PAYLOAD} can be carried: what is larger belongs in a journal.`,
    { path: 'payload', bytes: payload.byteLength, limit: MAX_PAYLOAD },
  );
}

/** What a timer can count. */
const MAX_MS = 2 ** 31 - 1;

/** @throws ValidationError */
export function checkMs(value: unknown, path: string, least: number): asserts value is number {
  checkCount(value, path, least);
  if (value > MAX_MS)
    throw new ValidationError(`${path} is ${value} ms: it must be at most ${MAX_MS}.`, { path, limit: MAX_MS });
}

/** @throws ValidationError */
export function checkItem(queue: unknown, id: unknown): void {
  checkId(queue, 'queue name');
  checkId(id, 'item id');
}

const MAX_VALUE = 64 * 1024;

/** @throws ValidationError */
export function encodeValue(key: string, value: unknown): Uint8Array {
  const bytes = encode(toData(value));
  if (bytes.byteLength < MAX_VALUE) return bytes;
  throw new ValidationError(
    `The value of '${key}' is ${bytes.byteLength} bytes encoded; a registry value must be under ${MAX_VALUE}: what grows belongs in a journal.`,
    { path: 'value', key, bytes: bytes.byteLength, limit: MAX_VALUE },
  );
}
