import { isDeepStrictEqual } from 'node:util';
import { isBeginning, type Entry, type EntryOf } from '../../../protocol/entry.ts';
import type { RunFacts } from './facts.ts';

/** What a fork has of another run: its entries up to the cut, each as it is there. */

/** What is wrong with one of them. `origin`: the run that was forked. */
export function miscopied(
  copy: Entry,
  { event: { replaced } }: EntryOf<'run.forked'>,
  origin: RunFacts,
): string | undefined {
  const own = origin.entries[copy.seq - 1];
  const named = `entry ${copy.seq} (${copy.type} ${copy.target})`;
  if (own === undefined) return `${named} is not in the run that it was forked from`;
  const { epoch, at, target } = own;
  if (copy.epoch !== epoch || copy.at !== at || copy.target !== target)
    return `${named} is ${own.type} ${target} of epoch ${epoch} at ${at} in the run that it was forked from`;
  if (replaced.includes(copy.seq)) return undefined;
  if (copy.type !== own.type) return `${named} is ${own.type} in the run that it was forked from`;
  return isDeepStrictEqual(kept(copy), kept(own))
    ? undefined
    : `${named} is another one in the run that it was forked from`;
}

/** What a fork does not give another value. */
function kept(entry: Entry): unknown {
  if (isBeginning(entry)) return entry.event.input;
  if (entry.type === 'run.resumed') return entry.event.by;
  return entry.event;
}
