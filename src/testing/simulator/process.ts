import type { Clock } from '../../clock.ts';
import { ownerId, type OwnerId } from '../../protocol/ids.ts';
import type { Troupe } from '../../troupe.ts';
import type { Random } from './random.ts';
import type { Party, Timeline } from './timeline.ts';

const EPOCH = Date.UTC(2026, 0, 1);

/** One life of a process: a troupe with a clock of its own. What it began ends with it. */
export class Process implements Party {
  /** Its place in the cluster, and which life it is there: `P2.1`. */
  readonly name: string;
  readonly slot: number;
  readonly random: Random;
  readonly clock: Clock;
  /** What its clock shows beyond virtual time, in ms. */
  readonly offset: number;
  owner: OwnerId = ownerId('nobody');
  troupe: Troupe | undefined;
  frozenUntil: number | undefined;
  /** Since when it stands still. */
  frozenAt = 0;
  gone = false;
  goneAt = 0;
  closing = false;
  closed = false;
  /** Timeouts that stand. */
  timeouts = 0;
  /** What it has asked to be told of at the store. */
  watches = 0;

  constructor(name: string, slot: number, timeline: Timeline, random: Random, offset: number) {
    this.name = name;
    this.slot = slot;
    this.random = random;
    this.offset = offset;
    this.clock = this.#clockOn(timeline);
  }

  /** It takes what it is asked. */
  get serves(): boolean {
    return this.troupe !== undefined && !this.gone && !this.closing && this.frozenUntil === undefined;
  }

  #clockOn(timeline: Timeline): Clock {
    return {
      now: () => Math.floor(EPOCH + timeline.now + this.offset),
      setTimeout: (run, ms) => {
        this.timeouts += 1;
        // A loop that is busy is late, never early.
        const late = this.random.chance(0.9) ? this.random.between(0, 2) : this.random.between(0, 40);
        const timer = { over: false, event: undefined as { cancelled: boolean } | undefined };
        timer.event = timeline.after(Math.max(0, ms) + late, this, () => {
          timer.over = true;
          this.timeouts -= 1;
          run();
        });
        return timer;
      },
      clearTimeout: (handle) => {
        const timer = handle as { over: boolean; event: { cancelled: boolean } } | undefined;
        if (timer === undefined || timer.over) return;
        timer.over = true;
        timer.event.cancelled = true;
        this.timeouts -= 1;
      },
      immediate: (run) => void timeline.after(this.random.between(0, 0.1), this, run),
    };
  }
}
