import type { DatabaseSync } from 'node:sqlite';
import type { Level } from '../../backend.ts';
import { isBusy, isFull } from './failure.ts';

/**
 * Group commit: owns the only transactions that write.
 *
 * G1. All work of one turn of the event loop is done in the order it came, in one transaction that begins and ends in one
 *     turn: no reader of this connection sees half of it.
 * G2. A promise resolves after COMMIT, never before. A barrier's commit is flushed to disk, and all that was in it.
 * G3. Work that throws is undone and rejected alone; a failed COMMIT rejects all that was in it.
 */
interface Work {
  readonly barrier: boolean;
  write(): void;
  done(level: Level): void;
  fail(error: unknown): void;
}

/** With the busy timeout of 250 ms: 5 s of patience in which the event loop still turns. */
const PATIENCE = 20;

export class Group {
  readonly #db: DatabaseSync;
  readonly #level: 'process' | 'disk';
  readonly #immediate: (run: () => void) => void;
  readonly #mustBeThere: () => void;
  readonly #statement: { begin: () => unknown; commit: () => unknown };
  #waiting: Work[] = [];
  #scheduled = false;
  #refusals = 0;

  constructor(
    db: DatabaseSync,
    level: 'process' | 'disk',
    immediate: (run: () => void) => void,
    mustBeThere: () => void,
  ) {
    this.#db = db;
    this.#level = level;
    this.#immediate = immediate;
    this.#mustBeThere = mustBeThere;
    const begin = db.prepare('BEGIN IMMEDIATE');
    const commit = db.prepare('COMMIT');
    this.#statement = { begin: () => begin.run(), commit: () => commit.run() };
  }

  submit<T>(write: () => T, barrier = false): Promise<{ value: T; level: Level }> {
    return new Promise((resolve, reject) => {
      let value: T;
      this.#waiting.push({
        barrier,
        write: () => {
          value = write();
        },
        done: (level) => resolve({ value, level }),
        fail: reject,
      });
      this.#schedule();
    });
  }

  /** Commits what waits. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#flush();
      if (this.#waiting.length > 0) await new Promise<void>((resolve) => this.#immediate(resolve));
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#immediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    let works = this.#waiting;
    this.#waiting = [];
    while (works.length > 0) {
      const failure = this.#transaction(works);
      if (failure === undefined) return;
      const { error, culprit } = failure;
      if (culprit === undefined && isBusy(error) && (this.#refusals += 1) < PATIENCE) {
        this.#waiting = works.concat(this.#waiting);
        return this.#schedule();
      }
      this.#refusals = 0;
      const failed = culprit === undefined || isFull(error) ? works : [culprit];
      for (const work of failed) work.fail(error);
      works = works.filter((work) => !failed.includes(work));
    }
  }

  #transaction(works: readonly Work[]): { error: unknown; culprit: Work | undefined } | undefined {
    const raise = this.#level === 'process' && works.some((work) => work.barrier);
    let culprit: Work | undefined;
    try {
      // Takes effect at once and only outside a transaction.
      if (raise) this.#db.exec('PRAGMA synchronous = FULL');
      this.#statement.begin();
      for (culprit of works) culprit.write();
      culprit = undefined;
      this.#statement.commit();
      // SQLite goes on writing to a file that has been deleted or replaced; nobody would find it again.
      this.#mustBeThere();
    } catch (error) {
      this.#tidy('ROLLBACK');
      return { error, culprit };
    } finally {
      if (raise) this.#tidy('PRAGMA synchronous = NORMAL');
    }
    this.#refusals = 0;
    for (const work of works) work.done(raise ? 'disk' : this.#level);
    return undefined;
  }

  #tidy(sql: string): void {
    try {
      this.#db.exec(sql);
    } catch {
      // SQLite has already rolled it back, or it never began; and to flush more than was asked for does no harm.
    }
  }
}
