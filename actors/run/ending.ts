import { StaleOwnerError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Ended } from '../end.ts';

/** Why a run is not here any more: it rests, and its journal has all of it. */
export class Parked extends Error {
  constructor(run: RunId) {
    super(`run ${run} is parked`);
  }
}

/** How far a run is from being over here: by its end, or because this process lets go of it. */
export class Ending {
  #closing = false;
  #held = false;
  #end: Ended | undefined;
  #left: { why: unknown } | undefined;
  /** A run that nobody waits for has none. */
  #ended: { promise: Promise<Ended>; resolve: (end: Ended) => void; reject: (error: unknown) => void } | undefined;

  /** It is about to be over: nothing is said any more. */
  get closing(): boolean {
    return this.#closing;
  }

  close(): void {
    this.#closing = true;
  }

  /** It is being taken away: what is under way ends, nothing begins. */
  hold(): void {
    this.#held = true;
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

  /** Whoever waits for its end is told. */
  finish(end: Ended): void {
    this.#ended?.resolve(end);
  }

  /** This process lets go of it before its end. */
  leave(why: unknown): void {
    this.#left = { why };
    this.#ended?.reject(why);
  }

  get over(): boolean {
    return this.#end !== undefined || this.#left !== undefined;
  }

  /** Somebody else has taken it. */
  get lost(): boolean {
    return this.#left?.why instanceof StaleOwnerError;
  }

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
