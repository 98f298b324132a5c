/** Time and turns of the event loop come in by this door, so that a test can hold them. */
export interface Clock {
  /** Milliseconds since the epoch; within a process it never goes back and no change of the wall clock moves it. */
  now(): number;
  /** A process may end before one that is not to keep it alive; true by default. */
  setTimeout(run: () => void, ms: number, keepAlive?: boolean): unknown;
  clearTimeout(handle: unknown): void;
  /** After the promises and I/O of this turn. */
  immediate(run: () => void): void;
}

/** The longest one that an operating system's timer takes. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export function systemClock(): Clock {
  const origin = Date.now() - performance.now();
  return {
    now: () => Math.floor(origin + performance.now()),
    setTimeout: (run, ms, keepAlive = true) => {
      const timer = setTimeout(run, ms);
      return keepAlive ? timer : timer.unref();
    },
    clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
    immediate: (run) => void setImmediate(run),
  };
}

/** So late nothing rings unless a process stood still: stopped by a signal, asleep, or kept from its event loop. */
const STOOD_STILL_MS = 1_000;

export interface Deadline {
  readonly due: number;
  /** Breaks ties: the order in which its run scheduled it; between runs, the key. */
  readonly order: number;
  readonly key: string;
  readonly fire: () => void;
  /** Place in the heap; -1 when it is not in it. */
  index: number;
}

const before = (a: Deadline, b: Deadline): boolean =>
  a.due < b.due || (a.due === b.due && (a.order < b.order || (a.order === b.order && a.key < b.key)));

/**
 * Every deadline of a process in one heap behind one operating-system timer.
 *
 * D1. Nothing fires before it is due.
 * D2. What is due fires in order of due time, then order, then key, however late.
 * D3. Closed, it fires and takes nothing more.
 * D4. Behind a time in which the process stood still nothing fires before `hears` has resolved: what others asked for meanwhile comes first.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #heap: Deadline[] = [];
  #timer: unknown;
  #timerDue = Infinity;
  #closed = false;
  readonly #hears: (() => Promise<void>) | undefined;
  #hearing = false;

  constructor(clock: Clock, hears?: () => Promise<void>) {
    this.#clock = clock;
    this.#hears = hears;
  }

  add(due: number, order: number, key: string, fire: () => void): Deadline {
    const deadline: Deadline = { due, order, key, fire, index: this.#closed ? -1 : this.#heap.length };
    if (this.#closed) return deadline;
    this.#heap.push(deadline);
    this.#up(deadline);
    this.#arm();
    return deadline;
  }

  remove(deadline: Deadline): void {
    const at = deadline.index;
    if (at < 0) return;
    deadline.index = -1;
    const last = this.#heap.pop();
    // A process stays for what it waits for, not for what it once waited for.
    if (this.#heap.length === 0) this.#silence();
    if (last === undefined || last === deadline) return;
    this.#place(last, at);
    this.#up(last);
    this.#down(last);
  }

  close(): void {
    this.#closed = true;
    this.#silence();
    for (const deadline of this.#heap) deadline.index = -1;
    this.#heap.length = 0;
  }

  #silence(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timerDue = Infinity;
  }

  #arm(): void {
    const due = this.#heap[0]?.due ?? Infinity;
    if (this.#hearing || due >= this.#timerDue || due === Infinity) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timerDue = due;
    const wait = Math.min(Math.max(0, due - this.#clock.now()), MAX_TIMEOUT_MS);
    this.#timer = this.#clock.setTimeout(() => this.#ring(), wait);
  }

  #ring(): void {
    this.#timerDue = Infinity;
    const due = this.#heap[0]?.due ?? Infinity;
    if (this.#hears === undefined || this.#clock.now() - due < STOOD_STILL_MS) return this.#fire();
    // D4.
    this.#hearing = true;
    void this.#hears().then(() => {
      this.#hearing = false;
      this.#fire();
    });
  }

  #fire(): void {
    const now = this.#clock.now();
    try {
      for (let next = this.#heap[0]; next !== undefined && next.due <= now; next = this.#heap[0]) {
        this.remove(next);
        next.fire();
      }
    } finally {
      // One that throws keeps no other from its turn.
      this.#arm();
    }
  }

  #place(deadline: Deadline, index: number): void {
    this.#heap[index] = deadline;
    deadline.index = index;
  }

  #up(deadline: Deadline): void {
    for (let at = deadline.index; at > 0;) {
      const over = (at - 1) >> 1;
      const parent = this.#heap[over];
      if (parent === undefined || !before(deadline, parent)) return;
      this.#place(parent, at);
      this.#place(deadline, over);
      at = over;
    }
  }

  #down(deadline: Deadline): void {
    for (let at = deadline.index; ;) {
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      const child = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, deadline)) return;
      const under = child.index;
      this.#place(child, at);
      this.#place(deadline, under);
      at = under;
    }
  }
}
