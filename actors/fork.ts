import { GENESIS, seal, unseal } from '../src/chain.ts';
import type { Journal, Stored } from '../src/backend.ts';
import type { Replacement } from '../src/define/replacement.ts';
import { ENTRY_VERSION, isEnd, type Beginning, type Entry } from '../src/protocol/entry.ts';
import { NotFoundError, ValidationError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { text } from '../src/protocol/shown.ts';
import { copied, type ForkAsked } from './copied.ts';
import { foldRun, migrate, type Migration } from './owner.ts';
import type { Body, RunPorts } from './run/ports.ts';
import type { Run } from './run.ts';
import { Staged } from './staged.ts';

/**
 * A run that begins as another one did.
 *
 * F1. Its journal is the other's up to the cut, entry for entry, sealed anew under its own id; then `run.forked` under the next epoch.
 * F2. It is folded before anything is written: what does not fit is refused, and nothing is there.
 * F3. All of it is one append, expecting none.
 * F4. What was taken before the cut was taken by the run it comes from (`takerOf`): what is derived there from a run's id is derived from
 *     that one's. Calls that were open at the cut are its own: they begin again under keys of their own, or are in doubt.
 */

/** A fork that is not written yet. */
export interface StagedFork {
  run: Run;
  /** False when a run of that id exists. It is to go live after that. */
  commit: () => Promise<boolean>;
}

/** @throws NotFoundError, ValidationError, ReplayDivergenceError, DefinitionChangedError, CorruptJournalError */
export async function stageFork(
  from: RunId,
  asked: ForkAsked,
  bodyOf: (beginning: Beginning) => { body: Body; migrations: readonly Migration[] },
  ports: RunPorts,
): Promise<StagedFork> {
  const { id, owner } = asked;
  if ((await ports.journal.tail(id)) !== undefined) throw exists(id);
  const prefix = await prefixOf(from, asked.at, ports.journal);
  const staged = new Staged(
    ports.journal,
    id,
    sealed([...copied(from, prefix, asked), forked(from, prefix, asked, ports)]),
  );
  const own = { ...ports, journal: staged };
  const { run, migrations } = await foldRun(id, bodyOf, own, {
    onEntry: (folded, { seq }) => mustBeTaken(from, folded, prefix[seq], asked.replace.get(seq + 1)),
  });
  const next = migrations.length > 0 && run.system.root.getSnapshot().status === 'active';
  // Nobody else can be faster: nobody else sees it.
  const migrated = next ? await migrate(run, migrations, owner, own) : undefined;
  return { run: migrated ?? run, commit: () => staged.commit() };
}

/** Asked while the call is under way: afterwards nobody knows what it could have given. @throws ValidationError */
function mustBeTaken(
  from: RunId,
  { system }: Run,
  recorded: Entry | undefined,
  instead: Replacement | undefined,
): void {
  if (recorded === undefined || instead === undefined || !('output' in instead)) return;
  const { seq, target } = recorded;
  if (system.accepts(target, instead.output)) return;
  throw new ValidationError(
    `Run ${from}: the output that is to replace entry ${seq} does not fit the output schema of ${target}; give one that the call could have given.`,
    { run: from, seq, call: target },
  );
}

export const exists = (id: RunId): ValidationError =>
  new ValidationError(`Run ${id} exists; fork under another id.`, { run: id });

async function prefixOf(from: RunId, at: number | string | undefined, journal: Journal): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { entry } of unseal(from, journal.read(from))) {
    if (isEnd(entry.type)) break;
    entries.push(entry);
    if (entry.seq === at && at >= 2) break;
  }
  if (entries.length === 0) throw new NotFoundError(`There is no run ${from}.`, { run: from });
  return entries.slice(0, cutOf(from, entries, at));
}

function cutOf(run: RunId, entries: readonly Entry[], at: number | string | undefined): number {
  const cut = typeof at === 'string' ? labelled(run, entries, at) : (at ?? entries.length);
  if (Number.isInteger(cut) && cut >= 2 && cut <= entries.length) return cut;
  throw new ValidationError(
    `Run ${run} can be forked at its entries 2 to ${entries.length}, before its end, not at ${text(at ?? cut)}.`,
    { run, at, last: entries.length },
  );
}

function labelled(run: RunId, entries: readonly Entry[], label: string): number {
  const checkpoints = entries.filter((entry) => entry.type === 'checkpoint');
  const found = checkpoints.findLast(({ event }) => event.label === label);
  if (found !== undefined) return found.seq;
  const labels = checkpoints.map(({ event }) => event.label);
  throw new NotFoundError(
    `Run ${run} has no checkpoint '${label}' before its end; checkpoints: ${labels.join(', ') || 'none'}.`,
    { run, label, labels },
  );
}

function forked(from: RunId, prefix: readonly Entry[], asked: ForkAsked, { clock }: RunPorts): Entry {
  const { id: run, owner, by, replace } = asked;
  const { seq = 0, epoch = 0, at = 0 } = prefix.at(-1) ?? {};
  const seqs = Array.from(replace.keys()).toSorted((a, b) => a - b);
  return {
    v: ENTRY_VERSION,
    run,
    seq: seq + 1,
    epoch: epoch + 1,
    at: Math.max(at, clock.now()),
    type: 'run.forked',
    target: 'run',
    event: { owner, by, origin: { run: from, at: seq }, replaced: seqs },
    cause: null,
  };
}

function sealed(entries: readonly Entry[]): Stored[] {
  const stored: Stored[] = [];
  for (const entry of entries) stored.push(seal(entry, stored.at(-1)?.hash ?? GENESIS));
  return stored;
}
