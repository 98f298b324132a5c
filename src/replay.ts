import { checkedOptions } from './define/options.ts';
import type { Entry } from './protocol/entry.ts';
import { NotFoundError, ValidationError } from './protocol/errors.ts';
import type { RunId } from './protocol/ids.ts';
import { text } from './protocol/shown.ts';
import type { CallInDoubt } from './handle.ts';
import type { Summary } from './summary.ts';

/** A run as its journal has it: looked at, never executed. */

/** An actor, and the state it is in: of a machine its value, of others `active`, `done` … */
export interface ActorState {
  actor: string;
  state: unknown;
}

/** A run as it stood once entry `seq` was taken. */
export interface Moment {
  seq: number;
  entry: Entry;
  status: string;
  /** Every live actor by its key, parents before children. */
  actors: ActorState[];
  /** Of the body; an actor in its context stands there as `{ actor: key }`. */
  snapshot: { value: unknown; context: unknown };
  inDoubt: CallInDoubt[];
}

/** What one entry changed. */
export interface Step {
  seq: number;
  entry: Entry;
  status: string;
  /** Actors that entered another state: `from` undefined for one that began, `to` undefined for one that is gone. */
  changed: { actor: string; from: unknown; to: unknown }[];
}

/** How a journal fits another version of its machine. */
export type Difference =
  | {
      equal: true;
      entries: number;
      /** `states`: after each entry they are the same, and so are the contexts of its machines; `fit`: the definition that wrote it is not known here, so that only the entries tell. */
      compared: 'states' | 'fit';
      /** Places in contexts that hold what cannot be kept, a function say, and so were not compared. */
      skipped?: string[];
    }
  | {
      equal: false;
      /** The first entry at which they differ. */
      seq: number;
      entry: Entry;
      /** What the journal has, or the machine that wrote it. */
      expected: unknown;
      got: unknown;
      /** Of the new version, before that entry. */
      before: ActorState[];
    };

interface FoldOptions {
  /** The last entry that is taken; all by default. */
  upTo?: number | undefined;
  /** Called after each entry; `look` is valid until it returns. */
  each?: (entry: Entry, look: () => Moment) => void;
}
/** Folds a run from its first entry. */
export type Fold = (options?: FoldOptions) => Promise<Moment>;

/** What a replay is made of. */
export interface Replayed {
  run: RunId;
  status: string;
  summary: Summary;
  inDoubt: CallInDoubt[];
  actors: ActorState[];
}

const STEPS = { from: true, to: true } as const;

export class Replay implements Replayed {
  readonly run: RunId;
  readonly entries: number;
  readonly status: string;
  readonly summary: Summary;
  /** Calls somebody must decide; of a run that nobody alive owns, those that a recovery would find. */
  readonly inDoubt: CallInDoubt[];
  /** Every actor that lives at its last entry, and the state it is in. */
  readonly actors: ActorState[];
  /** Always true: a replay that is not equal rejects with ReplayDivergenceError. */
  readonly equal = true;
  readonly #fold: Fold;

  constructor({ run, status, summary, inDoubt, actors }: Replayed, fold: Fold) {
    this.run = run;
    this.entries = summary.entries;
    this.status = status;
    this.summary = summary;
    this.inDoubt = inDoubt;
    this.actors = actors;
    this.#fold = fold;
  }

  /** As it stood at an entry: its seq, or the label of a checkpoint, the last of that name. @throws ValidationError, NotFoundError */
  async at(place: number | string): Promise<Moment> {
    return this.#fold({ upTo: typeof place === 'string' ? await this.#labelled(place) : this.#mustHave(place) });
  }

  /** Forward, entry by entry; `from` and `to` included, the first and the last by default. @throws ValidationError */
  async *steps(options: { from?: number; to?: number } = {}): AsyncGenerator<Step> {
    const { from = 1, to = this.entries } = checkedOptions(options, STEPS, 'steps()');
    this.#mustHave(from);
    this.#mustHave(to);
    const steps: Step[] = [];
    let before: ActorState[] = [];
    await this.#fold({
      upTo: to,
      each: (entry, look) => {
        if (entry.seq < from - 1) return;
        const { status, actors } = look();
        if (entry.seq >= from) steps.push({ seq: entry.seq, entry, status, changed: changes(before, actors) });
        before = actors;
      },
    });
    yield* steps;
  }

  async #labelled(label: string): Promise<number> {
    const seqs = new Map<string, number>();
    await this.#fold({
      each: (entry) => {
        if (entry.type === 'checkpoint') seqs.set(entry.event.label, entry.seq);
      },
    });
    const seq = seqs.get(label);
    if (seq !== undefined) return seq;
    const labels = Array.from(seqs.keys());
    throw new NotFoundError(
      `Run ${this.run} has no checkpoint '${label}'; checkpoints: ${labels.join(', ') || 'none'}.`,
      { run: this.run, label, labels },
    );
  }

  #mustHave(seq: number): number {
    if (Number.isInteger(seq) && seq >= 1 && seq <= this.entries) return seq;
    throw new ValidationError(`Run ${this.run} has no entry ${text(seq)}: it has ${this.entries}, from 1.`, {
      run: this.run,
      seq,
      entries: this.entries,
    });
  }
}

/** In the order of the actors that are there, then those that are gone. */
function changes(before: readonly ActorState[], now: readonly ActorState[]): Step['changed'] {
  const was = new Map(before.map(({ actor, state }) => [actor, state]));
  const is = new Set(now.map(({ actor }) => actor));
  const changed = now.flatMap(({ actor, state }) =>
    JSON.stringify(was.get(actor)) === JSON.stringify(state) ? [] : [{ actor, from: was.get(actor), to: state }],
  );
  const gone = before.filter(({ actor }) => !is.has(actor));
  return [...changed, ...gone.map(({ actor, state }) => ({ actor, from: state, to: undefined }))];
}
