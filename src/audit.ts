import { createStore } from '@xstate/store';
import { asked, limitsIn, nameOf, type Said } from './asked.ts';
import { Ledger } from './ledger.ts';
import { amount, amountOf, limitsOf, subtract, type Amount } from './protocol/amount.ts';
import { rowOf, type AuditRow } from './protocol/audit.ts';
import { beginOf, isEnd, type Begin, type Effect, type Entry, type EntryOf } from './protocol/entry.ts';
import { Tracer } from './trace.ts';

/**
 * Who asked for what of a run, what was decided and what it cost, from its entries alone.
 *
 * U1. Whatever somebody asked for is one row, and so is every attempt of a call, when it has ended.
 * U2. An entry gives one row at most, but for one that ends all that is under way: it gives a row for each of these before its own.
 * U3. What a row costs is what the ledger has taken for it: the rows before the end cost together what the end says.
 * U4. Entries that a fork has copied are rows of the run that it was forked from; here they are a cost of the fork.
 * U5. No inputs, outputs, events or messages of errors: they may hold what is not for everybody.
 */

/** An attempt that is under way. */
interface Attempt {
  attempt: number;
  effect: Effect;
  source: string;
  /** Steps that its call has taken so far and that no row has said. */
  steps: number;
  /** The run that it has begun. */
  child: string | undefined;
  /** It was under way in the run that this one was forked from. */
  copied: boolean;
}

type Rest = Said & { spends?: Readonly<Amount> };
type Ended = EntryOf<'run.completed' | 'run.failed' | 'run.killed'>;
type Ending = EntryOf<'leaf.succeeded' | 'leaf.failed' | 'leaf.abandoned'>;

/** Tells the rows of one run. It is given every entry, in order. */
export class Auditor {
  readonly #ledger = new Ledger();
  readonly #tracer = new Tracer();
  readonly #open = new Map<string, Attempt>();
  /** Tools by the calls of them. */
  readonly #tools = new Map<string, string>();
  #created: EntryOf<'run.created'> | undefined;
  /** Up to here the entries are another run's. */
  #copied = 0;
  /** By the entry looked at; time is the run's, not a call's. */
  #taken = amount();

  get tenant(): string | null {
    return this.#created?.event.tenant ?? null;
  }

