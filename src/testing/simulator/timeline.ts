import { systemClock } from '../../clock.ts';

/**
 * Virtual time. What is to happen stands in one heap, by time and then by order of scheduling; each happens in a turn of the event loop of
 * its own, so that all promises that follow from it have run before the next.
 *
 * V1. Time moves only from one event to the next, and never goes back.
 * V2. What belongs to a process that stands still happens when it goes on; what belongs to one that is gone never happens.
 */

/** To whom an event happens. */
export interface Party {
  /** It stands still until then; undefined: it runs. */
  frozenUntil: number | undefined;
  gone: boolean;
}

interface Event {
  at: number;
  readonly order: number;
  readonly party: Party | undefined;
  readonly happen: () => void;
  cancelled: boolean;
}

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Timeline {
  now = 0;
  /** Whose event happens: what its promises do is done by that party. */
  current: Party | undefined;
  readonly #heap: Event[] = [];
  #scheduled = 0;
  #happened = 0;
  readonly #clock = systemClock();

  /** Events that have happened. */
  get happened(): number {
    return this.#happened;
  }

  after(ms: number, party: Party | undefined, happen: () => void): Event {
    const event: Event = {
      at: this.now + Math.max(0, ms),
      order: (this.#scheduled += 1),
      party,
      happen,
      cancelled: false,
    };
    this.#push(event);
    return event;
  }

  /** True once `over` holds, asked after each event; false when the time has come first. */
  until(over: () => boolean, time: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        this.current = undefined;
        try {
          if (over()) return resolve(true);
          const event = this.#next();
          if (event === undefined || event.at > time) {
            if (event !== undefined) this.#push(event);
            this.now = Math.max(this.now, time);
            return resolve(false);
          }
          this.now = event.at;
          this.current = event.party;
          this.#happened += 1;
          event.happen();
        } catch (error) {
          return reject(error as Error);
        }
        this.#clock.immediate(step);
      };
      this.#clock.immediate(step);
    });
  }

  /** Of a party, not cancelled. */
  pending(party: Party): number {
    return this.#heap.filter((event) => event.party === party && !event.cancelled).length;
  }

  #next(): Event | undefined {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      if (event.cancelled || event.party?.gone === true) continue;
      const until = event.party?.frozenUntil;
      if (until === undefined || until <= event.at) return event;
      event.at = until;
      this.#push(event);
    }
    return undefined;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const over = (at - 1) >> 1;
      const parent = heap[over];
      if (parent === undefined || !before(event, parent)) break;
      heap[at] = parent;
      at = over;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [one, two] = [heap[left], heap[left + 1]];
      if (one === undefined) break;
      const [child, place] = two !== undefined && before(two, one) ? [two, left + 1] : [one, left];
      if (!before(child, last)) break;
      heap[at] = child;
      at = place;
    }
    heap[at] = last;
    return first;
  }
}
