import { CorruptJournalError, type Journal, type RunId, type Stored } from 'troupe';
import { EMPTY, isThread, journalOf, seal, unseal, type Entry, type Tail } from './entry.ts';
import { Fold } from './fold.ts';

/**
 * One thread and its journal.
 *
 * T1. Its fold changes only by entries that the journal has, each once and in order, whoever wrote them.
 * T2. What is appended names the entry before it. If another process was faster it is refused, and sealed again after that one's.
 */
class Thread {
  readonly #journal: Journal;
  readonly #run: RunId;
  #tail: Tail = EMPTY;
  #fold = new Fold();
  #appending: Promise<void> = Promise.resolve();

  constructor(journal: Journal, run: RunId) {
    this.#journal = journal;
    this.#run = run;
  }

  /** As it is now: reads on from where it was left. */
  async read(): Promise<Fold> {
    for await (const stored of this.#journal.read(this.#run, this.#tail.seq + 1)) this.#take(stored);
    return this.#fold;
  }

  /** One at a time, so that only other processes are in the way. */
  append(entry: Entry): Promise<void> {
    const appended = this.#appending.then(() => this.#append(entry));
    this.#appending = appended.catch(() => {});
    return appended;
  }

  async #append(entry: Entry): Promise<void> {
    for (;;) {
      const after = this.#tail;
      const stored = seal(entry, after);
      const { status } = await this.#journal.append(this.#run, [stored], { epoch: after.epoch, after: after.seq });
      if (status === 'appended') return this.#take(stored);
      await this.read();
      if (this.#tail.seq <= after.seq)
        throw new CorruptJournalError(
          `${this.#run} does not end with entry ${after.seq}, which was read from it: restore the journal from a copy.`,
          { run: this.#run, seq: after.seq },
        );
    }
  }

  // Without an await, so that a thread may be read several times at once.
  #take(stored: Stored): void {
    if (stored.seq <= this.#tail.seq) return;
    this.#fold = this.#fold.with(unseal(this.#run, stored, this.#tail));
    this.#tail = stored;
  }
}

/** How many threads are kept folded. One that was let go of is folded anew: each is only a copy of its journal. */
const KEPT = 128;

export class Threads {
  readonly #journal: Journal;
  readonly #threads = new Map<RunId, Thread>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  append(thread: string, entry: Entry): Promise<void> {
    return this.#get(journalOf(thread)).append(entry);
  }

  read(thread: string): Promise<Fold> {
    return this.#get(journalOf(thread)).read();
  }

  async *all(): AsyncGenerator<Fold> {
    for await (const run of this.#journal.list()) if (isThread(run)) yield this.#get(run).read();
  }

  #get(run: RunId): Thread {
    const thread = this.#threads.get(run) ?? new Thread(this.#journal, run);
    // Used last, let go of last.
    this.#threads.delete(run);
    this.#threads.set(run, thread);
    const [first] = this.#threads.keys();
    if (this.#threads.size > KEPT && first !== undefined) this.#threads.delete(first);
    return thread;
  }
}
