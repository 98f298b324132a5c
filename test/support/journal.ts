import type { Appended, Journal, Stored } from '../../src/backend.ts';
import { entryOf } from '../../src/chain.ts';
import type { Entry } from '../../src/protocol/entry.ts';

/** One run's journal in memory, which knows its groups and can be cut. */
export class CutJournal implements Journal {
  readonly stored: Stored[] = [];
  /** The entries of each append, in order. */
  readonly groups: Entry[][] = [];
  /** Appends not acknowledged yet. */
  underWay = 0;

  /** As a process leaves it that ended after `seq`. */
  cut(seq: number): CutJournal {
    const copy = new CutJournal();
    copy.stored.push(...this.stored.slice(0, seq));
    return copy;
  }

  get entries(): Entry[] {
    return this.stored.map(({ bytes }) => entryOf(bytes));
  }

  async append(_run: string, entries: readonly Stored[], at: { epoch: number; after: number }): Promise<Appended> {
    this.underWay += 1;
    await Promise.resolve();
    this.underWay -= 1;
    const last = this.stored.at(-1);
    if (at.after !== (last?.seq ?? 0) || at.epoch < (last?.epoch ?? 0)) return { status: 'refused' };
    this.stored.push(...entries);
    this.groups.push(entries.map(({ bytes }) => entryOf(bytes)));
    return { status: 'appended', level: 'memory' };
  }

  async *read(_run: string, from = 1): AsyncIterable<Stored> {
    yield* this.stored.slice(from - 1);
  }

  tail(): Promise<Stored | undefined> {
    return Promise.resolve(this.stored.at(-1));
  }

  async *list(): AsyncIterable<never> {}

  watch(): () => void {
    return () => {};
  }
}
