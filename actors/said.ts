import type { EntryEvents, EntryType } from '../src/protocol/entry.ts';

/** Something that came in from outside. */
export type Said<T extends EntryType = EntryType> = {
  [K in T]: { type: K; target: string; event: EntryEvents[K]; cause: number | null };
}[T];
