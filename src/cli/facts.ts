import { childIn } from '../../actors/child.ts';
import { Ledger } from '../ledger.ts';
import { RESOURCES, spentOf } from '../protocol/amount.ts';
import type { Child, Entry, Limits, Resource, Spent } from '../protocol/entry.ts';
import { OutcomesUnknown } from '../summary.ts';

export interface Checkpoint {
  label: string;
  /** The entry that it names. */
  at: number;
}

/** Why a run is paused; `by` null: its budget is spent, of which `exhausted` is the limit that was reached. */
export interface Pause {
  reason: string;
  by: string | null;
  exhausted?: Resource;
}

/** What a run's entries say of it besides its summary. It is given all of them, in order. */
export class Facts {
  readonly #ledger = new Ledger();
  /** Calls under way, by key, with the run that each has begun. */
  readonly #open = new Map<string, Child | undefined>();
  readonly children: Child[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly #outcomes = new OutcomesUnknown();

  note(entry: Entry): void {
    this.#ledger.note(entry);
    this.#outcomes.note(entry);
    const child = childIn(entry);
    if (child !== undefined && this.children.every(({ run }) => run !== child.run)) this.children.push(child);
    switch (entry.type) {
      case 'leaf.started':
        this.#open.set(entry.target, child);
        return;
      case 'leaf.succeeded':
      case 'leaf.failed':
      case 'leaf.abandoned':
        this.#open.delete(entry.target);
        return;
      case 'run.continued':
        this.#open.clear();
        return;
      case 'checkpoint':
        this.checkpoints.push({ label: entry.event.label, at: entry.seq - 1 });
        return;
      case 'message.received':
        // Somebody has said what became of a machine's call.
        if (entry.event.event.type === 'troupe.resolve')
          for (const call of this.#open.keys()) if (call.startsWith(`${entry.target}/`)) this.#open.delete(call);
        return;
      case 'run.completed':
      case 'run.failed':
      case 'run.killed':
        this.#open.clear();
    }
  }

  get paused(): Pause | undefined {
    const { paused } = this.#ledger;
    if (paused === undefined || 'by' in paused) return paused;
    const { resource, spent, reserved, limit } = paused;
    const held = reserved === undefined ? '' : `, ${reserved} held back`;
    return { reason: `${resource} ${spent} of ${limit} spent${held}`, by: null, exhausted: resource };
  }

  /** Irreversible calls that have begun and have no end on record, as a receipt of a kill has them. */
  get outcomesUnknown(): string[] {
    return this.#outcomes.calls;
  }

  get open(): ReadonlyMap<string, Child | undefined> {
    return this.#open;
  }

  /** What is limited. */
  get limits(): Limits {
    const { budget } = this.#ledger;
    return Object.fromEntries(RESOURCES.flatMap((one) => (budget?.[one] === undefined ? [] : [[one, budget[one]]])));
  }

  /** Calls under way at what they hold back. */
  get spent(): Spent {
    return spentOf(this.#ledger.inAll);
  }
}
