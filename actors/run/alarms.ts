import type { Clock, Deadline, Deadlines } from '../../src/clock.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Said } from '../said.ts';
import { Stopwatch } from '../stopwatch.ts';
import type { Alarm, Timer } from '../timers.ts';

interface Host {
  say(said: Said): void;
  /** Calls have been under way for as long as they may. */
  timeIsUp(): void;
}

/** What rings for a run: its timers, and the limit in time of its budget. */
export class Alarms implements Alarm {
  readonly #run: RunId;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #host: Host;
  /** Few runs have such a limit. */
  #stopwatch: Stopwatch | undefined;

  constructor(run: RunId, { clock, deadlines }: { clock: Clock; deadlines: Deadlines }, host: Host) {
    this.#run = run;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#host = host;
  }

  arm({ key: target, due, order, cause }: Timer): Deadline {
    const fire = (): void => this.#host.say({ type: 'timer.fired', target, event: null, cause });
    return this.#deadlines.add(due, order, `${this.#run} ${target}`, fire);
  }

  disarm(deadline: Deadline): void {
    this.#deadlines.remove(deadline);
  }

  /** In the order in which they were due. False: none was. */
  fireOverdue(armed: Iterable<Deadline>): boolean {
    const now = this.#clock.now();
    const overdue = Array.from(armed).filter(({ due }) => due <= now);
    overdue.sort((a, b) => a.due - b.due || a.order - b.order);
    for (const deadline of overdue) {
      this.#deadlines.remove(deadline);
      deadline.fire();
    }
    return overdue.length > 0;
  }

  /** What has a limit in time rings when that is over, though nothing else happens. Undefined: never as it stands. */
  watchTime(dueMs: number | undefined): void {
    if (dueMs === undefined && this.#stopwatch === undefined) return;
    this.#stopwatch ??= new Stopwatch(this.#deadlines, `${this.#run} budget`, () => this.#host.timeIsUp());
    this.#stopwatch.set(dueMs);
  }

  forgetTime(): void {
    this.#stopwatch?.stop();
  }
}
