import { decode, encode, toData } from './codec.ts';
import { checkEnvelope, type Envelope } from './protocol/envelope.ts';
import { ValidationError } from './protocol/errors.ts';
import { scan } from './scan.ts';

/**
 * Envelopes as bytes, between us and strangers.
 *
 * F1. What `encodeEnvelope` gives, `decodeEnvelope` takes.
 * F2. Nothing is unpacked before `scan` has passed it, and nothing leaves before the envelope is checked; all else is refused.
 * F3. What comes out can be kept in a journal and holds no byte of the frame, so a frame's memory is free again.
 */

/** @throws ValidationError */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const bytes = encode(toData(checkEnvelope(envelope), 'envelope'));
  scan(bytes);
  return bytes;
}

/** @throws ValidationError */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const keys = scan(bytes);
  const value: unknown = decode(bytes);
  if (keysIn(value) !== keys)
    throw new ValidationError(`A message of ${bytes.length} bytes is refused: it has a key twice in one map.`, {
      path: 'frame',
      what: 'a key twice in one map',
    });
  return checkEnvelope(value);
}

function keysIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return 0;
  const isList = Array.isArray(value);
  const items: unknown[] = isList ? value : Object.values(value);
  let keys = isList ? 0 : items.length;
  for (const item of items) if (typeof item === 'object') keys += keysIn(item);
  return keys;
}
