import type { AnyStateMachine, EventFromLogic, InspectionEvent, SnapshotFrom } from 'xstate';
import type { BackendFactory } from './backend.ts';
import type { Clock } from './clock.ts';
import type { AnyDefinition } from './define/definition.ts';
import type { DurableDefinition } from './define/durable.ts';
import type { Duration } from './protocol/duration.ts';
import type { BudgetOptions, LimitOptions } from './define/budget.ts';
import type { Replacement } from './define/replacement.ts';
import type { RunId } from './protocol/ids.ts';
import type { AnyTool, Module } from './protocol/spec.ts';
import type { RunHandle } from './run.ts';
import type { RunStatus } from './protocol/lifecycle.ts';

/** What a troupe takes and gives. */

export interface TroupeOptions {
  /** `embedded()` by default: all in memory. */
  backend?: BackendFactory;
  /** What may run and be recovered here. */
  definitions?: readonly AnyDefinition[];
  /** Tools and modules from which parsed plans are rebuilt. */
  tools?: readonly (AnyTool | Module)[];
  /** Unfinished runs that nobody alive owns are taken over: at the start, and within 5 s after their process has ended. True by default. */
  recover?: boolean;
  /**
   * A run that only waits, for a message, a person or a timer, leaves memory after this time and is woken by what it waits for;
   * one that somebody observes does not. `'1m'` by default; false: never.
   */
  parkAfter?: Duration | false;
  /** Any XState inspection observer; it can never break a transition. */
  inspect?: (event: InspectionEvent) => void;
  /** Told of what is nobody's result: an observer that threw, a run that could not be recovered. Warns on the console by default. */
  report?: (error: unknown, where: string) => void;
  clock?: Clock;
  /** Who asks for what is asked without a name, for the record: the user of the operating system by default. */
  principal?: string;
  /** Bytes of chance, for ids; the system's by default. */
  random?: (bytes: number) => Uint8Array;
}

/** What `troupe.config.ts` exports by default, for the command line. */
export interface TroupeConfig {
  backend: BackendFactory;
  definitions?: readonly AnyDefinition[];
  tools?: readonly (AnyTool | Module)[];
  /** On whose behalf plans in words are run: what they may call. */
  module?: Module;
}

export interface StartOptions {
  /** An id; made up by default. Starting an id that exists attaches to it. */
  id?: string;
  budget?: BudgetOptions;
  /** On whose account and behalf it runs; `default` by default. */
  tenant?: string;
  /** Who asks for it; `principal` of the troupe by default. */
  by?: string;
  /** Kills the run when it aborts. Where it has aborted already nothing begins: `start` rejects with its reason as it is, as `fetch` does. */
  signal?: AbortSignal;
}

/** What all runs of a tenant may spend in each period: at most its `tokens`, `usd`, `steps` and `toolCalls`. */
export interface TenantBudgetOptions extends Omit<LimitOptions, 'wallClock'> {
  tenant: string;
  /** From which spending is counted anew; whole periods since 1970, in UTC, so that `'1d'` begins at midnight there. */
  period: Duration;
  /** What a run may spend that is started without a budget of its own. */
  perRun?: LimitOptions;
  /** Who asks for it; `principal` of the troupe by default. */
  by?: string;
}

/** Which rows of the audit; all by default. */
export interface AuditOptions {
  run?: string;
  tenant?: string;
  /** Who asked for it, or has begun the run of the call. */
  by?: string;
  /** Only from then on, in ms since the epoch. */
  since?: number;
}

export interface ForkOptions<D extends AnyDefinition = AnyDefinition> {
  /** The last entry that both have: its seq, from 2, or the label of a checkpoint. The last before the end of the run that is forked by default. */
  at?: number | string;
  /** An id that no run has; made up by default. */
  id?: string;
  /** In place of the one it has; null: no limits. What was spent up to `at` is spent here, too. */
  budget?: BudgetOptions | null;
  /** What goes on from there, in place of what the run is of; it must fit what is on record. */
  definition?: D;
  /** By seq: results on record that are others here. */
  replace?: Readonly<Record<number, Replacement>>;
  /** Who asks for it; `principal` of the troupe by default. */
  by?: string;
}

export interface RunInfo {
  run: RunId;
  definition: string;
  tenant: string;
  /** The call of another run that it works for. */
  parent: { run: string; call: string } | null;
  status: RunStatus | 'unreadable';
  entries: number;
  /** In ms since the epoch. */
  createdAt: number;
  endedAt: number | undefined;
  /** False when the process that owned it is gone: `recover` takes it. */
  owned: boolean;
  /** Why it is unreadable. */
  error?: unknown;
}

export interface Recovery {
  recovered: RunId[];
  /** Left as they were, and why. */
  left: { run: RunId; error: unknown }[];
}

export type HandleOf<D> =
  D extends DurableDefinition<infer Machine>
    ? RunHandle<SnapshotFrom<Machine>, EventFromLogic<Machine>, OutputOf<D>>
    : RunHandle<SnapshotFrom<AnyStateMachine>, { type: string }, OutputOf<D>>;
export type InputOf<D> = D extends { types?: { input: (input: infer Input) => void; output: unknown } }
  ? Input
  : unknown;
export type OutputOf<D> = D extends { types?: { input: (input: never) => void; output: infer Output } }
  ? Output
  : unknown;

/** An input that may be undefined may be left out. */
export type StartArguments<D> =
  undefined extends InputOf<D>
    ? [input?: InputOf<D>, options?: StartOptions]
    : [input: InputOf<D>, options?: StartOptions];
