import { Subject } from 'rxjs';
import type { AnyStateMachine } from 'xstate';
import type { Body } from '../../actors/run/ports.ts';
import type { Effect, EntryType } from '../../src/protocol/entry.ts';
import type { SimulatedClock } from './simulatedClock.ts';

/** A call that the world has taken and not answered. */
export interface Call {
  readonly source: string;
  readonly input: unknown;
  resolve(output: unknown): void;
  reject(error: unknown): void;
}

/** What lies outside a process: it counts what is done to it and answers when the driver says so. One for each process. */
export class World {
  /** Sources that began, in order. */
  readonly begun: string[] = [];
  /** Custom actions that ran, in order. */
  readonly acted: string[] = [];
  /** Told before a source does anything. */
  watch: ((source: string) => void) | undefined;
  readonly #open = new Set<Call>();
  readonly #streams = new Map<string, Subject<never>>();

  begin(source: string): void {
    this.watch?.(source);
    this.begun.push(source);
  }

  act(what: string): void {
    this.acted.push(what);
  }

  /** What a promise source does: begins, calls out and waits. */
  call<T = unknown>(source: string, input?: unknown, signal?: AbortSignal): Promise<T> {
    this.begin(source);
    return this.ask(source, input, signal);
  }

  /** Calls out and waits. */
  ask<T = unknown>(source: string, input?: unknown, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const close = (then: () => void) => (): void => {
        if (this.#open.delete(call)) then();
      };
      const call: Call = {
        source,
        input,
        resolve: (output) => close(() => resolve(output as T))(),
        reject: (error) => close(() => reject(error as Error))(),
      };
      this.#open.add(call);
      signal?.addEventListener('abort', () => this.#open.delete(call));
    });
  }

  open(source: string): Call[] {
    return [...this.#open].filter((call) => call.source === source);
  }

  stream<T>(source: string): Subject<T> {
    this.begin(source);
    const stream = new Subject<never>();
    this.#streams.set(source, stream);
    return stream as unknown as Subject<T>;
  }

  /** The stream of that source, if somebody listens to it. */
  listening<T>(source: string): Subject<T> | undefined {
    const stream = this.#streams.get(source);
    return stream?.observed === true ? (stream as unknown as Subject<T>) : undefined;
  }

  get revision(): number {
    return this.begun.length + this.acted.length;
  }
}

/** One process with its world: a durable run, or plain XState. */
export interface Stage {
  readonly world: World;
  readonly clock: SimulatedClock;
  /** Is the body in that state? */
  in(value: string | object): boolean;
  readonly context: () => unknown;
  send(event: { type: string }): void;
}

/** What the driver does next, when nothing is under way. True: it did something. */
export type Rule = (stage: Stage) => boolean;

export const answer =
  (source: string, output: unknown): Rule =>
  ({ world }) => {
    const [call] = world.open(source);
    call?.resolve(typeof output === 'function' ? (output as (input: unknown) => unknown)(call.input) : output);
    return call !== undefined;
  };

export const refuse =
  (source: string, error: () => unknown): Rule =>
  ({ world }) => {
    const [call] = world.open(source);
    call?.reject(error());
    return call !== undefined;
  };

/** Sends while the body is in that state. */
export const say =
  (state: string | object, event: { type: string }): Rule =>
  (stage) => {
    if (!stage.in(state)) return false;
    stage.send(event);
    return true;
  };

export interface Reference {
  readonly name: string;
  /** The machine, as any user of XState would write it. */
  create(world: World): AnyStateMachine;
  readonly effects?: Readonly<Record<string, Effect>>;
  readonly input?: unknown;
  readonly continueAs?: Body['continueAs'];
  readonly rules?: readonly Rule[];
  /** The entry it must end with; `run.failed` gives what is to be found in its error. */
  readonly end: { type: 'run.completed'; output: unknown } | { type: 'run.failed'; error: object };
  /** Outcomes for calls in doubt, by source. */
  readonly decide?: Readonly<Record<string, unknown>>;
  /** Entry types that must have travelled in one group, in this order. */
  readonly together?: readonly EntryType[];
  /** Why a recovered run may take another way to its end. Default: the same actions run, in the same order. */
  readonly detour?: string;
  /** Cuts at which what the process knew is lost, and the end that follows then. */
  readonly loses?: { readonly what: string; readonly after: EntryType; readonly end: Reference['end'] };
  /** Why it ends otherwise than in plain XState. Default: it ends the same. */
  readonly unlikeXState?: string;
  /** Small enough to be cut twice, at every pair of entries. */
  readonly pairs?: boolean;
  /** Recovered runs wake up this much later. */
  readonly late?: number;
}