  rows(entry: Entry): AuditRow[] {
    if (entry.type === 'run.created') {
      this.#created = entry;
      this.#copied = entry.event.origins.at(-1)?.at ?? 0;
    }
    const { type } = entry;
    const left = isEnd(type) || type === 'run.continued' ? this.#leave(entry) : [];
    const before = { ...this.#ledger.spent };
    this.#ledger.note(entry);
    this.#taken = { ...this.#ledger.spent };
    subtract(this.#taken, before);
    this.#taken.wallClockMs = 0;
    const durationMs = this.#tracer.durationMs(entry) ?? null;
    const rows = [...left, ...this.#own(entry)].map((rest) => this.#row(entry, { durationMs, ...rest }));
    return entry.seq <= this.#copied ? [] : rows;
  }

  #row(entry: Entry, { spends, ...rest }: Rest): AuditRow {
    const { at, run, seq, cause } = entry;
    const cost = spends === undefined ? null : limitsOf(spends);
    return rowOf({ at, run, seq, tenant: this.tenant, cause, cost, ...rest });
  }

  /** What is under way ends with the run, or with its body. */
  #leave(entry: Entry): Rest[] {
    const { type } = entry;
    const costs = isEnd(type) ? (entry as Ended).event.costs : undefined;
    const outcome = type === 'run.continued' ? 'abandoned' : 'unknown';
    const rows = Array.from(this.#open, ([key, attempt]) => {
      const said = costs?.[key];
      const spends = said === undefined ? { ...this.#ledger.reservedBy(key) } : amountOf(said);
      spends.steps += attempt.steps;
      return { ...this.#call(key, attempt), outcome, spends, durationMs: null };
    });
    this.#open.clear();
    this.#tools.clear();
    return rows;
  }

  #own(entry: Entry): Rest[] {
    switch (entry.type) {
      case 'run.started':
        return this.#started();
      case 'run.forked':
        return [this.#forked(entry)];
      case 'leaf.started':
        return this.#begun(entry);
      case 'leaf.succeeded':
      case 'leaf.failed':
      case 'leaf.abandoned':
        return this.#ended(entry);
      case 'run.completed':
      case 'run.failed':
      case 'run.killed':
        return this.#over(entry);
      default:
        return asked(entry);
    }
  }

  /** Not with `run.created`: a run that was killed before it was begun has that, too. */
  #started(): Rest[] {
    if (this.#created === undefined) return [];
    const { by, definition, version, budget, parent } = this.#created.event;
    const cause = parent === null ? null : `${parent.run}/${parent.call}`;
    return [{ action: 'start', by, about: `${definition}@${version}`, limits: limitsIn(budget), cause }];
  }

  #forked({ event: { by, origin, replaced } }: EntryOf<'run.forked'>): Rest {
    // What they cost is the other run's.
    for (const attempt of this.#open.values()) {
      attempt.copied = true;
      attempt.steps = 0;
    }
    return {
      action: 'fork',
      by,
      about: `${origin.run}/${origin.at}`,
      reason: replaced.length === 0 ? null : `with other results at ${replaced.join(', ')}`,
      limits: limitsIn(this.#ledger.budget),
      spends: { ...this.#ledger.spent, wallClockMs: 0 },
    };
  }

  #begun({ target, event }: EntryOf<'leaf.started'>): Rest[] {
    const before = this.#open.get(target);
    const { steps } = this.#taken;
    const next = this.#attempt(target, event, steps);
    this.#open.set(target, next);
    if (event.by !== undefined) {
      const spends = { ...this.#taken, steps: before?.steps ?? 0 };
      return [{ ...this.#call(target, before ?? next), action: 'resolve', by: event.by, outcome: 'retry', spends }];
    }
    if (before === undefined || before.copied) return [];
    const spends = { ...amount(), steps: before.steps };
    return [{ ...this.#call(target, before), outcome: 'unknown', spends }];
  }

  #ended(entry: Ending): Rest[] {
    const { type, target, event } = entry;
    const begin = beginOf(entry);
    const attempt = this.#open.get(target) ?? (begin && this.#attempt(target, begin, 0));
    this.#open.delete(target);
    if (attempt === undefined) return isRefusal(entry) ? [this.#refused(entry)] : [];
    const spends = { ...this.#taken, steps: this.#taken.steps + attempt.steps };
    const outcome = type.slice('leaf.'.length);
    const error = type === 'leaf.failed' ? nameOf(event.error) : null;
    const row = { ...this.#call(target, attempt), outcome, error, spends };
    const by = type === 'leaf.abandoned' ? undefined : event.by;
    // A run that it has begun says how it ended.
    return by === undefined || by === attempt.child ? [row] : [{ ...row, action: 'resolve', by }];
  }

  #refused({ target, event }: EntryOf<'leaf.failed'>): Rest {
    return { action: 'call', by: this.#asker, about: target, outcome: 'refused', error: nameOf(event.error) };
  }

  #over({ type, event }: Ended): Rest[] {
    const outcome = type.slice('run.'.length);
    const error = type === 'run.failed' ? nameOf(event.error) : null;
    const end: Rest = { action: 'end', outcome, error, spends: this.#ledger.spent };
    if (type !== 'run.killed') return [end];
    return [{ action: 'kill', by: event.by, reason: event.reason, durationMs: null }, end];
  }

  #attempt(key: string, begin: Begin, steps: number): Attempt {
    const { attempt, effect, child } = begin;
    return { attempt, effect, source: this.#source(key, begin), steps, child: child?.run, copied: false };
  }

  /** By its key; the first attempt of a tool's call says in its input which. */
  #source(key: string, begin: Begin): string {
    const [call, name] = [key.slice(0, key.lastIndexOf('/')), key.slice(key.lastIndexOf('/') + 1)];
    const tool = toolOf(begin);
    if (tool !== undefined) this.#tools.set(call, tool);
    const source = name.replace(/:\d+$/, '');
    const known = source === 'attempt' ? this.#tools.get(call) : undefined;
    return known ?? source.replaceAll(/%(25|2f|3a|40)/g, (escaped) => decodeURIComponent(escaped));
  }

  get #asker(): string | null {
    return this.#created?.event.by ?? null;
  }

  #call(about: string, { attempt, effect, source }: Attempt): Rest {
    return { action: 'call', by: this.#asker, about, attempt, effect, source };
  }
}

const TOOL = /^[\w.-]{1,257}$/;

/** Only what counts as a tool call, and begins no run, was given its input by the runtime: that of anything else is the user's (U5). */
function toolOf({ input, reserved, child }: Begin): string | undefined {
  if (child !== undefined || (reserved?.toolCalls ?? 0) < 1) return undefined;
  const { tool } = (input ?? {}) as { tool?: unknown };
  return typeof tool === 'string' && TOOL.test(tool) ? tool : undefined;
}

const isRefusal = (entry: Ending): entry is EntryOf<'leaf.failed'> =>
  entry.type === 'leaf.failed' && (entry.event.error as { notPerformed?: unknown } | null)?.notPerformed === true;

export function* audited(entries: Iterable<Entry>): Generator<AuditRow> {
  const auditor = new Auditor();
  for (const entry of entries) yield* auditor.rows(entry);
}

interface Audit {
  readonly rows: readonly AuditRow[];
}

class Folded implements Audit {
  readonly rows: readonly AuditRow[];
  readonly #auditor: Auditor;

  constructor(before: Audit, entry: Entry) {
    this.#auditor = #auditor in before ? before.#auditor : new Auditor();
    const rows = this.#auditor.rows(entry);
    this.rows = rows.length === 0 ? before.rows : [...before.rows, ...rows];
  }
}

/** A store that folds a run's entries, in order, into its rows. Only its newest can be gone on with. */
export const auditStore = () =>
  createStore({
    context: { rows: [] } as Audit,
    on: { entry: (audit, { entry }: { entry: Entry }): Audit => new Folded(audit, entry) },
  });
