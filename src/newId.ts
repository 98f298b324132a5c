import { BYTES } from './define/expected.ts';
import { mustBe } from './define/options.ts';
import { ValidationError } from './protocol/errors.ts';
import type { RunId } from './protocol/ids.ts';

/** Bytes of chance. */
export type Random = (bytes: number) => Uint8Array;

const ID_BYTES = 12;

/** Of somebody new, such as this process. @throws ValidationError */
export const idFrom = (random: Random): string => bytesFrom(random, ID_BYTES).toString('base64url');

/** Ids of runs that nobody has. */
export function runIdsFrom(random: Random): () => RunId {
  let chance = Buffer.alloc(0);
  return () => {
    // Asked of the system in bulk: one by one it costs more than writing the run.
    if (chance.length < ID_BYTES) chance = bytesFrom(random, ID_BYTES * 256);
    const bytes = chance.subarray(0, ID_BYTES);
    chance = chance.subarray(ID_BYTES);
    // One that begins with '-' would be an option on a command line.
    return bytes.toString('base64url').replace(/^-/, '_') as RunId;
  };
}

/** Fewer would be ids that somebody has. */
function bytesFrom(random: Random, count: number): Buffer<ArrayBuffer> {
  const bytes = random(count);
  mustBe(bytes, BYTES, "What the option 'random' of createTroupe() gives", 'random');
  if (bytes.length >= count) return Buffer.from(bytes);
  throw new ValidationError(`The option 'random' of createTroupe() must give ${count} bytes, not ${bytes.length}.`, {
    path: 'random',
  });
}
