import type { Backend, Journal } from './backend.ts';
import { unseal, type Read } from './chain.ts';
import type { RunInfo } from './options.ts';
import type { Entry } from './protocol/entry.ts';
import { NotFoundError } from './protocol/errors.ts';
import type { OwnerId, RunId } from './protocol/ids.ts';
import { NO_SUMMARY, summarised, type Summary } from './summary.ts';

/** Runs as their store has them. */

/** What follows the entry that was read last, each with its hash. */
export const entriesIn = (
  journal: Journal,
  run: RunId,
  after?: Read,
): AsyncGenerator<{ entry: Entry; hash: Uint8Array }> => unseal(run, journal.read(run, (after?.seq ?? 0) + 1), after);

/** @throws NotFoundError */
export async function summaryIn(journal: Journal, run: RunId): Promise<Summary> {
  let summary = NO_SUMMARY;
  for await (const { entry } of entriesIn(journal, run)) summary = summarised(summary, entry);
  if (summary.entries === 0) throw noRun(run);
  return summary;
}

/** @throws NotFoundError */
export async function mustBeThere(journal: Journal, run: RunId): Promise<void> {
  if ((await journal.tail(run)) === undefined) throw noRun(run);
}

const noRun = (run: RunId): NotFoundError => new NotFoundError(`There is no run ${run}.`, { run });

export interface Filter {
  status?: RunInfo['status'];
  tenant?: string;
  unfinished?: boolean;
}

/** Oldest first. `registered`: runs that have not ended, and perhaps some that have; of these alone where only those are asked for. */
export async function listed(
  backend: Backend,
  registered: readonly { run: RunId; owner: OwnerId }[],
  { status, tenant, unfinished }: Filter,
): Promise<RunInfo[]> {
  const owners = new Map(registered.map(({ run, owner }) => [run, owner]));
  const infos: RunInfo[] = [];
  for await (const run of unfinished === true ? owners.keys() : backend.journal.list()) {
    const info = await infoOf(backend, run, owners.get(run));
    if (unfinished === true && info.endedAt !== undefined) continue;
    if ((status ?? info.status) === info.status && (tenant ?? info.tenant) === info.tenant) infos.push(info);
  }
  return infos.sort((a, b) => a.createdAt - b.createdAt);
}

async function infoOf(backend: Backend, run: RunId, owner: OwnerId | undefined): Promise<RunInfo> {
  try {
    const { definition, tenant, parent, status, entries, createdAt, endedAt } = await summaryIn(backend.journal, run);
    const owned = endedAt === undefined && owner !== undefined && (await backend.alive(owner));
    return { run, definition, tenant, parent, status, entries, createdAt, endedAt, owned };
  } catch (error) {
    const unknown = { definition: '', tenant: '', parent: null, entries: 0, createdAt: 0, endedAt: undefined };
    return { run, ...unknown, status: 'unreadable', owned: false, error };
  }
}
