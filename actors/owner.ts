import type { Journal, Stored } from '../src/backend.ts';
import { GENESIS, seal, unseal } from '../src/chain.ts';
import type { Clock } from '../src/clock.ts';
import { decode } from '../src/codec.ts';
import { ENTRY_VERSION, isEnd, type Entry, type EntryEvents, type EntryOf } from '../src/protocol/entry.ts';
import { CorruptJournalError, JournalTooLongError, NotFoundError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Ended } from './end.ts';
import { Run, type Body, type RunPorts } from './run.ts';

/**
 * How a run gets an owner, and how it loses it.
 *
 * O1. Creating a run is appending entry 1, expecting none: of two creators one wins.
 * O2. Taking a run over appends an entry with the next epoch; the owner before can append nothing after it.
 * O3. A kill is a takeover by nobody.
 */

const WARN_ENTRIES = 10_000;
const MAX_ENTRIES = 100_000;
const YIELD_MS = 10;

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

/**
 * The run as its journal has it, nothing executed. `upTo` folds a prefix.
 * @throws NotFoundError, CorruptJournalError, UnsupportedFormatError, ReplayDivergenceError, JournalTooLongError
 */
export async function foldRun(
  id: RunId,
  bodyOf: (created: EntryOf<'run.created'>) => Body,
  ports: RunPorts,
  options: { upTo?: number; onEntry?: (run: Run, entry: Entry) => void } = {},
): Promise<Run> {
  let run: Run | undefined;
  let since = ports.clock.now();
  for await (const { entry: next, hash } of unseal(id, ports.journal.read(id))) {
    if (next.seq > MAX_ENTRIES)
      throw new JournalTooLongError(
        `Run ${id} has more than ${MAX_ENTRIES} entries; it is not folded. Split long lives into several runs.`,
        {
          run: id,
          entries: next.seq,
          limit: MAX_ENTRIES,
        },
      );
    if (next.seq === WARN_ENTRIES)
      ports.report(
        new Error(`run ${id} has ${WARN_ENTRIES} entries and more; at ${MAX_ENTRIES} it will be refused`),
        'fold',
      );
    const position = { seq: next.seq, epoch: next.epoch, hash, at: next.at };
    if (run === undefined) {
      if (next.type !== 'run.created')
        throw new CorruptJournalError(`Run ${id}: entry 1 is ${next.type}, not run.created.`, { run: id, seq: 1 });
      run = new Run(id, next, position, bodyOf(next), ports);
    } else {
      run.advance(position);
      run.fold(next);
    }
    options.onEntry?.(run, next);
    if (next.seq === options.upTo) break;
    if (ports.clock.now() - since > YIELD_MS) {
      await new Promise<void>((resolve) => ports.clock.immediate(resolve));
      since = ports.clock.now();
    }
  }
  if (run === undefined) throw new NotFoundError(`There is no run ${id}.`, { run: id });
  return run;
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

const isEnded = (tail: Stored): Ended | undefined => {
  const last = decode(tail.bytes) as Entry;
  return isEnd(last.type) ? (last as Ended) : undefined;
};

/** The run's last entry, if that is its end. @throws NotFoundError */
export async function readEnd(journal: Journal, id: RunId): Promise<Ended | undefined> {
  const tail = await journal.tail(id);
  if (tail === undefined) throw new NotFoundError(`There is no run ${id}.`, { run: id });
  return isEnded(tail);
}

/** Appends `run.killed` behind whatever the tail is. The run's end, which is another one if it had ended before. @throws NotFoundError */
export async function fence(id: RunId, reason: string, ports: RunPorts): Promise<Ended> {
  for (;;) {
    const tail = await ports.journal.tail(id);
    if (tail === undefined) throw new NotFoundError(`There is no run ${id} to kill.`, { run: id });
    const ended = isEnded(tail);
    if (ended !== undefined) return ended;
    const { at } = decode(tail.bytes) as Entry;
    const next = { seq: tail.seq + 1, epoch: tail.epoch + 1, at: Math.max(at, ports.clock.now()) };
    const killed = entry(id, next, 'run.killed', { reason }) as EntryOf<'run.killed'>;
    const appended = await ports.journal.append(id, [seal(killed, tail.hash)], {
      epoch: next.epoch,
      after: tail.seq,
      barrier: true,
    });
    if (appended.status === 'appended') return killed;
  }
}
