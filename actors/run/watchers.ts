import type { AnyActorRef } from 'xstate';
import type { Entry } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';

interface Watched {
  readonly id: RunId;
  readonly bodyActor: AnyActorRef | undefined;
  readonly rest: { hold(): () => void };
}

interface Look {
  subscribe: (body: AnyActorRef) => { unsubscribe(): void };
  end: { unsubscribe(): void } | undefined;
}

/** Those who look at a run that lives here. One that nobody looks at has none. */
export class Watchers {
  readonly #run: Watched;
  readonly #report: (error: unknown, where: string) => void;
  #observers: Set<(entry: Entry) => void> | undefined;
  #looks: Set<Look> | undefined;

  constructor(run: Watched, report: (error: unknown, where: string) => void) {
    this.#run = run;
    this.#report = report;
  }

  /** Of each entry, once it is delivered. */
  observe(observer: (entry: Entry) => void): () => void {
    const observers = (this.#observers ??= new Set());
    observers.add(observer);
    return () => observers.delete(observer);
  }

  publish(entry: Entry): void {
    for (const observer of this.#observers ?? []) {
      try {
        observer(entry);
      } catch (error) {
        this.#report(error, `run ${this.#run.id}: an observer of entry ${entry.seq}`);
      }
    }
  }

  /** Somebody looks at its body, also at those that follow a new beginning; until then it stays in memory. */
  look(subscribe: (body: AnyActorRef) => { unsubscribe(): void }): () => void {
    const body = this.#run.bodyActor;
    const look = { subscribe, end: body === undefined ? undefined : subscribe(body) };
    const looks = (this.#looks ??= new Set());
    looks.add(look);
    const release = this.#run.rest.hold();
    return () => {
      look.end?.unsubscribe();
      looks.delete(look);
      release();
    };
  }

  /** It has a new body. */
  lookAgain(): void {
    const body = this.#run.bodyActor;
    for (const look of this.#looks ?? []) {
      look.end?.unsubscribe();
      look.end = body && look.subscribe(body);
    }
  }
}
