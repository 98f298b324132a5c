import { createStore } from '@xstate/store';
import { isNotBegun } from './openCall.ts';
import { beginOf, type Entry, type EntryType } from './protocol/entry.ts';
import type { Failure } from './protocol/exit.ts';
import type { RunStatus } from './protocol/lifecycle.ts';
import { Tracer } from './trace.ts';

/** Of the entries of one type. */
interface Total {
  count: number;
  /** Of what they ended; 0 where they end nothing. */
  totalMs: number;
}

/** What became of a run, from its entries alone. Times in ms since the epoch. */
export interface Summary {
  run: string;
  definition: string;
  status: RunStatus;
  tenant: string;
  /** The call of another run that it works for. */
  parent: { run: string; call: string } | null;
  /** Of what it was to do, a part: its budget was spent, and it has handed back what it had. */
  partial: boolean;
  /** Attempts of calls, each once however often a crash made it begin. */
  steps: number;
  /** Attempts that failed. */
  failures: number;
  entries: number;
  /** A fork begins when it is forked, whatever it has of the other run. */
  createdAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  durationMs: number | undefined;
  /** Why it ended, where it did not complete. */
  reason: string | undefined;
  error: Failure | undefined;
  output: unknown;
  byType: Readonly<Record<EntryType, Total>>;
}

const NONE: Total = { count: 0, totalMs: 0 };

export const NO_SUMMARY: Summary = {
  run: '',
  definition: '',
  status: 'created',
  tenant: '',
  parent: null,
  partial: false,
  steps: 0,
  failures: 0,
  entries: 0,
  createdAt: 0,
  startedAt: undefined,
  endedAt: undefined,
  durationMs: undefined,
  reason: undefined,
  error: undefined,
  output: undefined,
  byType: {
    'run.created': NONE,
    'run.continued': NONE,
    'run.started': NONE,
    'run.recovered': NONE,
    'run.forked': NONE,
    'run.paused': NONE,
    'run.resumed': NONE,
    'run.killed': NONE,
    'run.completed': NONE,
    'run.failed': NONE,
    'leaf.started': NONE,
    'leaf.succeeded': NONE,
    'leaf.failed': NONE,
    'leaf.emitted': NONE,
    'leaf.abandoned': NONE,
    'timer.fired': NONE,
    'message.received': NONE,
    'message.refused': NONE,
    'action.failed': NONE,
    'budget.exceeded': NONE,
    checkpoint: NONE,
  },
};

/** A store that folds a run's entries, in order, into its summary. */
export const summaryStore = () =>
  createStore({
    context: NO_SUMMARY,
    on: {
      entry: (summary, { entry }: { entry: Entry }) => summarised(summary, entry),
    },
  });

