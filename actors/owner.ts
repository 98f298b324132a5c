import type { Journal, Stored } from '../src/backend.ts';
import type { AnyMachineSnapshot } from 'xstate';
import { entryOf, GENESIS, seal, unseal, type Read } from '../src/chain.ts';
import type { Clock } from '../src/clock.ts';
import { toData } from '../src/codec.ts';
import {
  ENTRY_VERSION,
  isBeginning,
  isEnd,
  type Beginning,
  type Child,
  type Entry,
  type EntryEvents,
  type EntryOf,
} from '../src/protocol/entry.ts';
import {
  CorruptJournalError,
  DefinitionChangedError,
  JournalTooLongError,
  NotFoundError,
} from '../src/protocol/errors.ts';
import { ownerId, type RunId, type TenantId } from '../src/protocol/ids.ts';
import { text } from '../src/protocol/shown.ts';
import type { Ended } from './end.ts';
import { Run } from './run.ts';
import { again } from './run/continuing.ts';
import type { Body, RunPorts } from './run/ports.ts';

/**
 * How a run gets an owner, and how it loses it.
 *
 * O1. Creating a run is appending entry 1, expecting none: of two creators one wins.
 * O2. Taking a run over appends an entry with the next epoch; the owner before can append nothing after it.
 * O3. A kill is a takeover by nobody.
 */

/** Owns what no process can go on with: nobody of that name is ever alive. */
export const NOBODY = ownerId('nobody');

const WARN_ENTRIES = 10_000;
const MAX_ENTRIES = 100_000;
const YIELD_MS = 4;

const entry = <T extends Entry['type']>(
  run: RunId,
  at: { seq: number; epoch: number; at: number },
  type: T,
  event: EntryEvents[T],
  cause: number | null = null,
): Entry => ({ v: ENTRY_VERSION, run, ...at, type, target: 'run', event, cause }) as Entry;

/** Undefined when a run of that id exists. Resolves once the run is recorded; it is to go live with its first entries. */
export async function createRun(
  id: RunId,
  event: EntryEvents['run.created'],
  body: Body,
  ports: RunPorts,
): Promise<{ run: Run; first: Entry[] } | undefined> {
  const at = ports.clock.now();
  const created = entry(id, { seq: 1, epoch: 1, at }, 'run.created', event) as EntryOf<'run.created'>;
  const started = entry(id, { seq: 2, epoch: 1, at }, 'run.started', null, 1);
  const first = seal(created, GENESIS);
  const second = seal(started, first.hash);
  const appended = await ports.journal.append(id, [first, second], { epoch: 1, after: 0 });
  if (appended.status === 'refused') return undefined;
  const run = new Run(id, created, { seq: 2, epoch: 1, at, hash: second.hash }, body, ports);
  return { run, first: [started] };
}

export interface FoldOptions {
  /** The last entry that is folded. */
  upTo?: number;
  /** Seq of a `run.continued` to begin at: what is before is neither read nor checked. Otherwise from the first entry. */
  from?: number;
  onEntry?: (run: Run, entry: Entry) => void;
}

/**
 * The run as its journal has it, nothing executed.
 * @throws NotFoundError, CorruptJournalError, UnsupportedFormatError, ReplayDivergenceError, JournalTooLongError
 */
