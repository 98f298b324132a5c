import type { AnyStateMachine, EventFromLogic, InspectionEvent, SnapshotFrom } from 'xstate';
import type { BackendFactory } from './backend.ts';
import type { Clock } from './clock.ts';
import type { AnyDefinition } from './define/definition.ts';
import type { DurableDefinition } from './define/durable.ts';
import type { Duration } from './protocol/duration.ts';
import type { Budget } from './protocol/entry.ts';
import type { RunId } from './protocol/ids.ts';
import type { AnyTool, Module } from './protocol/spec.ts';
import type { CallInDoubt, RunHandle } from './run.ts';
import type { RunStatus, Summary } from './summary.ts';

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
  budget?: Budget;
  /** Kills the run when it aborts. */
  signal?: AbortSignal;
}

export interface RunInfo {
  run: RunId;
  definition: string;
  status: RunStatus | 'unreadable';
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

export interface Replay {
  run: RunId;
  entries: number;
  status: string;
  summary: Summary;
  /** Calls somebody must decide; of a run that nobody alive owns, those that a recovery would find. */
  inDoubt: CallInDoubt[];
  /** Every actor that lives at its last entry, and the state it is in. */
  actors: { actor: string; state: unknown }[];
  /** Always true: a replay that is not equal rejects with ReplayDivergenceError. */
  equal: true;
}

export type HandleOf<D> =
  D extends DurableDefinition<infer Machine>
    ? RunHandle<SnapshotFrom<Machine>, EventFromLogic<Machine>, OutputOf<D>>
    : RunHandle<SnapshotFrom<AnyStateMachine>, { type: string }, OutputOf<D>>;
type InputOf<D> = D extends { types?: { input: (input: infer Input) => void; output: unknown } } ? Input : unknown;
export type OutputOf<D> = D extends { types?: { input: (input: never) => void; output: infer Output } }
  ? Output
  : unknown;

/** An input that may be undefined may be left out. */
export type StartArguments<D> =
  undefined extends InputOf<D>
    ? [input?: InputOf<D>, options?: StartOptions]
    : [input: InputOf<D>, options?: StartOptions];
