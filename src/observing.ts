import type { AnyActorRef } from 'xstate';
import { decode, encode } from './codec.ts';
import type { HandlePorts, LiveRun } from './handle.ts';
import type { Entry } from './protocol/entry.ts';
import type { RunId } from './protocol/ids.ts';

/** Somebody wants to know what happens in a run: one that rests here is woken, and stays in memory. */
export class Observing {
  readonly #run: RunId;
  readonly #ports: Pick<HandlePorts, 'live' | 'wake' | 'report'>;

  constructor(run: RunId, ports: Pick<HandlePorts, 'live' | 'wake' | 'report'>) {
    this.#run = run;
    this.#ports = ports;
  }

  /** Of its body. An observer that throws disturbs nobody. */
  snapshots(observer: (snapshot: unknown) => void): () => void {
    const next = (snapshot: unknown): void => this.#guarded(() => observer(snapshot), 'an observer');
    return this.#looking((actor) => actor.subscribe({ next, error: () => {} }));
  }

  /** What its body emits. */
  emitted(type: string, handler: (event: { type: string }) => void): () => void {
    const heard = (event: { type: string }): void => this.#guarded(() => handler(event), `a handler of '${type}'`);
    return this.#looking((actor) => actor.on(type as never, heard));
  }

  /** As they are delivered. */
  entries(observer: (entry: Entry) => void): () => void {
    return this.#whileAwake((live) => {
      const release = live.rest.hold();
      // A copy: the machine's own is not to be changed by whoever looks.
      const end = live.watchers.observe((entry) => observer(decode(encode(entry)) as Entry));
      return () => {
        end();
        release();
      };
    });
  }

  #looking(subscribe: (actor: AnyActorRef) => { unsubscribe(): void }): () => void {
    return this.#whileAwake((live) => live.watchers.look(subscribe));
  }

  #whileAwake(begin: (live: LiveRun) => () => void): () => void {
    const live = this.#ports.live(this.#run);
    if (live !== undefined) return begin(live);
    let end: (() => void) | undefined;
    let over = false;
    this.#ports.wake(this.#run)?.then(
      (woken) => {
        if (!over) end = begin(woken);
      },
      (error: unknown) => this.#ports.report(error, `run ${this.#run}: waking it for an observer`),
    );
    return () => {
      over = true;
      end?.();
    };
  }

  #guarded(run: () => void, what: string): void {
    try {
      run();
    } catch (error) {
      this.#ports.report(error, `run ${this.#run}: ${what}`);
    }
  }
}
