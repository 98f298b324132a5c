import type { Stored } from '../../../backend.ts';
import type { Damage } from '../plan.ts';

/** Damages a stored journal, within its first entries. At which entry it shows; undefined: it is too short for that. */
export function damage(journal: Stored[], { how, place }: Pick<Damage, 'how' | 'place'>): number | undefined {
  // The last entry may go unnoticed when it is lost alone.
  const index = Math.floor(place * (journal.length - 1));
  const entry = journal[index];
  if (entry === undefined || journal.length < 2) return undefined;
  const flipped = (bytes: Uint8Array): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    const at = Math.floor(place * copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << (index % 8));
    return copy;
  };
  switch (how) {
    case 'byte':
      journal[index] = { ...entry, bytes: flipped(entry.bytes) };
      return entry.seq;
    case 'hash':
      journal[index] = { ...entry, hash: flipped(entry.hash) };
      return entry.seq;
    case 'missing':
      journal.splice(index, 1);
      return entry.seq;
    case 'twice':
      journal.splice(index, 0, entry);
      return entry.seq + 1;
  }
}
