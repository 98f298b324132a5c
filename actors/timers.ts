import type { AnyActorRef, AnyEventObject } from 'xstate';
import type { Deadline } from '../src/clock.ts';

export interface Timer {
  readonly key: string;
  /** In the journal's time; Infinity never comes. */
  readonly due: number;
  /** The seq whose delayed scheduled it. */
  readonly cause: number;
  /** Counts what its run has scheduled: of those due at once the first scheduled fires first. */
  readonly order: number;
}
export interface Delayed extends Timer {
  readonly source: AnyActorRef;
  readonly target: AnyActorRef;
  readonly event: AnyEventObject;
  /** The send's own id, by which its source can cancel it. */
  readonly id: string | undefined;
  /** What rings when it is due, while it is armed. */
  alarm: Deadline | undefined;
}

/** What a run does about its timers. */
export interface Alarm {
  arm(timer: Timer): Deadline;
  disarm(deadline: Deadline): void;
}

/** Delayed sends of one run, armed once it is live. */
export class Timers {
  readonly #byKey = new Map<string, Delayed>();
  /** The last with each id; one that was scheduled before with the same id still comes, as in XState. */
  readonly #byId = new Map<string, Delayed>();
  readonly #alarm: Alarm;
  #live: boolean;
  #scheduled = 0;

  constructor(alarm: Alarm, live: boolean) {
    this.#alarm = alarm;
    this.#live = live;
  }

  /** Those that will ring. */
  *armed(): Generator<Deadline> {
    for (const { alarm } of this.#byKey.values()) if (alarm !== undefined && alarm.index >= 0) yield alarm;
  }

  /** When the first is due, also of those that are not armed; Infinity: there is none. */
  get due(): number {
    let due = Infinity;
    for (const timer of this.#byKey.values()) due = Math.min(due, timer.due);
    return due;
  }

  disarm(): void {
    for (const timer of this.#byKey.values()) this.#silence(timer);
  }

  goLive(): void {
    this.#live = true;
    for (const timer of this.#byKey.values()) this.#arm(timer);
  }

  add(delayed: Omit<Delayed, 'order' | 'alarm'>): void {
    const timer: Delayed = { ...delayed, order: (this.#scheduled += 1), alarm: undefined };
    this.#byKey.set(timer.key, timer);
    if (timer.id !== undefined) this.#byId.set(idOf(timer.source, timer.id), timer);
    if (this.#live) this.#arm(timer);
  }

  /** Undefined when it was cancelled, or never was. */
  take(key: string): Delayed | undefined {
    const timer = this.#byKey.get(key);
    if (timer === undefined) return undefined;
    this.#drop(timer);
    // As in XState, whichever of two with one id fires first: the id stands for neither any more.
    if (timer.id !== undefined) this.#byId.delete(idOf(timer.source, timer.id));
    return timer;
  }

  cancel(source: AnyActorRef, id: string): void {
    const timer = this.#byId.get(idOf(source, id));
    if (timer !== undefined) this.#drop(timer);
  }

  cancelAll(source: AnyActorRef): void {
    for (const timer of this.#byKey.values()) if (timer.source === source) this.#drop(timer);
  }

  #arm(timer: Delayed): void {
    if (timer.due !== Infinity) timer.alarm = this.#alarm.arm(timer);
  }

  #silence(timer: Delayed): void {
    if (timer.alarm !== undefined) this.#alarm.disarm(timer.alarm);
    timer.alarm = undefined;
  }

  #drop(timer: Delayed): void {
    this.#byKey.delete(timer.key);
    const id = timer.id === undefined ? undefined : idOf(timer.source, timer.id);
    if (id !== undefined && this.#byId.get(id) === timer) this.#byId.delete(id);
    this.#silence(timer);
  }
}

const idOf = (source: AnyActorRef, id: string): string => `${source.sessionId}.${id}`;
