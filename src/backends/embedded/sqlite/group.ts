import type { DatabaseSync } from 'node:sqlite';
import type { Level } from '../../../backend.ts';
import type { Clock } from '../../../clock.ts';
import { isBusy, isFull } from './failure.ts';

/**
 * Group commit: owns the only transactions that write.
 *
 * G1. All work of one turn of the event loop is done in the order it came, in one transaction that begins and ends in one
 *     turn: no reader of this connection sees half of it.
 * G2. A promise resolves after COMMIT, never before. A commit is flushed to disk when anything in it has to be, and all that is in it.
 * G3. Work that throws is undone and rejected alone; a failed COMMIT rejects all that was in it.
 */
interface Work {
  readonly flush: Flush;
  write(): void;
  done(level: Level): void;
  fail(error: unknown): void;
}

/** To disk: always, as the level of the store says, or for nothing but what goes with it. */
export type Flush = 'barrier' | 'level' | 'hint';

/** With the busy timeout of 250 ms: 5 s of patience in which the event loop still turns. */
const PATIENCE = 20;

const SYNCHRONOUS = { process: 'PRAGMA synchronous = NORMAL', disk: 'PRAGMA synchronous = FULL' } as const;

export class Group {
  readonly #db: DatabaseSync;
  readonly #level: 'process' | 'disk';
  readonly #clock: Clock;
  readonly #mustBeThere: () => void;
  readonly #statement: { begin: () => unknown; commit: () => unknown };
  #waiting: Work[] = [];
  #scheduled = false;
  /** How the connection commits now. */
  #flushed: 'process' | 'disk' | undefined;
  #refusals = 0;
  /** The last one found no space. */
  #wasFull = false;

  constructor(db: DatabaseSync, level: 'process' | 'disk', clock: Clock, mustBeThere: () => void) {
    this.#db = db;
    this.#level = level;
    this.#clock = clock;
    this.#mustBeThere = mustBeThere;
    const begin = db.prepare('BEGIN IMMEDIATE');
    const commit = db.prepare('COMMIT');
    this.#statement = { begin: () => begin.run(), commit: () => commit.run() };
  }

  submit<T>(write: () => T, flush: Flush = 'level'): Promise<{ value: T; level: Level }> {
    return new Promise((resolve, reject) => {
      let value: T;
      this.#waiting.push({
        flush,
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
      if (this.#waiting.length > 0) await new Promise<void>((resolve) => this.#clock.immediate(resolve));
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.immediate(() => {
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
      this.#wasFull ||= isFull(error);
      const failed = culprit === undefined || isFull(error) ? works : [culprit];
      for (const work of failed) work.fail(error);
      works = works.filter((work) => !failed.includes(work));
    }
  }

  #transaction(works: readonly Work[]): { error: unknown; culprit: Work | undefined } | undefined {
    const reached = this.#reached(works);
    let culprit: Work | undefined;
    try {
      if (this.#wasFull) this.#fold();
      // Takes effect at once and only outside a transaction.
      if (reached !== this.#flushed) this.#db.exec(SYNCHRONOUS[reached]);
      this.#flushed = reached;
      this.#statement.begin();
      for (culprit of works) culprit.write();
      culprit = undefined;
      this.#statement.commit();
      // SQLite goes on writing to a file that has been deleted or replaced; nobody would find it again.
      this.#mustBeThere();
    } catch (error) {
      this.#rollBack();
      return { error, culprit };
    }
    this.#refusals = 0;
    for (const work of works) work.done(reached);
    return undefined;
  }

  #reached(works: readonly Work[]): 'process' | 'disk' {
    const needs = (flush: Flush): boolean => works.some((work) => work.flush === flush);
    if (this.#level === 'process') return needs('barrier') ? 'disk' : 'process';
    return needs('level') || needs('barrier') ? 'disk' : 'process';
  }

  /** The log may be what fills the disk: before it takes what has become free, that is used to fold it into the file. */
  #fold(): void {
    this.#wasFull = false;
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // There is no room for that either, or somebody reads: writing goes on behind it, or says so.
    }
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK');
    } catch {
      // SQLite has already rolled it back, or it never began.
    }
  }
}
