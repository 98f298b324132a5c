import type { Failure } from './exit.ts';
import type { RunId } from './ids.ts';

/** Version of the entry format. Every field and type below is named for life. */
export const ENTRY_VERSION = 1;

/** What a call does to the world, and so what may be done when its outcome is not known. */
export type Effect = 'read' | 'idempotent' | 'irreversible';

/** Hard limits of a run. `steps` counts attempts of calls, each once however often a crash makes it begin. */
export interface Budget {
  steps?: number;
}

interface Begun {
  definition: string;
  version: string;
  /** Hash of its chart. */
  chart: string;
  input: unknown;
  owner: string;
  budget: Budget | null;
  /** A definition that is data (a parsed plan) travels with its run. */
  spec: unknown;
}

/** An intent, and the gate's grant. `attempt` counts begins of the same leaf from 1. */
interface Begin {
  effect: Effect;
  attempt: number;
  input: unknown;
}

/** What came in, by type: `event` holds only data. */
export interface EntryEvents {
  'run.created': Begun;
  /** A new beginning: a body begins with this input, and what the one before it was is not needed any more. */
  'run.continued': Begun & {
    /** Which body of this run it is, from 2. */
    body: number;
    /** The last of the run's inbox that has been taken. */
    inbox: number;
    /** Spent of its budget. */
    steps: number;
  };
  'run.started': null;
  'run.recovered': { owner: string };
  'run.killed': { reason: string };
  'run.completed': { output: unknown };
  'run.failed': { error: Failure };
  'leaf.started': Begin;
  /** `begun`: it had ended before its begin was written, so that both are one entry. */
  'leaf.succeeded': { output: unknown; begun?: Begin };
  /** What was thrown: a `Failure` for an Error, otherwise the thrown value itself. */
  'leaf.failed': { error: unknown };
  'leaf.emitted': { event: unknown };
  /** Begun, then its state was left. */
  'leaf.abandoned': null;
  'timer.fired': null;
  'message.received': { event: { type: string } };
  'action.failed': { error: unknown };
  'budget.exceeded': { resource: string; spent: number; limit: number };
}

export type EntryType = keyof EntryEvents;

/** One thing that entered a run. `at` is in ms since the epoch and never goes back within a run. */
export type Entry = {
  [T in EntryType]: {
    v: typeof ENTRY_VERSION;
    run: RunId;
    /** 1, 2, 3 … without a gap. */
    seq: number;
    /** Raised by one with every change of owner; a kill is one. */
    epoch: number;
    at: number;
    type: T;
    /** Key of the actor or timer it is for. */
    target: string;
    event: EntryEvents[T];
    /** What led to it: a seq, `inbox/<seq>`, or the id of a message from outside. */
    cause: number | string | null;
  };
}[EntryType];

export type EntryOf<T extends EntryType> = Extract<Entry, { type: T }>;

/** The begin of a leaf that an entry records. */
export const beginOf = ({ type, event }: Pick<Entry, 'type' | 'event'>): Begin | undefined =>
  type === 'leaf.started'
    ? (event as Begin)
    : type === 'leaf.succeeded'
      ? (event as { begun?: Begin }).begun
      : undefined;

/** All that a fold needs to begin with. */
export type Beginning = EntryOf<'run.created' | 'run.continued'>;
export const isBeginning = (entry: Entry): entry is Beginning =>
  entry.type === 'run.created' || entry.type === 'run.continued';

const TYPES: Record<EntryType, true> = {
  'run.created': true,
  'run.continued': true,
  'run.started': true,
  'run.recovered': true,
  'run.killed': true,
  'run.completed': true,
  'run.failed': true,
  'leaf.started': true,
  'leaf.succeeded': true,
  'leaf.failed': true,
  'leaf.emitted': true,
  'leaf.abandoned': true,
  'timer.fired': true,
  'message.received': true,
  'action.failed': true,
  'budget.exceeded': true,
};

export const isEntryType = (type: unknown): type is EntryType => typeof type === 'string' && Object.hasOwn(TYPES, type);

/** An entry that ends its run: nothing follows it. */
export const isEnd = (type: EntryType): type is 'run.completed' | 'run.failed' | 'run.killed' =>
  type === 'run.completed' || type === 'run.failed' || type === 'run.killed';
