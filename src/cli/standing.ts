import { TroupeError } from '../protocol/errors.ts';
import type { RunInfo } from '../options.ts';
import type { RunHandle } from '../run.ts';
import type { Troupe } from '../troupe.ts';
import { Facts } from './facts.ts';
import { waitsOf, type Wait } from './waits.ts';

/** How an unfinished run stands: what its list has of it, and what its entries say. */
export interface Standing {
  info: RunInfo;
  facts: Facts;
  /** Null: it cannot be told here. */
  waits: Wait[] | null;
}

/** Of more runs than this, and of a longer one, it costs too much to look. */
const MAX_RUNS = 200;
const MAX_ENTRIES = 2_000;

/** Of each unfinished run among these, by id; of the newest where there are many. */
export async function standings(troupe: Troupe, runs: readonly RunInfo[]): Promise<ReadonlyMap<string, Standing>> {
  const open = runs.filter(
    ({ endedAt, status, entries }) => endedAt === undefined && status !== 'unreadable' && entries <= MAX_ENTRIES,
  );
  const looked = new Map<string, Standing>();
  for (const info of open.slice(-MAX_RUNS)) {
    const standing = await standingOf(troupe, info);
    if (standing !== undefined) looked.set(info.run, standing);
  }
  return looked;
}

async function standingOf(troupe: Troupe, info: RunInfo): Promise<Standing | undefined> {
  try {
    const run = await troupe.attach(info.run);
    const facts = await factsOf(run, info.entries);
    return { info, facts, waits: waitsOf(facts, info.owned, await orUnknown(run.pending())) };
  } catch (error) {
    // It was cut, or damaged, since it was listed.
    if (error instanceof TroupeError) return undefined;
    throw error;
  }
}

/** Up to that entry: a run that goes on would never stop telling. */
async function factsOf(run: RunHandle, entries: number): Promise<Facts> {
  const facts = new Facts();
  for await (const entry of run.entries()) {
    facts.note(entry);
    if (entry.seq >= entries) break;
  }
  return facts;
}

/** Without its definition a run can be read, but not folded. */
async function orUnknown<T>(folded: Promise<T>): Promise<T | undefined> {
  try {
    return await folded;
  } catch (error) {
    if (error instanceof TroupeError) return undefined;
    throw error;
  }
}