export async function summarise(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<Summary> {
  const store = summaryStore();
  for await (const entry of entries) store.trigger.entry({ entry });
  return store.getSnapshot().context;
}

/** A summary and what it needs to go on. Every entry of a live run makes one: its fields are written out because spreading costs twice as much. */
class Folded implements Summary {
  run: string;
  definition: string;
  status: RunStatus;
  tenant: string;
  parent: { run: string; call: string } | null;
  partial: boolean;
  steps: number;
  failures: number;
  entries: number;
  createdAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  durationMs: number | undefined;
  reason: string | undefined;
  error: Failure | undefined;
  output: unknown;
  byType: Record<EntryType, Total>;
  readonly #tracer: Tracer;

  constructor(before: Summary, entry: Entry) {
    this.run = before.run;
    this.definition = before.definition;
    this.status = before.status;
    this.tenant = before.tenant;
    this.parent = before.parent;
    this.partial = before.partial;
    this.steps = before.steps;
    this.failures = before.failures;
    this.entries = before.entries + 1;
    this.createdAt = before.createdAt;
    this.startedAt = before.startedAt;
    this.endedAt = before.endedAt;
    this.durationMs = before.durationMs;
    this.reason = before.reason;
    this.error = before.error;
    this.output = before.output;
    this.byType = { ...before.byType };
    this.#tracer = #tracer in before ? before.#tracer : new Tracer();
    this.#count(entry);
    this.#note(entry);
  }

  #count(entry: Entry): void {
    const { count, totalMs } = this.byType[entry.type];
    this.byType[entry.type] = { count: count + 1, totalMs: totalMs + (this.#tracer.durationMs(entry) ?? 0) };
  }

  #note(entry: Entry): void {
    if (beginOf(entry)?.attempt === 1) this.steps += 1;
    switch (entry.type) {
      case 'run.created':
        this.run = entry.run;
        this.definition = entry.event.definition;
        this.tenant = entry.event.tenant;
        this.parent = entry.event.parent;
        this.createdAt = entry.at;
        return;
      case 'run.forked':
        // What it has copied happened in another run.
        this.createdAt = entry.at;
        if (this.startedAt !== undefined) this.startedAt = entry.at;
        return;
      case 'run.started':
        this.status = 'running';
        this.startedAt = entry.at;
        return;
      case 'run.continued':
        this.status = entry.event.paused === undefined ? 'running' : 'paused';
        return;
      case 'run.paused':
        this.status = 'paused';
        return;
      case 'run.resumed':
        this.status = 'running';
        return;
      case 'budget.exceeded':
        if (entry.event.onExhausted === 'pause') this.status = 'paused';
        if (entry.event.onExhausted === 'handBack') this.status = 'wrappingUp';
        return;
      case 'leaf.failed':
        this.failures += 1;
        return;
      case 'run.completed':
        this.partial = this.status === 'wrappingUp';
        this.#end('completed', entry.at);
        this.output = entry.event.output;
        return;
      case 'run.failed':
        this.#end('failed', entry.at);
        this.reason = entry.event.error.message;
        this.error = entry.event.error;
        return;
      case 'run.killed':
        this.#end('killed', entry.at);
        this.reason = entry.event.reason;
    }
  }

  #end(status: RunStatus, at: number): void {
    this.status = status;
    this.endedAt = at;
    this.durationMs = at - (this.startedAt ?? at);
  }
}

/** The summary after one more entry; `before` stays as it is. Only the newest summary of a run knows since when what is under way is under way. */
export const summarised = (before: Summary, entry: Entry): Summary => new Folded(before, entry);

/** Irreversible calls of a run that may have begun and have no recorded end, folded from its entries. */
export class OutcomesUnknown {
  /** With what was open before it, of which nobody knows more where it has not begun after all. */
  readonly #open = new Map<string, readonly string[]>();
  /** Machines whose call is to begin again, which may take somebody's approval: until it does, what became of it is as unknown as before. */
  #again: Set<string> | undefined;

  note({ type, target, event }: Entry): void {
    switch (type) {
      case 'leaf.started': {
        if (event.effect !== 'irreversible') return;
        const machine = target.slice(0, Math.max(0, target.lastIndexOf('/')));
        if (this.#again?.delete(machine) === true) this.#open.set(target, this.#decided(machine));
        else this.#open.set(target, this.#open.has(target) ? [target] : []);
        return;
      }
      case 'leaf.succeeded':
      case 'leaf.failed':
        this.#open.delete(target);
        return;
      case 'leaf.abandoned':
        if (isNotBegun(event?.cost)) this.#notBegun(target);
        return;
      case 'run.killed':
        for (const key of Array.from(this.#open.keys())) if (isNotBegun(event.costs?.[key])) this.#notBegun(key);
        return;
      case 'message.received':
        // Somebody has said what became of a machine's call.
        if (event.event.type !== 'troupe.resolve') return;
        if ('retry' in event.event) (this.#again ??= new Set()).add(target);
        else this.#decided(target);
    }
  }

  #decided(machine: string): string[] {
    const decided = Array.from(this.#open.keys()).filter((key) => key.startsWith(`${machine}/`));
    for (const key of decided) this.#open.delete(key);
    return decided;
  }

  #notBegun(leaf: string): void {
    const before = this.#open.get(leaf) ?? [];
    this.#open.delete(leaf);
    for (const key of before) this.#open.set(key, []);
  }

  /** By the names that a decision about them takes: a tool's call goes by its machine, not by an attempt of it. */
  get calls(): string[] {
    return Array.from(this.#open.keys(), (key) => key.replace(/\/attempt(:\d+)?$/, ''));
  }
}
