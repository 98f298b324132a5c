import type { AnyActorRef } from 'xstate';
import { addressOf } from '../../../actors/self.ts';
import type { Effect } from '../../protocol/entry.ts';
import { NetworkError, RateLimitError } from '../../protocol/errors.ts';
import type { Process } from './process.ts';
import { Random } from './random.ts';
import type { Timeline } from './timeline.ts';

/** Something that a call has done to the world, or has tried to. */
export interface Performance {
  readonly what: string;
  readonly run: string;
  /** Key of the call: of the source, or of the tool's machine. */
  readonly call: string;
  readonly effect: Effect;
  readonly input: unknown;
  readonly guarded: boolean;
  readonly approvers: readonly string[] | undefined;
  readonly process: Process;
  readonly at: number;
  /** It happened, whatever its caller was told. */
  readonly performed: boolean;
  readonly output: unknown;
  over: boolean;
  aborted: boolean;
}

/** Who calls: the context that a tool's `execute` is given, or what the creator of a promise source is given. */
export type Caller = { signal: AbortSignal } & ({ run: string; call: string } | { self: Self });

/** The `self` of a source, whatever its types. */
interface Self {
  readonly sessionId: string;
}

export interface Effected<T> {
  effect: Effect;
  input: unknown;
  output: T;
  /** It may begin only when somebody has approved it. */
  guarded?: boolean;
  approvers?: readonly string[];
  /** In ms, for the most part. */
  takes?: number;
  /** It may never answer: whoever calls it must have a timeout. */
  mayHang?: boolean;
}

/** What lies outside the cluster: it remembers what was done to it. */
export class World {
  readonly performances: Performance[] = [];
  readonly #timeline: Timeline;
  readonly #seed: number;
  readonly #begins: (performance: Performance) => void;
  trouble: number;

  constructor(timeline: Timeline, seed: number, trouble: number, begins: (performance: Performance) => void) {
    this.#timeline = timeline;
    this.#seed = seed;
    this.trouble = trouble;
    this.#begins = begins;
  }

  of(run: string, call?: string): Performance[] {
    return this.performances.filter((one) => one.run === run && (call === undefined || one.call === call));
  }

  perform<T>(what: string, caller: Caller, effected: Effected<T>): Promise<T> {
    const { signal } = caller;
    const { run, call } = callBy(caller);
    const process = this.#timeline.current as Process;
    const { effect, input, output, guarded = false, approvers, takes = 400, mayHang = false } = effected;
    // Of its own, so that what is left out of a plan changes nothing here.
    const random = new Random(this.#seed, `${run} ${call} ${this.of(run, call).length}`);
    const fails = random.chance(this.trouble) ? random.pick(mayHang ? FAILURES : ANSWERS) : undefined;
    const performed = fails === undefined || (fails === 'lost' && random.chance(0.5)) || fails === 'silent';
    const performance: Performance = {
      what,
      run,
      call,
      effect,
      input,
      guarded,
      approvers,
      process,
      at: this.#timeline.now,
      performed,
      output,
      over: false,
      aborted: false,
    };
    this.#begins(performance);
    this.performances.push(performance);
    signal.addEventListener('abort', () => (performance.aborted = true));
    return new Promise<T>((resolve, reject) => {
      if (fails === 'silent') return;
      const ms = random.chance(0.8) ? random.between(0, takes) : random.between(0, takes * 20);
      this.#timeline.after(ms, process, () => {
        performance.over = true;
        if (fails === undefined) resolve(output);
        else reject(errorOf(fails));
      });
    });
  }
}

function callBy(caller: Caller): { run: string; call: string } {
  if (!('self' in caller)) return caller;
  // A border: of an actor, its types say more than is needed here.
  const { run, key } = addressOf(caller.self as AnyActorRef);
  return { run, call: key };
}

/** `lost`: perhaps done, the answer was lost. `silent`: done, and never answered. */
const ANSWERS = ['lost', 'busy', 'refused'] as const;
const FAILURES = [...ANSWERS, 'silent'] as const;

function errorOf(how: (typeof FAILURES)[number]): Error {
  switch (how) {
    case 'busy':
      return new RateLimitError('planned: too many calls', { retryAfterMs: 200 });
    case 'refused':
      return new Error('planned: refused');
    default:
      return new NetworkError('planned: the connection was lost');
  }
}

let current: World | undefined;

/** One simulation at a time: sources and tools find the world that they are in. */
export function enter(world: World | undefined): void {
  if (world !== undefined && current !== undefined) throw new Error('A simulation is under way in this process.');
  current = world;
}

/** What a source or a tool of a workload does: acts on the simulated world. It takes virtual time, may fail as the seed says, and is remembered. */
export function perform<T>(what: string, caller: Caller, effected: Effected<T>): Promise<T> {
  if (current === undefined) throw new Error(`'${what}' is performed outside a simulation; use simulate().`);
  return current.perform(what, caller, effected);
}
