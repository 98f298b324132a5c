import { Bodies, wayFrom } from '../../actors/body.ts';
import { foldRun } from '../../actors/owner.ts';
import { folding } from '../../actors/replaying.ts';
import type { RunPorts } from '../../actors/run/ports.ts';
import type { Journal, Stored } from '../backend.ts';
import { unseal } from '../chain.ts';
import { Deadlines, systemClock } from '../clock.ts';
import type { AnyDefinition } from '../define/definition.ts';
import { isBeginning, isEnd, type Beginning, type Entry, type EntryType } from '../protocol/entry.ts';
import { CorruptJournalError, UnsupportedFormatError, ValidationError } from '../protocol/errors.ts';
import { runId, type RunId } from '../protocol/ids.ts';
import { Replay } from '../replay.ts';
import { NO_SUMMARY, summarised, type Summary } from '../summary.ts';

/** Version of the format of fixtures. */
const FIXTURE_FORMAT = 1;

/** A run's journal as JSON, to be kept beside a test. It holds all that the run was given and gave. What was imported as JSON is one. */
export interface RunFixture {
  /** 1. */
  format: number;
  run: string;
  /** What it was of, last. */
  definition: string;
  version: string;
  /** The type of its last entry, where that ends it. */
  end: string | null;
  /** Its last entry, so that one that has lost some of the last is known. */
  last: { seq: number; hash: string };
  /** As stored: `hash` and `bytes` in base64. */
  entries: { seq: number; epoch: number; hash: string; bytes: string }[];
}

/** A fixture that was read and checked. */
export interface ImportedRun {
  run: RunId;
  entries: readonly Entry[];
  summary: Summary;
  /** Folds it with a definition, or the earlier version of it that wrote the run; nothing is executed. @throws ReplayDivergenceError */
  replay: (definition: AnyDefinition) => Promise<Replay>;
}

/** Where runs are stored: a troupe. */
interface Store {
  stored(run: string): AsyncIterable<Stored>;
}

/** @throws NotFoundError, CorruptJournalError */
export async function exportRun(troupe: Store, id: string): Promise<RunFixture> {
  const run = runId(id);
  const stored: Stored[] = [];
  for await (const one of troupe.stored(run)) stored.push(one);
  const entries = await entriesOf(run, stored);
  const { definition, version } = lastBeginning(run, entries).event;
  const kept = stored.map(({ seq, epoch, hash, bytes }) => ({ seq, epoch, hash: base64(hash), bytes: base64(bytes) }));
  return { format: FIXTURE_FORMAT, run, definition, version, end: endOf(entries), last: lastOf(kept), entries: kept };
}

/** @throws ValidationError, UnsupportedFormatError, CorruptJournalError */
export async function importRun(fixture: RunFixture): Promise<ImportedRun> {
  const whole = checked(fixture);
  const { run: id, entries: kept } = whole;
  const run = runId(id);
  const stored = kept.map(({ seq, epoch, hash, bytes }) => ({
    seq,
    epoch,
    hash: bytesOf(hash),
    bytes: bytesOf(bytes),
  }));
  const entries = await entriesOf(run, stored);
  mustBeWhole(whole, entries, lastBeginning(run, entries));
  return {
    run,
    entries,
    summary: entries.reduce(summarised, NO_SUMMARY),
    replay: (definition) => replay(run, readOnly(run, stored), definition),
  };
}

async function replay(run: RunId, journal: Journal, definition: AnyDefinition): Promise<Replay> {
  const clock = systemClock();
  const today = new Bodies(clock).of(definition);
  // Nothing is executed, so that nobody has anything to report.
  const ports: RunPorts = { journal, clock, deadlines: new Deadlines(clock), report: () => {} };
  const bodyOf = ({ event }: Beginning) => wayFrom(event, today);
  const { run: folded } = await foldRun(run, bodyOf, ports);
  const { status, summary = NO_SUMMARY } = folded;
  const looked = { run, status, summary, inDoubt: folded.inDoubt(), actors: folded.states() };
  return new Replay(looked, folding(run, bodyOf, ports));
}

