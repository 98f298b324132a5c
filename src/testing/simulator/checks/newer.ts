import type { Stored } from '../../../backend.ts';
import { entryOf, GENESIS, seal } from '../../../chain.ts';
import { encode } from '../../../codec.ts';
import { ENTRY_VERSION, type Entry } from '../../../protocol/entry.ts';
import { UnsupportedFormatError } from '../../../protocol/errors.ts';
import { DEFAULT_TENANT, runId } from '../../../protocol/ids.ts';
import type { Troupe } from '../../../troupe.ts';
import type { Disk } from '../store/disk.ts';

/** A run that a newer troupe has left in the store: it is refused by entry, and left as it is. */
export const NEWER = runId('newer');

/** Writes it, as of a process that is gone. */
export function leaveNewer(disk: Disk, definition: string, how: 'version' | 'type', at: number): void {
  const begun = {
    definition,
    version: '9',
    chart: '',
    input: null,
    owner: 'newer',
    by: 'newer',
    budget: null,
    spec: null,
  };
  const rest = { tenant: DEFAULT_TENANT, parent: null, origins: [] };
  const place = { v: ENTRY_VERSION, run: NEWER, epoch: 1, at, target: 'run', cause: null };
  const unknown = how === 'version' ? { v: 2, type: 'checkpoint' } : { type: 'run.dreamt' };
  const entries = [
    { ...place, seq: 1, type: 'run.created', event: { ...begun, ...rest } },
    { ...place, seq: 2, type: 'run.started', event: null },
    { ...place, seq: 3, event: { label: 'here', by: 'newer' }, ...unknown },
  ] as unknown as Entry[];
  const stored: Stored[] = [];
  for (const entry of entries) stored.push(seal(entry, stored.at(-1)?.hash ?? GENESIS));
  disk.append(NEWER, stored);
  const open = { run: NEWER, owner: 'newer', tenant: DEFAULT_TENANT, definition, chart: '' };
  disk.put(`open.${NEWER}`, Uint8Array.from(encode(open)));
  disk.flush();
}

/** What is wrong when all is over, if anything is. */
export async function newerChanged({ journals }: Disk, troupe: Troupe): Promise<string | undefined> {
  const [, , unknown, ...more] = journals.get(NEWER) ?? [];
  if (unknown === undefined) return 'what a newer troupe has written is gone';
  // Somebody may have killed everything.
  const other = more.map(({ bytes }) => entryOf(bytes)).find(({ type }) => type !== 'run.killed');
  if (other !== undefined) return `entry ${other.seq} (${other.type}) is written behind one that nobody here knows`;
  const told = await troupe.replay(NEWER).catch((error: unknown) => error);
  const seq = told instanceof UnsupportedFormatError ? (told.context as { seq?: number }).seq : undefined;
  return seq === unknown.seq ? undefined : `entry ${unknown.seq} is of a newer format; its replay is ${String(told)}`;
}
