import type { Appended, Journal, Stored } from '../src/backend.ts';
import type { JournalId, RunId } from '../src/protocol/ids.ts';

/** A journal in which one run can be read and appended to before any of it is written. */
export class Staged implements Journal {
  readonly #journal: Journal;
  readonly #run: RunId;
  /** Undefined once it is written. */
  #held: Stored[] | undefined;

  constructor(journal: Journal, run: RunId, stored: readonly Stored[]) {
    this.#journal = journal;
    this.#run = run;
    this.#held = Array.from(stored);
  }

  /** All of it at once, expecting none; false when a run of that id exists. */
  async commit(): Promise<boolean> {
    const held = this.#held ?? [];
    const appended = await this.#journal.append(this.#run, held, { epoch: held[0]?.epoch ?? 1, after: 0 });
    this.#held = undefined;
    return appended.status === 'appended';
  }

  async append(run: JournalId, entries: readonly Stored[], at: Parameters<Journal['append']>[2]): Promise<Appended> {
    const held = run === this.#run ? this.#held : undefined;
    if (held === undefined) return this.#journal.append(run, entries, at);
    if (at.after !== held.length) return { status: 'refused' };
    held.push(...entries);
    return { status: 'appended', level: 'memory' };
  }

  async *read(run: JournalId, from = 1): AsyncIterable<Stored> {
    if (run === this.#run && this.#held !== undefined) yield* this.#held.slice(from - 1);
    else yield* this.#journal.read(run, from);
  }

  async tail(run: JournalId): Promise<Stored | undefined> {
    return run === this.#run && this.#held !== undefined ? this.#held.at(-1) : this.#journal.tail(run);
  }

  list(): AsyncIterable<RunId> {
    return this.#journal.list();
  }

  watch(run: JournalId, changed: () => void): () => void {
    return this.#journal.watch(run, changed);
  }
}
