/** A run as far as somebody must know who follows its journal. */
interface Source {
  readonly watchers: { observe(observer: () => void): () => void };
  readonly ended: Promise<unknown>;
}

/**
 * Says when the journal of a run may have more: told by the run while it lives here, by the store while it does not.
 * What happens between `next()` and its `await` is not missed.
 */
export class Changes {
  readonly #live: () => Source | undefined;
  readonly #watch: (changed: () => void) => () => void;
  /** Whom it hears now; null: nobody yet. */
  #source: Source | undefined | null = null;
  #unwatch: () => void = () => {};
  #next: { promise: Promise<void>; settle: () => void } | undefined;

  constructor(live: () => Source | undefined, watch: (changed: () => void) => () => void) {
    this.#live = live;
    this.#watch = watch;
  }

  /** The next change from now on. */
  next(): Promise<void> {
    if (this.#next === undefined) {
      let settle!: () => void;
      const promise = new Promise<void>((resolve) => {
        settle = resolve;
      });
      this.#next = { promise, settle };
    }
    const { promise } = this.#next;
    this.#listen();
    return promise;
  }

  end(): void {
    this.#unwatch();
    this.#source = null;
  }

  #listen(): void {
    const source = this.#live();
    if (source === this.#source) return;
    this.#unwatch();
    this.#source = source;
    const changed = (): void => {
      this.#next?.settle();
      this.#next = undefined;
    };
    this.#unwatch = source === undefined ? this.#watch(changed) : source.watchers.observe(changed);
    source?.ended.then(changed, changed);
  }
}
