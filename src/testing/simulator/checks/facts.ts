import { entryOf } from '../../../chain.ts';
import type { Stored } from '../../../backend.ts';
import { beginOf, isBeginning, isEnd, type Budget, type Entry, type Limits } from '../../../protocol/entry.ts';
import type { Process } from '../process.ts';
import { Spending } from './spending.ts';

/** A call as its run's journal has it: a plain source, or a tool's machine with its attempts. */
export interface CallFacts {
  /** Begins on record, and under which epoch. */
  readonly intents: {
    seq: number;
    epoch: number;
    irreversible: boolean;
    leaf: string;
    reserved: Limits | undefined;
    /** The run that it begins. */
    child: string | undefined;
  }[];
  /** By leaf: its recorded end, or that its state was left. `late`: it had taken too long by then, so its chart makes nothing of it. */
  readonly ends: Map<string, { seq: number; type: Entry['type']; late: boolean }>;
  /** When an attempt of it took too long. */
  overdueAt: number;
  /** Somebody has let it begin again. */
  retries: number;
  /** Begun irreversibly, no end recorded, and nobody has said that it may begin again. */
  open: string | undefined;
  approved: { hash: string; by: string; seq: number } | undefined;
  denied: boolean;
}

/** What the journal of one run says, kept as it grows. */
export class RunFacts {
  readonly entries: Entry[] = [];
  readonly calls = new Map<string, CallFacts>();
  readonly fired = new Set<string>();
  /** How often the message of that number is in it. */
  readonly messages = new Map<number, number>();
  readonly writers = new Map<number, Process>();
  /** Up to where a process knows its own entries to stand. */
  readonly known = new Map<Process, number>();
  end: Entry | undefined;
  tenant = '';
  definition = '';
  budget: Budget | null = null;
  readonly spending = new Spending();
  /** First entries of what was appended last, and before that. */
  #groups: readonly number[] = [];
  /** Of the entry that paused it; undefined: it runs. */
  pausedAt: number | undefined;

  get last(): Entry | undefined {
    return this.entries.at(-1);
  }

  get owner(): Process | undefined {
    return this.writers.get(this.last?.epoch ?? 0);
  }

  call(key: string): CallFacts {
    let call = this.calls.get(key);
    if (call === undefined)
      this.calls.set(
        key,
        (call = {
          intents: [],
          ends: new Map(),
          overdueAt: 0,
          retries: 0,
          open: undefined,
          approved: undefined,
          denied: false,
        }),
      );
    return call;
  }

  note(entry: Entry, by: Process | undefined): void {
    this.entries.push(entry);
    this.spending.note(entry);
    if (by !== undefined) this.writers.set(entry.epoch, by);
    if (isBeginning(entry)) {
      this.tenant = entry.event.tenant;
      this.definition = entry.event.definition;
      this.budget = entry.event.budget;
    }
    if (isEnd(entry.type)) this.end = entry;
    this.#pauses(entry);
    this.#begins(entry);
    this.#says(entry);
    if (entry.type === 'timer.fired') this.#fires(entry);
  }

  /** From this entry on: what was appended together. */
  group(seq: number): void {
    this.#groups = [...this.#groups.slice(-1), seq];
  }

  /** This end of a call, which is being appended, was said when the group of its only intent, for which it waited, was delivered. */
  leftAtOnce({ target, epoch }: Entry): boolean {
    const [before = Infinity, now = 0] = this.#groups;
    const [intent, ...more] = this.calls.get(callOf(target))?.intents.filter(({ leaf }) => leaf === target) ?? [];
    if (intent === undefined || more.length > 0 || intent.epoch !== epoch) return false;
    return (intent.irreversible || intent.child !== undefined) && intent.seq >= before && intent.seq < now;
  }

  /** As it stands after a power cut. */
  static of(stored: readonly Stored[], before: RunFacts): RunFacts {
    const facts = new RunFacts();
    for (const { bytes } of stored) {
      const entry = entryOf(bytes);
      facts.note(entry, before.writers.get(entry.epoch));
    }
    return facts;
  }

  #pauses(entry: Entry): void {
    if (entry.type === 'run.paused') this.pausedAt = entry.seq;
    else if (entry.type === 'run.continued') this.pausedAt = entry.event.paused && entry.seq;
    else if (entry.type === 'budget.exceeded' && entry.event.onExhausted === 'pause') this.pausedAt = entry.seq;
    else if (entry.type === 'run.resumed') {
      this.pausedAt = undefined;
      this.budget = entry.event.budget ?? this.budget;
    }
  }

  #begins(entry: Entry): void {
    const begin = beginOf(entry);
    const { target, seq, epoch, type } = entry;
    const call = this.calls.get(callOf(target));
    if (begin !== undefined) {
      const known = this.call(callOf(target));
      const irreversible = begin.effect === 'irreversible';
      const { reserved } = begin;
      known.intents.push({ seq, epoch, irreversible, leaf: target, reserved, child: begin.child?.run });
      if (begin.by !== undefined && begin.attempt > 1) known.retries += 1;
      if (irreversible) known.open = target;
    }
    if (type !== 'leaf.succeeded' && type !== 'leaf.failed' && type !== 'leaf.abandoned') return;
    const known = call ?? this.call(callOf(target));
    const intent = known.intents.findLast(({ leaf }) => leaf === target);
    known.ends.set(target, { seq, type, late: intent !== undefined && intent.seq < known.overdueAt });
    // What becomes of one that was left nobody knows.
    if (type !== 'leaf.abandoned' && known.open === target) known.open = undefined;
  }

  #fires({ target, seq }: Entry): void {
    this.fired.add(target);
    const [call, late] = target.split('@xstate.after.timeout.');
    if (call !== undefined && late !== undefined) this.call(call).overdueAt = seq;
  }

  #says({ type, target, event, seq }: Entry): void {
    if (type !== 'message.received') return;
    const said = event.event as { type: string; n?: number; hash?: string; by?: string; retry?: boolean };
    if (said.n !== undefined) this.messages.set(said.n, (this.messages.get(said.n) ?? 0) + 1);
    if (said.type === 'troupe.approve') this.call(target).approved = { hash: said.hash ?? '', by: said.by ?? '', seq };
    if (said.type === 'troupe.deny') this.call(target).denied = true;
    if (said.type !== 'troupe.resolve') return;
    const call = this.call(target);
    call.open = undefined;
    if (said.retry !== true) return;
    call.retries += 1;
    // An approval is for one call: to begin again takes another, whatever was decided before.
    call.approved = undefined;
    call.denied = false;
  }
}

/** The call that a leaf works for: a tool's attempts are one call. */
export const callOf = (leaf: string): string => leaf.replace(/\/attempt(?::\d+)?$/, '');
