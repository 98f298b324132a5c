import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/clock.ts';
// Loaded when it is needed first, which takes time that is not simulated.
import '../../src/frame.ts';

interface Timeout {
  at: number;
  run: () => void;
}

/** Time stands still until it is told to move; turns of the event loop stay real. Also a clock for `createActor`. */
export class SimulatedClock implements Clock {
  #now: number;
  #ids = 0;
  readonly #timeouts = new Map<number, Timeout>();
  /** Turns asked for and not come yet. */
  pendingTurns = 0;
  /** The longest timeout anybody asked for. */
  longest = 0;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): number {
    this.longest = Math.max(this.longest, ms);
    const id = ++this.#ids;
    this.#timeouts.set(id, { at: this.#now + Math.max(0, ms), run });
    return id;
  }

  clearTimeout(handle: unknown): void {
    this.#timeouts.delete(handle as number);
  }

  immediate(run: () => void): void {
    this.pendingTurns += 1;
    setImmediate(() => {
      this.pendingTurns -= 1;
      run();
    });
  }

  /** When the next timeout is due, undefined when there is none. */
  get nextDue(): number | undefined {
    return this.#next()?.[1].at;
  }

  /** Time passes: each timeout runs at its own moment. */
  increment(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(); next !== undefined && next[1].at <= end; next = this.#next()) {
      this.#now = Math.max(this.#now, next[1].at);
      this.#run(next);
    }
    this.#now = end;
  }

  /** Nothing ran meanwhile (the process slept): what is due by then runs only then. */
  jump(ms: number): void {
    this.#now += ms;
    this.increment(0);
  }

  #run([id, { run }]: [number, Timeout]): void {
    this.#timeouts.delete(id);
    run();
  }

  #next(): [number, Timeout] | undefined {
    let next: [number, Timeout] | undefined;
    for (const entry of this.#timeouts) if (next === undefined || entry[1].at < next[1].at) next = entry;
    return next;
  }
}

const MAX_TURNS = 10_000;

/** Resolves when the fact holds. */
export async function until(fact: () => boolean, what: string): Promise<void> {
  for (let turns = 0; !fact(); turns += 1) {
    if (turns === MAX_TURNS) throw new Error(`This never became true: ${what}`);
    await turn();
  }
}

/** Resolves when nothing is under way: `busy` says so and `revision` has stood still for two whole turns. */
export async function quiet(clock: SimulatedClock, busy: () => boolean, revision: () => number): Promise<void> {
  let before = revision();
  let still = 0;
  await until(() => {
    const now = revision();
    still = now === before && clock.pendingTurns === 0 && !busy() ? still + 1 : 0;
    before = now;
    return still > 2;
  }, 'nothing is under way any more');
}

/** Whatever is under way and waits for no time has had its turns: what has not happened by then does not. */
export async function still(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await turn();
}

/** Time passes in steps, and after each whatever is due has its turns. */
export async function pass(clock: SimulatedClock, ms: number, step = 250): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    clock.increment(step);
    await still();
  }
}
