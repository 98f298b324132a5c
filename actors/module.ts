import { createActor, fromPromise, waitFor, type ActorRefFrom } from 'xstate';
import { moduleMachine, type Refusal } from '../machines/module.ts';
import { systemClock, type Clock } from '../src/clock.ts';
import { ClosedError, NetworkError, OverloadedError } from '../src/protocol/errors.ts';
import type { CallEnd, Failure } from '../src/protocol/exit.ts';
import type { AnyTool, Module } from '../src/protocol/spec.ts';
import type { Admission } from './leaf.ts';

/** One call at a module: it waits until it is granted or refused. */
interface Call {
  state: 'waiting' | 'granted' | 'over';
  refusal: unknown;
  turn: { resolve: () => void; reject: (error: unknown) => void } | undefined;
}

/** A module's actor in this process: started by its first call, shared by all runs. */
export class ModuleActor {
  readonly #module: Module;
  readonly #clock: Clock;
  readonly #actor: ActorRefFrom<typeof moduleMachine>;
  readonly #calls = new Map<number, Call>();
  #tickets = 0;
  #turnAt: number | undefined;
  #turn: unknown;

  constructor(module: Module, clock: Clock) {
    this.#module = module;
    this.#clock = clock;
    this.#actor = this.#start();
  }

  /** Room for one call of a tool. @throws NetworkError where the module cannot be reached, OverloadedError, ClosedError */
  admit(tool: string): Admission {
    if (this.#closed) throw this.#errorOf({ reason: 'closed' });
    const ticket = (this.#tickets += 1);
    const call: Call = { state: 'waiting', refusal: undefined, turn: undefined };
    this.#calls.set(ticket, call);
    this.#actor.send({ type: 'module.admit', ticket, tool, now: this.#clock.now() });
    if (call.refusal !== undefined) throw call.refusal;
    const turn =
      call.state === 'granted'
        ? undefined
        : new Promise<void>((resolve, reject) => {
            call.turn = { resolve, reject };
          });
    return { turn, release: (ended) => this.#release(ticket, tool, ended) };
  }

  /** An attempt was abandoned because it took too long. */
  overdue(error: Failure | undefined): void {
    const ended = { status: 'failed', error } as const;
    if (!this.#closed) this.#actor.send({ type: 'module.overdue', ended, now: this.#clock.now() });
  }

  /** Lets the calls under way end, then closes the connection. May be called twice. */
  async stop(): Promise<void> {
    if (!this.#closed) this.#actor.send({ type: 'module.drain' });
    await waitFor(this.#actor, (snapshot) => snapshot.status !== 'active');
  }

  get #closed(): boolean {
    return this.#actor.getSnapshot().status !== 'active';
  }

  #release(ticket: number, tool: string, ended: CallEnd): void {
    const call = this.#calls.get(ticket);
    if (call === undefined) return;
    this.#calls.delete(ticket);
    if (this.#closed) return;
    if (call.state === 'granted')
      return this.#actor.send({ type: 'module.release', ticket, tool, ended, now: this.#clock.now() });
    this.#actor.send({ type: 'module.leave', ticket });
    call.turn?.reject(new ClosedError(`The call was given up while it waited for module ${this.#module.name}.`));
  }

  #start(): ActorRefFrom<typeof moduleMachine> {
    const { tools, concurrency, rateLimit, breaker, start, stop } = this.#module;
    const toolConcurrency = new Map<string, number>();
    for (const tool of tools) if (tool.concurrency !== undefined) toolConcurrency.set(tool.name, tool.concurrency);
    const actor = createActor(
      moduleMachine.provide({
        actors: {
          connect: fromPromise(async ({ signal }) => {
            await start?.({ signal });
            return this.#clock.now();
          }),
          disconnect: fromPromise<unknown>(async () => stop?.()),
        },
      }),
      {
        input: {
          connects: start !== undefined,
          limits: { concurrency, toolConcurrency, rateLimit },
          breaker,
        },
        // XState asks for its own kinds of handle.
        clock: this.#clock as never,
      },
    );
    actor.subscribe({ error: () => {} });
    actor.on('module.answered', ({ answers, turnAt }) => {
      this.#arm(turnAt);
      for (const { ticket, refusal } of answers) this.#answer(ticket, refusal);
    });
    return actor.start();
  }

  #answer(ticket: number, refusal: Refusal | undefined): void {
    const call = this.#calls.get(ticket);
    if (call === undefined) return;
    if (refusal === undefined) {
      call.state = 'granted';
      return call.turn?.resolve();
    }
    this.#calls.delete(ticket);
    call.refusal = this.#errorOf(refusal);
    call.turn?.reject(call.refusal);
  }

  #arm(turnAt: number | undefined): void {
    if (turnAt === this.#turnAt) return;
    if (this.#turnAt !== undefined) this.#clock.clearTimeout(this.#turn);
    this.#turnAt = turnAt;
    if (turnAt === undefined) return;
    this.#turn = this.#clock.setTimeout(() => {
      this.#turnAt = undefined;
      // A timer may be a little early; the turn is not.
      if (!this.#closed) this.#actor.send({ type: 'module.turn', now: Math.max(turnAt, this.#clock.now()) });
    }, turnAt - this.#clock.now());
  }

  #errorOf(refusal: Refusal): Error {
    const { name: module } = this.#module;
    switch (refusal.reason) {
      case 'closed':
        return new ClosedError(`Module ${module} is closed.`, { module });
      case 'overloaded':
        return new OverloadedError(
          `${refusal.waiting} calls wait for module ${module} already; call less at once, or raise its concurrency.`,
          { module, waiting: refusal.waiting },
        );
      case 'notStarted': {
        const { error, retryAfterMs } = refusal;
        const context = { module, ...(retryAfterMs !== undefined && { retryAfterMs }) };
        return new NetworkError(
          `Module ${module} did not start: ${error?.message ?? 'no reason given'}.`,
          context,
          error,
        );
      }
      case 'open': {
        const { failures, error, retryAfterMs } = refusal;
        return new NetworkError(
          `Module ${module} is not called for now: ${failures} calls in a row did not reach its service; the last: ${error?.message ?? 'no reason given'}.`,
          { module, failures, retryAfterMs },
          error,
        );
      }
    }
  }
}

const pools = new WeakMap<AnyTool, ModuleActor>();

/** The room of a tool that stands alone and has a limit. */
export function poolOf(tool: AnyTool): ModuleActor | undefined {
  const { name, concurrency } = tool;
  if (concurrency === undefined) return undefined;
  let pool = pools.get(tool);
  if (pool === undefined) {
    const alone: Module = {
      kind: 'module',
      name,
      tools: [],
      allow: [],
      concurrency,
      rateLimit: undefined,
      breaker: undefined,
      start: undefined,
      stop: undefined,
    };
    pools.set(tool, (pool = new ModuleActor(alone, systemClock())));
  }
  return pool;
}
