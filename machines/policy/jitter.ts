/** A number in [0, 1), always the same for the same seed: FNV-1a, then murmur3's last mix, which sets seeds of one letter's difference apart. */
export function chanceOf(seed: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < seed.length; index += 1) hash = Math.imul(hash ^ seed.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** Spreads over the upper half, so that those who failed together do not come back together, and nobody comes back at once. */
export const spread = (delayMs: number, chance: number): number => Math.ceil(delayMs * (0.5 + 0.5 * chance));

/** Not before the time that was asked for, and at most a tenth later. */
export const spreadAfter = (askedMs: number, chance: number): number => Math.ceil(askedMs * (1 + 0.1 * chance));
