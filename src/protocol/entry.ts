import type { Failure } from './exit.ts';
import type { RunId, TenantId } from './ids.ts';

/** Version of the entry format. Every field and type below is named for life. */
export const ENTRY_VERSION = 1;

/** What a call does to the world, and so what may be done when its outcome is not known. */
export type Effect = 'read' | 'idempotent' | 'irreversible';

/** What a run may spend of, and how much. Money in US dollars, time in ms. */
export interface Limits {
  tokens?: number;
  usd?: number;
  /** Attempts of calls, each once however often a crash makes it begin. */
  steps?: number;
  /** Calls of tools, those of child runs included, each once however often it is tried. */
  toolCalls?: number;
  /** Time in which a call is under way and the run is not paused; of a call that is a run of its own, that run's. */
  wallClockMs?: number;
}
export type Resource = keyof Limits;
export type Spent = Readonly<Record<Resource, number>>;

/** What becomes of a run whose budget is spent: it fails, or waits for a larger one, or has one last turn without tools. */
export type Exhausted = 'fail' | 'pause' | 'handBack';

/** Hard limits of a run and of all that it begins. */
export interface Budget extends Limits {
  /** `fail` by default. */
  onExhausted?: Exhausted;
  /** Of the limits: kept back for one last turn without tools, with `handBack`. */
  reserve?: Limits;
}

/** What one call costs, as far as it is not counted by itself. */
export type Cost = Pick<Limits, 'tokens' | 'usd'>;

/** What calls have cost that are open when their run ends, by call: where they have charged more than they had reserved. */
export type Costs = Record<string, Limits>;

/** An entry of another run, up to which this one is its copy. */
export interface Origin {
  run: RunId;
  at: number;
}

interface Begun {
  definition: string;
  version: string;
  /** Hash of its chart. */
  chart: string;
  input: unknown;
  owner: string;
  /** Who asked for it. */
  by: string;
  tenant: TenantId;
  budget: Budget | null;
  /** A definition that is data (a parsed plan) travels with its run. */
  spec: unknown;
  /** The call of another run that it works for. */
  parent: { run: RunId; call: string } | null;
  /** Of a fork, and of forks of forks: the nearest last. */
  origins: readonly Origin[];
}

/** A run that works for a call of another one. */
export interface Child {
  run: RunId;
  definition: string;
}

/** An intent, and the gate's grant. `attempt` counts begins of the same leaf from 1. */
export interface Begin {
  effect: Effect;
  attempt: number;
  input: unknown;
  /** Held back from the budget until it has ended, besides the step itself; the whole allotment of a child run. */
  reserved?: Limits;
  /** The run that it begins. */
  child?: Child;
  by?: string;
}

/** What has paused a run: what that entry says. */
export type Paused = EntryEvents['run.paused' | 'budget.exceeded'];

/** What came in, by type: `event` holds only data. `by`: who asked for it, or decided it; of a leaf, where it was in doubt. */
export interface EntryEvents {
  'run.created': Begun;
  /** A new beginning: a body begins with this input, and what the one before it was is not needed any more. */
  'run.continued': Begun & {
    /** Which body of this run it is, from 2. */
    body: number;
    /** The last of the run's inbox that has been taken. */
    inbox: number;
    /** Of its budget, before. */
    spent: Spent;
    /** It begins paused, as it was: by this. */
    paused?: Paused;
  };
  'run.started': null;
  'run.recovered': { owner: string };
  /** It is the copy of another run up to the entry before; what was under way there is not under way here. */
  'run.forked': {
    owner: string;
    by: string;
    origin: Origin;
    /** Seqs whose recorded results are others here. */ replaced: readonly number[];
  };
  'run.paused': { reason: string; by: string };
  /** `budget`: in place of the one before. */
  'run.resumed': { by: string; budget: Budget | null };
  /** `wallClockMs`: the time that counts since the entry before, where whoever owned the run was there to say so. */
  'run.killed': { reason: string; by: string; costs?: Costs; wallClockMs?: number };
  'run.completed': { output: unknown; costs?: Costs };
  'run.failed': { error: Failure; costs?: Costs };
  'leaf.started': Begin;
  /** `begun`: it had ended before its begin was written, so that both are one entry. */
  'leaf.succeeded': { output: unknown; begun?: Begin; cost?: Limits; by?: string };
  /** What was thrown: a `Failure` for an Error, otherwise the thrown value itself. `begun`: in a fork, in place of an output. */
  'leaf.failed': { error: unknown; begun?: Begin; cost?: Limits; by?: string };
  'leaf.emitted': { event: unknown };
  /** Begun, then its state was left: what it had reserved counts as spent, all of a child run's too, and what it had spent beyond that. A `cost` of nothing: left before it began. */
  'leaf.abandoned': null | { cost: Limits };
  'timer.fired': null;
  /** `by`: absent where the run has said it to itself. */
  'message.received': { event: { type: string }; by?: string };
  /** Something asked of it through its inbox that it does not do. */
  'message.refused': { type: string; error: Failure; by: string };
  'action.failed': { error: unknown };
  /** `reserved`: held back by calls that are under way, where something is. */
  'budget.exceeded': { resource: Resource; spent: number; reserved?: number; limit: number; onExhausted: Exhausted };
  /** A name for the entry before. */
  checkpoint: { label: string; by: string };
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
    : type === 'leaf.succeeded' || type === 'leaf.failed'
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
  'run.forked': true,
  'run.paused': true,
  'run.resumed': true,
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
  'message.refused': true,
  'action.failed': true,
  'budget.exceeded': true,
  checkpoint: true,
};

export const isEntryType = (type: unknown): type is EntryType => typeof type === 'string' && Object.hasOwn(TYPES, type);

/** An entry that ends its run: nothing follows it. */
export const isEnd = (type: EntryType): type is 'run.completed' | 'run.failed' | 'run.killed' =>
  type === 'run.completed' || type === 'run.failed' || type === 'run.killed';