export async function foldRun<Known extends { body: Body }>(
  id: RunId,
  bodyOf: (beginning: Beginning) => Known,
  ports: RunPorts,
  { upTo, from = 1, onEntry }: FoldOptions = {},
): Promise<Known & { run: Run }> {
  let folded: (Known & { run: Run }) | undefined;
  let since = ports.clock.now();
  for await (const { entry: next, hash } of unseal(id, ports.journal.read(id, from), await before(id, from, ports))) {
    if (folded === undefined && !isBeginning(next)) {
      if (from > 1) return foldRun(id, bodyOf, ports, { ...(upTo && { upTo }), ...(onEntry && { onEntry }) });
      throw new CorruptJournalError(`Run ${id}: entry 1 is ${next.type}, not run.created.`, { run: id, seq: 1 });
    }
    const position = { seq: next.seq, epoch: next.epoch, hash, at: next.at };
    if (isBeginning(next)) {
      const known = bodyOf(next);
      const run = new Run(id, next, position, known.body, ports, folded?.run.summary);
      // Whoever began it again may not have come to killing it.
      if (folded !== undefined) run.orphans.inherit(folded.run);
      folded = { ...known, run };
    } else if (folded !== undefined) {
      mustBeShort(next, folded.run, ports);
      folded.run.advance(position);
      folded.run.fold(next);
    }
    if (folded !== undefined) onEntry?.(folded.run, next);
    if (next.seq === upTo) break;
    if (ports.clock.now() - since > YIELD_MS) {
      await new Promise<void>((resolve) => ports.clock.immediate(resolve));
      since = ports.clock.now();
    }
  }
  if (folded === undefined) throw new NotFoundError(`There is no run ${id}.`, { run: id });
  return folded;
}

/** The hash that the entry `from` must follow. */
async function before(id: RunId, from: number, { journal }: RunPorts): Promise<Read> {
  if (from > 1) for await (const { seq, hash } of journal.read(id, from - 1)) return { seq, hash };
  return { seq: 0, hash: GENESIS };
}

/** A run that was continued counts from its last beginning. @throws JournalTooLongError */
function mustBeShort({ seq }: Entry, { id, beginning }: Run, { report }: RunPorts): void {
  const entries = seq - beginning.seq + 1;
  if (entries === WARN_ENTRIES)
    report(
      new Error(`it has ${WARN_ENTRIES} entries and more; at ${MAX_ENTRIES} it will be refused (see continueAs)`),
      `run ${id}: fold`,
    );
  if (entries > MAX_ENTRIES)
    throw new JournalTooLongError(
      `Run ${id} has more than ${MAX_ENTRIES} entries; it is not folded. Give its definition continueAs, or split it into several runs.`,
      { run: id, entries, limit: MAX_ENTRIES },
    );
}

/** What taking a run over appends. */
export function recoveredNext({ id, position: { seq, epoch, at } }: Run, owner: string, clock: Clock): Entry {
  return entry(id, { seq: seq + 1, epoch: epoch + 1, at: Math.max(at, clock.now()) }, 'run.recovered', { owner });
}

/** Makes this owner a folded run's; it is to go live. False when somebody else was faster. */
export async function takeOver(run: Run, owner: string, ports: RunPorts): Promise<boolean> {
  const recovered = recoveredNext(run, owner, ports.clock);
  const stored = seal(recovered, run.position.hash);
  const { seq, epoch, at } = recovered;
  const appended = await ports.journal.append(run.id, [stored], { epoch, after: seq - 1 });
  if (appended.status === 'refused') return false;
  run.advance({ seq, epoch, at, hash: stored.hash });
  run.fold(recovered);
  return true;
}

/** From one version of a definition to the next. */
export interface Migration {
  readonly to: Body & { readonly definition: string; readonly version: string; readonly chart: string };
  /** The input of the next one's body. */
  readonly input: (snapshot: AnyMachineSnapshot) => unknown;
}

/**
 * Takes a folded run over and begins it again, version by version. Calls under way are abandoned, and what they had begun is killed once it is live.
 * Undefined when somebody else was faster. @throws DefinitionChangedError when a call is in doubt, it is in its last turn, or a migration throws
 */
