import type { RunId } from './protocol/ids.ts';

/** Bytes of chance. */
export type Random = (bytes: number) => Uint8Array;

const ID_BYTES = 12;

/** Of somebody new, such as this process. */
export const idFrom = (random: Random): string => Buffer.from(random(ID_BYTES)).toString('base64url');

/** Ids of runs that nobody has. */
export function runIdsFrom(random: Random): () => RunId {
  let chance = Buffer.alloc(0);
  return () => {
    // Asked of the system in bulk: one by one it costs more than writing the run.
    if (chance.length < ID_BYTES) chance = Buffer.from(random(ID_BYTES * 256));
    const bytes = chance.subarray(0, ID_BYTES);
    chance = chance.subarray(ID_BYTES);
    // One that begins with '-' would be an option on a command line.
    return bytes.toString('base64url').replace(/^-/, '_') as RunId;
  };
}
