import type { Entry, EntryOf } from '../../src/protocol/entry.ts';
import { StaleOwnerError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Ended } from '../end.ts';
import type { Pump } from '../pump.ts';
import type { DurableSystem } from '../system.ts';
import type { Alarms } from './alarms.ts';
import type { Watchers } from './watchers.ts';

/** Why a run is not here any more: it rests, and its journal has all of it. */
class Parked extends Error {
  constructor(run: RunId) {
    super(`run ${run} is parked`);
  }
}

/** What has stopped, and what of it goes on until it has ended. */
export type Stopped = readonly { actor: string; state: unknown; work: Promise<void> | undefined }[];

interface Run {
  readonly id: RunId;
  readonly system: DurableSystem;
  readonly watchers: Watchers;
  states(): { actor: string; state: unknown }[];
}

interface Ports {
  note(entry: Entry): void;
  /** It has ended, or this process has let go of it. */
  over(): void;
  readonly report: (error: unknown, where: string) => void;
}

/** How a run comes to be over here: by its end, by a kill, or because this process lets go of it. */
export class Ending {
  readonly #run: Run;
  readonly #pump: Pump;
  readonly #alarms: Alarms;
  readonly #ports: Ports;
  #closing = false;
  #held = false;
  #end: Ended | undefined;
  #left: { why: unknown } | undefined;
  /** What was stopped when it was let go of, for whoever asks. */
  #stoppedAs: Stopped | undefined;
  /** A run that nobody waits for has none. */
  #ended: { promise: Promise<Ended>; resolve: (end: Ended) => void; reject: (error: unknown) => void } | undefined;

  constructor(run: Run, pump: Pump, alarms: Alarms, ports: Ports) {
    this.#run = run;
    this.#pump = pump;
    this.#alarms = alarms;
    this.#ports = ports;
  }

  /** It is about to be over: nothing is said any more. */
  get closing(): boolean {
    return this.#closing;
  }

  close(): void {
    this.#closing = true;
  }

  /** Nothing begins here any more. */
  get stopped(): boolean {
    return this.#closing || this.#held;
  }

  /** On record, or folded. */
  get end(): Ended | undefined {
    return this.#end;
  }

  note(end: Ended): void {
    this.#end = end;
  }

  /** It has left memory. */
  get parked(): boolean {
    return this.#left?.why instanceof Parked;
  }

  /** Rejects when this process has let go of it before its end. */
  get ended(): Promise<Ended> {
    if (this.#ended === undefined) {
      const { promise, resolve, reject } = withResolvers<Ended>();
      promise.catch(() => {});
      this.#ended = { promise, resolve, reject };
      if (this.#end !== undefined) resolve(this.#end);
      else if (this.#left !== undefined) reject(this.#left.why);
    }
    return this.#ended.promise;
  }

  /** Its end is on record, or folded. */
  finish(end: Ended): void {
    this.close();
    this.disarm();
    void this.#pump.stop();
    this.#ended?.resolve(end);
    this.#ports.over();
  }

  /** Somebody appended `run.killed`, which fences this owner. What stopped, and what of it goes on until it has ended. */
  killed(entry: EntryOf<'run.killed'>): Stopped {
    // It has stopped already.
    if (this.#end !== undefined || this.#left !== undefined) return this.#stoppedAs ?? [];
    this.close();
    this.disarm();
    const { system, watchers } = this.#run;
    const stopped = this.#stopping();
    system.deliver(entry);
    this.#ports.note(entry);
    system.tell({ type: 'troupe.killed' });
    watchers.publish(entry);
    this.finish(entry);
    return stopped;
  }

  /** It is being taken away: nothing more is appended but what has begun, and nothing begins; what is under way ends. */
  release(): Promise<void> {
    this.#held = true;
    this.disarm();
    return this.#pump.stop();
  }

  /** Leaves memory; it is woken from its journal. */
  park(): void {
    this.abandon(new Parked(this.#run.id));
  }

  /** Its journal cannot be written any more, or is somebody else's. */
  lose(error: unknown): void {
    if (!(error instanceof StaleOwnerError)) this.#ports.report(error, `run ${this.#run.id}: let go of`);
    this.abandon(error);
  }

  /** Stops everything that lives here, recording nothing. */
  abandon(why: unknown): void {
    this.close();
    // Whoever still knows it is refused.
    void this.#pump.stop();
    this.disarm();
    if (!(why instanceof Parked)) this.#stoppedAs = this.#stopping();
    const { nodes, root } = this.#run.system;
    nodes.abort();
    root.stop();
    this.#left = { why };
    this.#ended?.reject(why);
    this.#ports.over();
  }

  /** Nothing rings here any more. */
  disarm(): void {
    this.#run.system.disarm();
    this.#alarms.forgetTime();
  }

  #stopping(): Stopped {
    const working = new Map(this.#run.system.work.underWay);
    return this.#run.states().map((one) => ({ ...one, work: working.get(one.actor) }));
  }
}

// Promise.withResolvers comes with ES2024.
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
