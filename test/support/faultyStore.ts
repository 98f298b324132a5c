import {
  ClosedError,
  embedded,
  StorageError,
  type Backend,
  type BackendFactory,
  type OwnerId,
  type RunHandle,
} from '../../src/index.ts';

/** `appended`: one that is done, and not acknowledged; `get` and `put`: of an unfinished run; `written`: as `appended`, of a put; `budget`: a put of a tenant's; `tail`: what it says is old when it comes. */
type Operation = 'append' | 'appended' | 'get' | 'put' | 'written' | 'budget' | 'read' | 'tail' | 'request';

/** One store in memory that outlives the troupes opened on it, and fails or waits where it is told to. */
export class FaultyStore implements BackendFactory {
  /** Entries that were read from the journal. */
  read = 0;
  /** Appends that were asked for. */
  appends = 0;
  readonly #alive = new Set<OwnerId>();
  readonly #faults = new Map<string, () => Promise<void>>();
  #untold: (() => void)[] | undefined;
  #inner: Backend | undefined;

  /** The next one of these is refused, and nothing is written; with `name`, the next one of that journal or run. */
  failOnce(operation: Operation, error: Error, name?: string): void {
    this.#faults.set(place(operation, name), () => Promise.reject(error));
  }

  /** The next one of these waits. `reached` resolves when it does. */
  holdOnce(operation: Operation, name?: string): { reached: Promise<void>; release: () => void } {
    let reach!: () => void;
    let release!: () => void;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const held = new Promise<void>((resolve) => (release = resolve));
    this.#faults.set(place(operation, name), () => {
      reach();
      return held;
    });
    return { reached, release };
  }

  /** The first append of that run behind the next message that it takes waits. Resolves when the message is delivered. */
  holdBehindMessage(run: RunHandle): Promise<ReturnType<FaultyStore['holdOnce']>> {
    return new Promise((resolve) => {
      const off = run.on('message.received', () => {
        off();
        resolve(this.holdOnce('append', run.id));
      });
    });
  }

  /** Nobody is told of what changes in the registry until it is released. */
  holdWatches(): { release: () => void } {
    const waiting: (() => void)[] = [];
    this.#untold = waiting;
    return {
      release: () => {
        this.#untold = undefined;
        for (const tell of waiting) tell();
      },
    };
  }

  /** What these owners append, or what is appended to these journals, is refused for as long as they stand here. */
  readonly refused = new Set<string>();

  /** Others take these owners for gone; they go on. */
  readonly takenForGone = new Set<OwnerId>();

  /** Whose backends are open, in the order in which they were. */
  get owners(): OwnerId[] {
    return [...this.#alive];
  }

  /** The processes of all who have opened it are gone: nothing of what they ask for is done any more. */
  crash(): void {
    this.#alive.clear();
  }

  /** The runs that are registered as not ended. */
  async registered(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#inner?.registry.list('open.') ?? []) keys.push(key.slice('open.'.length));
    return keys;
  }

  async open(ports: Parameters<BackendFactory['open']>[0]): Promise<Backend> {
    this.#inner ??= await embedded().open(ports);
    const { owner } = ports;
    const { bus, journal, queue, registry, name, level } = this.#inner;
    this.#alive.add(owner);
    return {
      name,
      level,
      owner,
      bus: {
        publish: (...said) => bus.publish(...said),
        subscribe: (...asked) => bus.subscribe(...asked),
        request: async (...said) => {
          await this.#take('request', owner);
          return bus.request(...said);
        },
      },
      queue,
      journal: {
        append: async (...entries) => {
          this.appends += 1;
          await this.#take('append', owner, entries[0]);
          if (this.refused.has(owner) || this.refused.has(entries[0])) throw new StorageError('refused', {});
          const appended = await journal.append(...entries);
          await this.#take('appended', owner, entries[0]);
          return appended;
        },
        read: (run, from) => this.#counted(run, journal.read(run, from), owner),
        tail: async (run) => {
          const last = await journal.tail(run);
          await this.#take('tail', owner, run);
          return last;
        },
        list: () => journal.list(),
        watch: (run, changed) => journal.watch(run, changed),
      },
      registry: {
        get: async (key) => {
          if (key.startsWith('open.')) await this.#take('get', owner, key.slice('open.'.length));
          return registry.get(key);
        },
        put: async (...fact) => {
          const [key] = fact;
          const run = key.startsWith('open.') ? key.slice('open.'.length) : undefined;
          if (run !== undefined) await this.#take('put', owner, run);
          if (key.startsWith('budget.')) await this.#take('budget', owner);
          const revision = await registry.put(...fact);
          if (run !== undefined) await this.#take('written', owner, run);
          return revision;
        },
        delete: (key) => registry.delete(key),
        list: (prefix) => registry.list(prefix),
        watch: (prefix, changed) =>
          registry.watch(prefix, (key, now) => {
            if (this.#untold === undefined) changed(key, now);
            else this.#untold.push(() => changed(key, now));
          }),
      },
      alive: (other) => Promise.resolve(this.#alive.has(other) && !this.takenForGone.has(other)),
      close: async () => void this.#alive.delete(owner),
    };
  }

  async *#counted<T>(journal: string, entries: AsyncIterable<T>, owner: OwnerId): AsyncIterable<T> {
    await this.#take('read', owner, journal);
    for await (const entry of entries) {
      this.read += 1;
      yield entry;
    }
  }

  async #take(operation: Operation, owner: OwnerId, name?: string): Promise<void> {
    for (const at of name === undefined ? [operation] : [operation, place(operation, name)]) {
      const fault = this.#faults.get(at);
      this.#faults.delete(at);
      await fault?.();
    }
    if (!this.#alive.has(owner)) throw new ClosedError('This backend is closed.', { owner });
  }
}

const place = (operation: Operation, name?: string): string =>
  name === undefined ? operation : `${operation} ${name}`;