function checked(fixture: unknown): RunFixture {
  const { format, run, last, entries } = (fixture ?? {}) as Partial<Record<keyof RunFixture, unknown>>;
  if (format !== FIXTURE_FORMAT)
    throw new UnsupportedFormatError(
      `This is a fixture of format ${String(format)}, or none; this troupe knows ${FIXTURE_FORMAT}. Make it with exportRun, or use a newer troupe.`,
      { format },
    );
  if (!Array.isArray(entries))
    throw new ValidationError(`The fixture of run ${String(run)} has no entries; make it anew with exportRun.`, {
      run,
    });
  if (typeof run !== 'string') throw unshaped(`its run is ${String(run)}, not an id`, { run });
  mustHave({ seq: 'number', hash: 'string' }, last, 'last');
  entries.forEach((entry, index) => mustHave(KEPT, entry, `entries[${index}]`));
  return fixture as RunFixture;
}

const KEPT = { seq: 'number', epoch: 'number', hash: 'string', bytes: 'string' } as const;

function mustHave(shape: Partial<typeof KEPT>, value: unknown, at: string): void {
  const given = (value ?? {}) as Record<string, unknown>;
  for (const [name, type] of Object.entries(shape))
    if (typeof given[name] !== type)
      throw unshaped(`${at}.${name} is a ${typeof given[name]}, not a ${type}`, { path: `${at}.${name}` });
}

const unshaped = (what: string, context: Record<string, unknown>): ValidationError =>
  new ValidationError(`This is not a fixture as exportRun makes it: ${what}. Make it anew.`, context);

/** What it says of itself is what its entries say: one that has lost the last of them would replay all the same. @throws CorruptJournalError */
function mustBeWhole(says: RunFixture, entries: readonly Entry[], { event }: Beginning): void {
  const { definition, version } = event;
  const is = flat({ definition, version, end: endOf(entries), last: lastOf(says.entries) });
  const said = flat(says);
  for (const [name, value] of Object.entries(is))
    if (said[name] !== value)
      throw new CorruptJournalError(
        `The fixture of run ${says.run} says that its ${name} is ${String(said[name])}, and by its ${entries.length} entries it is ${String(value)}; it may have lost some. Make it anew with exportRun.`,
        { run: says.run, seq: entries.length, says: said[name], is: value },
      );
}

const flat = ({
  definition,
  version,
  end,
  last: { seq, hash },
}: Pick<RunFixture, 'definition' | 'version' | 'end' | 'last'>): Record<string, unknown> => ({
  definition,
  version,
  end,
  'last entry': seq,
  'hash of the last entry': hash,
});

function lastOf(entries: RunFixture['entries']): RunFixture['last'] {
  const { seq, hash } = entries.at(-1) ?? { seq: 0, hash: '' };
  return { seq, hash };
}

function endOf(entries: readonly Entry[]): EntryType | null {
  const type = entries.at(-1)?.type;
  return type !== undefined && isEnd(type) ? type : null;
}

async function entriesOf(run: RunId, stored: readonly Stored[]): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { entry } of unseal(run, readOnly(run, stored).read(run))) entries.push(entry);
  return entries;
}

function lastBeginning(run: RunId, entries: readonly Entry[]): Beginning {
  const last = entries.findLast(isBeginning);
  if (entries[0]?.type === 'run.created' && last !== undefined) return last;
  throw new CorruptJournalError(`Run ${run} does not begin with run.created.`, { run, seq: 1 });
}

const readOnly = (run: RunId, stored: readonly Stored[]): Journal => ({
  append: () => Promise.resolve({ status: 'refused' }),
  async *read(_, from = 1) {
    yield* stored.slice(from - 1);
  },
  tail: () => Promise.resolve(stored.at(-1)),
  async *list() {
    yield run;
  },
  watch: () => () => {},
});

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'base64');
