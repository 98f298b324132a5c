import { beginOf, isEnd, type Entry, type EntryType } from './protocol/entry.ts';
import { NotFoundError } from './protocol/errors.ts';

/** One entry, as somebody reads it who asks what happened, when, why and for how long. */
export interface TraceEvent {
  seq: number;
  /** In ms since the epoch. */
  at: number;
  type: EntryType;
  target: string;
  data: unknown;
  /** A seq, or the id of a message from outside. */
  cause: number | string | null;
  /**
   * Of what it ends: a call since it began, a timer since it was set, the run since it was started.
   * Of a call that had ended before its begin was written: since what led to it, which is a little longer.
   */
  durationMs: number | undefined;
}

/** Tells how long what ended had lasted. It is given every entry of one run, in order. */
export class Tracer {
  readonly #calls = new Map<string, number>();
  /** Times of the entries since the last beginning: any of them may have set a timer, none before it has. */
  #times: number[] = [];
  #first = Infinity;
  #started: number | undefined;

  event(entry: Entry): TraceEvent {
    const { seq, at, type, target, event: data, cause } = entry;
    return { seq, at, type, target, data, cause, durationMs: this.durationMs(entry) };
  }

  durationMs(entry: Entry): number | undefined {
    const since = this.#since(entry);
    return since === undefined ? undefined : entry.at - since;
  }

  #since(entry: Entry): number | undefined {
    const { seq, at, type, target, cause } = entry;
    if (seq < this.#first || type === 'run.continued') this.#begin(seq);
    this.#times[seq - this.#first] = at;
    switch (type) {
      case 'run.started':
        this.#started = at;
        return undefined;
      case 'leaf.started':
        this.#calls.set(target, at);
        return undefined;
      case 'leaf.succeeded':
      case 'leaf.failed':
      case 'leaf.abandoned': {
        if (beginOf(entry) !== undefined) return this.#timeOf(cause);
        const since = this.#calls.get(target);
        if (since !== undefined) this.#calls.delete(target);
        return since;
      }
      case 'timer.fired':
        return this.#timeOf(cause);
      default:
        return isEnd(type) ? this.#started : undefined;
    }
  }

  #timeOf(cause: Entry['cause']): number | undefined {
    return typeof cause === 'number' ? this.#times[cause - this.#first] : undefined;
  }

  #begin(seq: number): void {
    this.#first = seq;
    this.#times = [];
    this.#calls.clear();
  }
}

export function* traced(entries: Iterable<Entry>): Generator<TraceEvent> {
  const tracer = new Tracer();
  for (const entry of entries) yield tracer.event(entry);
}

/**
 * What led to an entry of a run, from the first that is known to the entry itself. The cause of the first is the id of a message from
 * outside, or null: nobody knows, or it is the run's beginning.
 * @throws NotFoundError
 */
export function why(entries: Iterable<Entry>, seq: number): TraceEvent[] {
  const events = [...traced(entries)];
  let event = events[seq - 1];
  if (event === undefined)
    throw new NotFoundError(`There is no entry ${seq}: the run has ${events.length}, from 1.`, {
      seq,
      entries: events.length,
    });
  const chain = [event];
  // A cause always comes before what it led to.
  while (typeof event.cause === 'number' && event.cause < event.seq && (event = events[event.cause - 1]) !== undefined)
    chain.push(event);
  return chain.reverse();
}
