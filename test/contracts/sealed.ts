import type { Stored } from '../../src/backend.ts';
import { GENESIS, seal } from '../../src/chain.ts';
import { ENTRY_VERSION } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';

/** Entries `after + 1 …` of a run, each sealed to the one before. */
export function sealed(run: RunId, count: number, { after = 0, epoch = 1, before = GENESIS } = {}): Stored[] {
  const entries: Stored[] = [];
  for (let seq = after + 1; seq <= after + count; seq += 1) {
    const entry = {
      v: ENTRY_VERSION,
      run,
      seq,
      epoch,
      at: 1,
      type: 'timer.fired',
      target: 't',
      event: null,
      cause: null,
    } as const;
    entries.push(seal(entry, entries.at(-1)?.hash ?? before));
  }
  return entries;
}
