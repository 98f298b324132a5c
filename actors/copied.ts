import type { Replacement } from '../src/define/replacement.ts';
import { Ledger } from '../src/ledger.ts';
import { limitsOf, subtract } from '../src/protocol/amount.ts';
import {
  beginOf,
  isBeginning,
  type Beginning,
  type Budget,
  type Entry,
  type EntryEvents,
  type EntryOf,
  type Limits,
  type Origin,
} from '../src/protocol/entry.ts';
import { ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { postOf } from '../src/protocol/inbox.ts';

/** The entries of a run as another one begins with them. */

export interface ForkAsked {
  id: RunId;
  /** The last entry that is the other's: its seq, or the label of a checkpoint. Undefined: the last before its end. */
  at: number | string | undefined;
  owner: string;
  by: string;
  /** Undefined: as it was. */
  budget: Budget | null | undefined;
  /** Undefined: as it was. */
  definition: Pick<EntryEvents['run.created'], 'definition' | 'version' | 'chart' | 'spec'> | undefined;
  /** By seq. */
  replace: ReadonlyMap<number, Replacement>;
}

/** @throws ValidationError where something is to be replaced that is no result */
export function copied(from: RunId, prefix: readonly Entry[], asked: ForkAsked): Entry[] {
  mustBeResults(from, prefix, asked.replace);
  const last = prefix.findLast(isBeginning);
  const paid = costsOf(prefix, asked.replace);
  return prefix.map((one): Entry => {
    const entry: Entry = { ...one, run: asked.id, cause: causeIn(from, one.cause) };
    switch (entry.type) {
      case 'run.created':
      case 'run.continued':
        return begunAgain(entry, { run: from, at: prefix.length }, last, asked);
      case 'run.resumed':
        return asked.budget === undefined ? entry : { ...entry, event: { ...entry.event, budget: null } };
      case 'leaf.succeeded':
      case 'leaf.failed':
        return replaced(entry, asked, paid.get(entry.seq));
      default:
        return entry;
    }
  });
}

/** Its inbox is its own, and begins with nothing in it. */
const causeIn = (run: RunId, cause: Entry['cause']): Entry['cause'] =>
  postOf(cause) === 0 ? cause : `${run}/${cause}`;

function begunAgain(
  entry: Beginning,
  origin: Origin,
  last: Beginning | undefined,
  { owner, by, budget, definition }: ForkAsked,
): Entry {
  const { event } = entry;
  // A body before, of another version of the same definition, stays what it was.
  const isOfLast = event.version === last?.event.version;
  const changed = {
    owner,
    by,
    parent: null,
    origins: [...event.origins, origin],
    ...(budget !== undefined && { budget }),
    ...(definition !== undefined && (isOfLast || definition.definition !== event.definition) && definition),
  };
  return entry.type === 'run.created'
    ? { ...entry, event: { ...entry.event, ...changed } }
    : { ...entry, event: { ...entry.event, ...changed, inbox: 0 } };
}

/** It began as it had, and has cost what it had. */
function replaced(
  entry: EntryOf<'leaf.succeeded' | 'leaf.failed'>,
  { replace, by }: ForkAsked,
  paid: Limits | undefined,
): Entry {
  const instead = replace.get(entry.seq);
  if (instead === undefined) return entry;
  const { v, run, seq, epoch, at, target, cause, event } = entry;
  const place = { v, run, seq, epoch, at, target, cause };
  const [begun, cost] = [beginOf(entry), event.cost ?? paid];
  const kept = { ...(begun && { begun }), ...(cost && { cost }), by };
  if ('error' in instead) return { ...place, type: 'leaf.failed', event: { error: instead.error, ...kept } };
  return { ...place, type: 'leaf.succeeded', event: { output: instead.output, ...kept } };
}

/** What these ends cost, by seq: where an end does not say so, that depends on what it was. */
function costsOf(prefix: readonly Entry[], replace: ForkAsked['replace']): ReadonlyMap<number, Limits> {
  const [costs, ledger] = [new Map<number, Limits>(), new Ledger()];
  if (replace.size === 0) return costs;
  for (const entry of prefix) {
    const before = { ...ledger.spent };
    ledger.note(entry);
    if (!replace.has(entry.seq)) continue;
    const cost = { ...ledger.spent };
    subtract(cost, before);
    // A step is its begin's, and time is the run's.
    costs.set(entry.seq, limitsOf({ ...cost, steps: 0, wallClockMs: 0 }));
  }
  return costs;
}

function mustBeResults(run: RunId, prefix: readonly Entry[], replace: ForkAsked['replace']): void {
  for (const seq of replace.keys()) {
    const type = prefix[seq - 1]?.type;
    if (type !== 'leaf.succeeded' && type !== 'leaf.failed')
      throw new ValidationError(
        `Run ${run}: entry ${seq} is ${type ?? 'not in what is forked'}; only a result (leaf.succeeded, leaf.failed) up to entry ${prefix.length} can be replaced.`,
        { run, seq, type, at: prefix.length },
      );
  }
}
