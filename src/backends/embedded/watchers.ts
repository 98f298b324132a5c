import type { Unwatch } from '../../backend.ts';
import type { Clock } from '../../clock.ts';

/** What a listener throws, or rejects with, disturbs nobody. */
export function quietly(tell: () => unknown): void {
  try {
    const told = tell();
    if (told instanceof Promise) told.catch(() => {});
  } catch {
    // It is the listener's own.
  }
}

type Mark = number | string;

interface Watched {
  readonly watchers: Set<{ readonly changed: () => void }>;
  /** What they were told of last. */
  mark: Mark | undefined;
}

/** Those who want to know when something of a name has changed. */
export class Watchers<Name extends string> {
  readonly #clock: Clock;
  readonly #now: (name: Name) => Mark | undefined;
  readonly #watched = new Map<Name, Watched>();

  /** `now`: how a name stands at this moment; undefined when there is nothing to tell. It throws nothing. */
  constructor(clock: Clock, now: (name: Name) => Mark | undefined = () => undefined) {
    this.#clock = clock;
    this.#now = now;
  }

  /** What it returns is called once. */
  watch(name: Name, changed: () => void): Unwatch {
    const watched: Watched = this.#watched.get(name) ?? { watchers: new Set(), mark: undefined };
    this.#watched.set(name, watched);
    const watcher = { changed };
    watched.watchers.add(watcher);
    this.#clock.immediate(() => {
      if (!watched.watchers.has(watcher)) return;
      watched.mark ??= this.#now(name);
      quietly(changed);
    });
    return () => {
      watched.watchers.delete(watcher);
      if (watched.watchers.size === 0) this.#watched.delete(name);
    };
  }

  /** Tells, name by name, of those that do not stand as they did. */
  *look(): Generator<void> {
    for (const name of Array.from(this.#watched.keys())) {
      if (this.#watched.has(name)) this.mark(name, this.#now(name));
      yield;
    }
  }

  tell(name: Name): void {
    const watchers = this.#watched.get(name)?.watchers;
    if (watchers === undefined) return;
    for (const watcher of Array.from(watchers)) if (watchers.has(watcher)) quietly(watcher.changed);
  }

  /** How it stands now: tells only if that is not what was told last. */
  mark(name: Name, mark: Mark | undefined): void {
    const watched = this.#watched.get(name);
    if (watched === undefined || watched.mark === mark) return;
    watched.mark = mark;
    if (mark !== undefined) this.tell(name);
  }
}

/** All that one opened backend has begun and not ended: each may be ended by itself, twice too, or all when it is closed. */
export class Ends {
  readonly #ends = new Set<Unwatch>();

  add(...parts: Unwatch[]): Unwatch {
    const end = (): void => {
      if (this.#ends.delete(end)) for (const part of parts) part();
    };
    this.#ends.add(end);
    return end;
  }

  close(): void {
    for (const end of this.#ends) end();
  }
}
