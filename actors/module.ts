import { createActor, fromPromise, waitFor, type ActorRefFrom } from 'xstate';
import { moduleMachine } from '../machines/module.ts';
import { ClosedError, NetworkError } from '../src/protocol/errors.ts';
import type { Module } from '../src/protocol/spec.ts';

/** A module's actor in this process: started by its first call, shared by all runs. */
export class ModuleActor {
  readonly #module: Module;
  #actor: ActorRefFrom<typeof moduleMachine> | undefined;
  /** Calls that found no room, in order of arrival. */
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(module: Module) {
    this.#module = module;
  }

  /** Resolves with the release once there is room. @throws NetworkError when its `start` failed, ClosedError */
  async admit(): Promise<() => void> {
    for (;;) {
      const actor = await this.#ready();
      if (actor.getSnapshot().can({ type: 'module.admit' })) {
        actor.send({ type: 'module.admit' });
        let released = false;
        return () => {
          if (released) return;
          released = true;
          actor.send({ type: 'module.release' });
          this.#waiting.shift()?.();
        };
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Lets the calls under way end, then closes the connection. May be called twice. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    const actor = this.#actor;
    if (actor === undefined || actor.getSnapshot().status !== 'active') return;
    actor.send({ type: 'module.drain' });
    await waitFor(actor, (snapshot) => snapshot.status !== 'active');
  }

  async #ready(): Promise<ActorRefFrom<typeof moduleMachine>> {
    const { name, concurrency } = this.#module;
    if (this.#closed) throw new ClosedError(`Module ${name} is closed.`, { module: name });
    if (this.#actor === undefined || this.#actor.getSnapshot().status !== 'active')
      this.#actor = this.#open(concurrency);
    const actor = this.#actor;
    const snapshot = await waitFor(actor, (state) => !state.matches('starting'));
    if (snapshot.matches('failed'))
      throw new NetworkError(
        `Module ${name} did not start: ${snapshot.context.error?.message ?? 'no reason given'}.`,
        { module: name },
        snapshot.context.error,
      );
    if (!snapshot.matches('ready')) throw new ClosedError(`Module ${name} is closed.`, { module: name });
    return actor;
  }

  #open(concurrency: number): ActorRefFrom<typeof moduleMachine> {
    const { start, stop } = this.#module;
    const actor = createActor(
      moduleMachine.provide({
        actors: {
          connect: fromPromise<unknown>(async ({ signal }) => start?.({ signal })),
          disconnect: fromPromise<unknown>(async () => stop?.()),
        },
      }),
      { input: { concurrency } },
    );
    actor.subscribe({ error: () => {} });
    return actor.start();
  }
}
