import { beginOf, type Entry } from '../../../protocol/entry.ts';
import type { Width } from '../../../protocol/receipt.ts';
import type { RunFacts } from './facts.ts';

/** Kill switches as those know them who asked for them: what is off, and what is not any more. */

interface Thrown {
  readonly width: Width;
  /** What the kill said that it could not reach. */
  readonly left: ReadonlySet<string>;
}

/** What is known of all kills and lifts of one width. */
interface Known {
  off: Thrown | undefined;
  /** Asked for, and not answered: they may come about at any time. */
  kills: number;
  lifts: number;
  /** How many lifts, and kills, there were. */
  liftsAsked: number;
  killsAsked: number;
  /** Somebody was told that it is on again, when so many runs had been created; nobody has asked for a kill since. */
  onSince: number | undefined;
}

const REASON = 'all of ';
/** Before the name of the one run that somebody kills. */
export const ENOUGH = 'enough of ';
const nameOf = (width: Width): string => JSON.stringify(width);

/** What is said by whoever throws it; of a run that it kills this is on record. */
export const reasonOf = (width: Width): string => REASON + nameOf(width);
export const widthOf = (thrown: Width): Width => {
  if ('tenant' in thrown) return { tenant: thrown.tenant };
  return 'definition' in thrown ? { definition: thrown.definition } : { all: true };
};
const widthIn = (reason: string): Width | undefined =>
  reason.startsWith(REASON) ? (JSON.parse(reason.slice(REASON.length)) as Width) : undefined;

const isOf = (width: Width, { tenant, definition }: RunFacts): boolean => {
  if ('all' in width) return true;
  return 'tenant' in width ? width.tenant === tenant : width.definition === definition;
};

export class SwitchedOff {
  readonly #known = new Map<string, Known>();
  readonly #createdAs = new Map<string, number>();

  #of(width: Width): Known {
    const name = nameOf(width);
    let known = this.#known.get(name);
    if (known === undefined)
      this.#known.set(
        name,
        (known = { off: undefined, kills: 0, lifts: 0, liftsAsked: 0, killsAsked: 0, onSince: undefined }),
      );
    return known;
  }

  /** To be called with what a kill came to; not at all where nobody knows. */
  asked(width: Width): { acknowledged: (left: readonly string[]) => void; failed: () => void } {
    const known = this.#of(width);
    const { lifts, liftsAsked } = known;
    known.kills += 1;
    known.killsAsked += 1;
    known.onSince = undefined;
    return {
      acknowledged: (left) => {
        known.kills -= 1;
        if (lifts === 0 && liftsAsked === known.liftsAsked) known.off = { width, left: new Set(left) };
      },
      failed: () => (known.kills -= 1),
    };
  }

  lifting(width: Width): { acknowledged: () => void; failed: () => void } {
    const known = this.#of(width);
    const { kills, killsAsked } = known;
    known.off = undefined;
    known.lifts += 1;
    known.liftsAsked += 1;
    return {
      acknowledged: () => {
        known.lifts -= 1;
        if (kills === 0 && killsAsked === known.killsAsked) known.onSince = this.#createdAs.size;
      },
      failed: () => (known.lifts -= 1),
    };
  }

  /** A power cut may have taken back what was not flushed. `thrown`: what is left. */
  cut(thrown: readonly Width[]): void {
    const names = new Set(thrown.map(nameOf));
    for (const [name, known] of this.#known) {
      if (!names.has(name)) known.off = undefined;
      known.onSince = undefined;
    }
  }

  /** What is wrong with an entry. `family`: its run, and those above it. */
  check(entry: Entry, family: readonly RunFacts[]): { promise: string; what: string } | undefined {
    const [facts] = family;
    const { type, run, seq } = entry;
    if (type === 'run.created') this.#createdAs.set(run, this.#createdAs.size);
    if (facts === undefined) return undefined;
    if (type === 'run.killed') return this.#killed(entry.event.reason, run, family);
    if (beginOf(entry) === undefined) return undefined;
    for (const [name, { off }] of this.#known)
      if (off !== undefined && isOf(off.width, facts) && !off.left.has(run))
        return { promise: 'K1', what: `entry ${seq}: a call begins, though all of ${name} was killed before` };
    return undefined;
  }

  #killed(reason: string, run: string, family: readonly RunFacts[]): { promise: string; what: string } | undefined {
    const width = widthIn(reason);
    if (width === undefined) return undefined;
    if (!family.some((facts) => isOf(width, facts))) return { promise: 'N1', what: `it is killed as one of ${reason}` };
    const { onSince } = this.#of(width);
    const created = this.#createdAs.get(run);
    if (family.length === 1 && onSince !== undefined && created !== undefined && created >= onSince)
      return { promise: 'K1', what: `it was begun after that was lifted, and is killed as one of ${reason}` };
    return undefined;
  }
}
