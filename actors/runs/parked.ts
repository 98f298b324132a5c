import type { Deadline, Deadlines } from '../../src/clock.ts';
import type { RunId } from '../../src/protocol/ids.ts';

/** What a run waits for, where its next timer does not say that. */
export interface Waits {
  /** For somebody: no timer of its own runs but for approvals. */
  readonly itself: boolean;
  /** Runs that it has begun. */
  readonly children: readonly RunId[];
  readonly parent: RunId | undefined;
}

/**
 * Runs that rest outside memory, and when the next timer of each is due: an id, a number and two places in arrays for each.
 *
 * K1. Of many deadlines the earliest alone stands among the process's.
 * K2. A run that was woken or parked anew leaves its former place in the heap behind; it is passed over there.
 */
export class Parked {
  readonly #deadlines: Deadlines;
  readonly #wake: (run: RunId) => void;
  readonly #due = new Map<RunId, number>();
  /** Of few of them. */
  readonly #waits = new Map<RunId, Waits | 'unknown'>();
  #heap: RunId[] = [];
  #dues = new Float64Array(64);
  #alarm: Deadline | undefined;

  constructor(deadlines: Deadlines, wake: (run: RunId) => void) {
    this.#deadlines = deadlines;
    this.#wake = wake;
  }

  get size(): number {
    return this.#due.size;
  }

  has(run: RunId): boolean {
    return this.#due.has(run);
  }

  runs(): Set<RunId> {
    return new Set(this.#due.keys());
  }

  /** When its next timer is due; Infinity: it has none. Undefined when it is not parked. */
  due(run: RunId): number | undefined {
    return this.#due.get(run);
  }

  /** Undefined: for somebody, where it has no timer. `unknown`: it was taken over while it rested. */
  waits(run: RunId): Waits | 'unknown' | undefined {
    return this.#waits.get(run);
  }

  add(run: RunId, due: number, waits?: Waits | 'unknown'): void {
    this.#due.set(run, due);
    if (waits === undefined) this.#waits.delete(run);
    else this.#waits.set(run, waits);
    if (due === Infinity) return;
    if (this.#heap.length > 2 * this.#due.size + 64) this.#rebuild();
    else this.#push(run, due);
    this.#arm();
  }

  remove(run: RunId): void {
    this.#due.delete(run);
    this.#waits.delete(run);
  }

  clear(): void {
    this.#due.clear();
    this.#waits.clear();
    this.#heap = [];
    if (this.#alarm !== undefined) this.#deadlines.remove(this.#alarm);
  }

  #arm(): void {
    const [first] = this.#dues;
    if (this.#heap.length === 0 || first === undefined) return;
    if (this.#alarm !== undefined && this.#alarm.index >= 0) {
      if (this.#alarm.due <= first) return;
      this.#deadlines.remove(this.#alarm);
    }
    this.#alarm = this.#deadlines.add(first, 0, 'parked', () => this.#fire(first));
  }

  #fire(now: number): void {
    while (this.#heap.length > 0 && (this.#dues[0] ?? Infinity) <= now) {
      const due = this.#dues[0];
      const run = this.#pop();
      if (run === undefined || this.#due.get(run) !== due) continue;
      this.remove(run);
      this.#wake(run);
    }
    this.#arm();
  }

  #rebuild(): void {
    this.#heap = [];
    for (const [run, due] of this.#due) if (due !== Infinity) this.#push(run, due);
  }

  #push(run: RunId, due: number): void {
    let at = this.#heap.push(run) - 1;
    if (at >= this.#dues.length) {
      const larger = new Float64Array(this.#dues.length * 2);
      larger.set(this.#dues);
      this.#dues = larger;
    }
    for (; at > 0;) {
      const over = (at - 1) >> 1;
      if ((this.#dues[over] ?? 0) <= due) break;
      this.#place(at, over);
      at = over;
    }
    this.#heap[at] = run;
    this.#dues[at] = due;
  }

  #pop(): RunId | undefined {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    const size = this.#heap.length;
    if (last === undefined || size === 0) return first;
    const due = this.#dues[size] ?? 0;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= size) break;
      const right = left + 1;
      const child = right < size && (this.#dues[right] ?? 0) < (this.#dues[left] ?? 0) ? right : left;
      if ((this.#dues[child] ?? 0) >= due) break;
      this.#place(at, child);
      at = child;
    }
    this.#heap[at] = last;
    this.#dues[at] = due;
    return first;
  }

  /** What stands at `from` to `to`. */
  #place(to: number, from: number): void {
    this.#heap[to] = this.#heap[from] as RunId;
    this.#dues[to] = this.#dues[from] ?? 0;
  }
}
