import type { Entry, Kept, Typed, Value, Write } from './entry.ts';

const keyOf = (...parts: (string | number)[]): string => JSON.stringify(parts);

/** What a thread's entries come to. Nothing is taken away from one that somebody holds: a deleted thread begins a new one. */
export class Fold {
  readonly #checkpoints = new Map<string, Kept>();
  readonly #values = new Map<string, Typed>();
  readonly #writes = new Map<string, Map<string, Write>>();

  /** What it comes to with one more entry. */
  with(entry: Entry): Fold {
    switch (entry.type) {
      case 'checkpoint.put':
        this.#put(entry.kept, entry.values);
        return this;
      case 'writes.put':
        this.#write(keyOf(entry.ns, entry.id), entry.writes);
        return this;
      case 'thread.deleted':
        return new Fold();
    }
  }

  /** Of one namespace or of all, newest first. */
  checkpoints(ns?: string): Kept[] {
    return [...this.#checkpoints.values()]
      .filter((kept) => ns === undefined || kept.ns === ns)
      .sort((a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0));
  }

  checkpoint(ns: string, id: string): Kept | undefined {
    return this.#checkpoints.get(keyOf(ns, id));
  }

  value(ns: string, channel: string, version: number | string): Typed | undefined {
    return this.#values.get(keyOf(ns, channel, version));
  }

  /** Those of a checkpoint, in no order. */
  writes(ns: string, id: string): Write[] {
    return [...(this.#writes.get(keyOf(ns, id))?.values() ?? [])];
  }

  #put(kept: Kept, values: readonly Value[]): void {
    this.#checkpoints.set(keyOf(kept.ns, kept.id), kept);
    for (const { channel, version, value } of values) this.#values.set(keyOf(kept.ns, channel, version), value);
  }

  #write(checkpoint: string, writes: readonly Write[]): void {
    const known = this.#writes.get(checkpoint) ?? new Map<string, Write>();
    this.#writes.set(checkpoint, known);
    for (const write of writes) {
      // A task's writes stay as they were first; its error, its interrupt and the like are replaced.
      const key = keyOf(write.task, write.index);
      if (write.index < 0 || !known.has(key)) known.set(key, write);
    }
  }
}
