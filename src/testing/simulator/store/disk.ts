import type { Stored } from '../../../backend.ts';
import type { JournalId } from '../../../protocol/ids.ts';

/** A journal entry that a power cut took back. */
export interface Lost {
  readonly journal: JournalId;
  readonly entry: Stored;
}

/**
 * What the whole cluster keeps: one log of changes in the order in which they were made, flushed up to some point.
 *
 * Y1. A change that was made survives every process.
 * Y2. A power cut takes back changes from the newest on, and none that was flushed.
 */
export class Disk {
  readonly journals = new Map<JournalId, Stored[]>();
  readonly facts = new Map<string, { bytes: Uint8Array; revision: number }>();
  revision = 0;
  #unflushed: (() => Lost[])[] = [];

  append(journal: JournalId, entries: readonly Stored[]): void {
    const known = this.journals.get(journal);
    if (known === undefined) this.journals.set(journal, [...entries]);
    else known.push(...entries);
    this.#unflushed.push(() => {
      const all = this.journals.get(journal) ?? [];
      const lost = all.splice(all.length - entries.length);
      if (all.length === 0) this.journals.delete(journal);
      return lost.map((entry) => ({ journal, entry }));
    });
  }

  /** `bytes` undefined: the key is deleted. The new revision. */
  put(key: string, bytes: Uint8Array | undefined): number {
    const before = this.facts.get(key);
    this.revision += 1;
    if (bytes === undefined) this.facts.delete(key);
    else this.facts.set(key, { bytes, revision: this.revision });
    this.#unflushed.push(() => {
      if (before === undefined) this.facts.delete(key);
      else this.facts.set(key, before);
      return [];
    });
    return this.revision;
  }

  flush(): void {
    this.#unflushed = [];
  }

  /** `keeps`: which part of what was not flushed stays, from 0 to 1. What is lost. */
  cut(keeps: number): Lost[] {
    const kept = Math.floor(this.#unflushed.length * keeps);
    const lost = this.#unflushed.splice(kept).reverse();
    this.flush();
    return lost.flatMap((undo) => undo());
  }
}