export async function migrate(
  run: Run,
  migrations: readonly Migration[],
  owner: string,
  ports: RunPorts,
): Promise<Run | undefined> {
  const after = run.position.seq;
  const recovered = recoveredNext(run, owner, ports.clock);
  const { epoch, at } = recovered;
  const stored = [seal(recovered, run.position.hash)];
  run.fold(recovered);
  const calls = run.inDoubt().map(({ call }) => call);
  if (calls.length > 0) throw unmigrated(run, `${calls.join(', ')} is in doubt: resolve it with the version before`);
  // A new body would not know of it, and have another one.
  if (run.status === 'wrappingUp')
    throw unmigrated(run, 'its budget is spent and this is its last turn: let it end with the version before');
  let next = run;
  for (const { to, input } of migrations) {
    const seq = after + 1 + stored.length;
    const begun = again(next, to, migrated(next, input), owner);
    const continued = entry(run.id, { seq, epoch, at }, 'run.continued', begun, seq - 1) as Beginning;
    const sealed = seal(continued, stored.at(-1)?.hash ?? run.position.hash);
    stored.push(sealed);
    const last = next;
    next = new Run(run.id, continued, { seq, epoch, at, hash: sealed.hash }, to, ports, last.summary);
    next.orphans.inherit(last);
  }
  const appended = await ports.journal.append(run.id, stored, { epoch, after });
  return appended.status === 'refused' ? undefined : next;
}

function migrated(run: Run, input: Migration['input']): unknown {
  try {
    return toData(input(run.bodyActor?.getSnapshot() as AnyMachineSnapshot), 'input');
  } catch (error) {
    throw unmigrated(run, `its migration threw ${text(error)}`);
  }
}

const unmigrated = ({ id, beginning }: Run, why: string): DefinitionChangedError => {
  const { definition, version } = beginning.event;
  return new DefinitionChangedError(`Run ${id} of ${definition} ${version} cannot be migrated: ${why}.`, {
    run: id,
    definition,
    version,
    why,
  });
};

const isEnded = (tail: Stored): Ended | undefined => {
  const last = entryOf(tail.bytes);
  return isEnd(last.type) ? (last as Ended) : undefined;
};

/** The run's last entry, if that is its end. @throws NotFoundError */
export async function readEnd(journal: Journal, id: RunId): Promise<Ended | undefined> {
  const tail = await journal.tail(id);
  if (tail === undefined) throw new NotFoundError(`There is no run ${id}.`, { run: id });
  return isEnded(tail);
}

/** Appends `run.killed` behind whatever the tail is. The run's end, which is another one if it had ended before. @throws NotFoundError */
export async function fence(
  id: RunId,
  { reason, by, costs, wallClockMs }: EntryEvents['run.killed'],
  ports: RunPorts,
): Promise<Ended> {
  const event = { reason, by, ...(costs && { costs }), ...(wallClockMs !== undefined && { wallClockMs }) };
  for (;;) {
    const tail = await ports.journal.tail(id);
    if (tail === undefined) throw new NotFoundError(`There is no run ${id} to kill.`, { run: id });
    const ended = isEnded(tail);
    if (ended !== undefined) return ended;
    const { at } = entryOf(tail.bytes);
    const next = { seq: tail.seq + 1, epoch: tail.epoch + 1, at: Math.max(at, ports.clock.now()) };
    const killed = entry(id, next, 'run.killed', event) as EntryOf<'run.killed'>;
    const appended = await ports.journal.append(id, [seal(killed, tail.hash)], {
      epoch: next.epoch,
      after: tail.seq,
      barrier: true,
    });
    if (appended.status === 'appended') return killed;
  }
}

/** In the place of a run that was to be begun for a call, so that it cannot be any more. Its end, which is another one if it was begun meanwhile. */
export async function tombstone(
  id: RunId,
  { parent, tenant, begun }: { parent: RunId; tenant: TenantId; begun: Child },
  { reason, by }: EntryEvents['run.killed'],
  ports: RunPorts,
): Promise<Ended> {
  const at = ports.clock.now();
  const about = { definition: begun.definition, version: '', chart: '', input: null, owner: NOBODY, by };
  const rest = { tenant, budget: null, spec: null, parent: { run: parent, call: '' }, origins: [] };
  const created = seal(entry(id, { seq: 1, epoch: 1, at }, 'run.created', { ...about, ...rest }), GENESIS);
  const killed = entry(id, { seq: 2, epoch: 1, at }, 'run.killed', { reason, by }, 1) as EntryOf<'run.killed'>;
  const stored = [created, seal(killed, created.hash)];
  const appended = await ports.journal.append(id, stored, { epoch: 1, after: 0, barrier: true });
  return appended.status === 'appended' ? killed : fence(id, { reason, by }, ports);
}
