import type { Stored } from '../../../backend.ts';
import { entryOf, GENESIS, seal } from '../../../chain.ts';
import type { Entry, EntryOf } from '../../../protocol/entry.ts';
import { decode } from '../../../codec.ts';
import { isId, type JournalId } from '../../../protocol/ids.ts';
import type { Process } from '../process.ts';
import type { Lost } from '../store/disk.ts';
import type { Witness } from '../store/store.ts';
import type { Timeline } from '../timeline.ts';
import type { Performance, World } from '../world.ts';
import { Damages } from './damage.ts';
import { effectChecks } from './effects.ts';
import { RunFacts } from './facts.ts';
import { miscopied } from './forks.ts';
import { Funds } from './funds.ts';
import { entryChecks } from './journal.ts';
import { NEWER } from './newer.ts';
import { overspent } from './spending.ts';
import { ENOUGH, SwitchedOff } from './switches.ts';

export interface Violation {
  /** Id of the promise. */
  readonly promise: string;
  readonly run: string;
  readonly what: string;
  /** Virtual time. */
  readonly at: number;
}

/** Asks, whenever something is written or begins, whether it may. */
export class Audit implements Witness {
  readonly runs = new Map<string, RunFacts>();
  readonly violations: Violation[] = [];
  readonly switches = new SwitchedOff();
  readonly funds = new Funds();
  readonly damages = new Damages();
  /** Forks, and what they were forked from. */
  readonly forked = new Set<string>();
  /** What was shown to whoever approved a call, by run and call. */
  readonly shown = new Map<string, string>();
  /** Journal and after, by process: it was refused there and has not looked yet. */
  readonly #refused = new Map<Process, Set<string>>();
  /** Runs that a process knows it has lost, and in which event it learned it. */
  readonly #mute = new Map<Process, Map<string, number>>();
  readonly #timeline: Timeline;
  readonly #trace: (line: string) => void;
  readonly #parents = new Map<string, string>();
  /** True: and all below it. */
  readonly #sealed = new Map<string, boolean>();
  readonly #hashes = new Map<string, Uint8Array>();
  /** Told when entries are known to their process, once they are delivered there. */
  delivered: ((process: Process, run: string, seq: number) => void) | undefined;

  /** How long a process may take to write that time is spent. */
  readonly #lateMs: number;

  constructor(timeline: Timeline, lateMs: number, trace: (line: string) => void) {
    this.#timeline = timeline;
    this.#lateMs = lateMs;
    this.#trace = trace;
  }

  violated(promise: string, run: string, what: string): void {
    this.#trace(`VIOLATION ${promise} ${run}: ${what}`);
    this.violations.push({ promise, run, what, at: this.#timeline.now });
  }

  of(run: string): RunFacts {
    let facts = this.runs.get(run);
    if (facts === undefined) this.runs.set(run, (facts = new RunFacts()));
    return facts;
  }

  appended(process: Process, journal: JournalId, entries: readonly Stored[]): void {
    if (isInbox(journal)) return this.#trace(`${process.name} posts ${journal} ${entries[0]?.seq}`);
    if (journal === NEWER) return;
    const facts = this.of(journal);
    const written = entries.map(({ bytes }) => entryOf(bytes));
    facts.group(written[0]?.seq ?? 0);
    // Of a fork of a fork the last is its own.
    const forked = written.findLast(({ type }) => type === 'run.forked') as EntryOf<'run.forked'> | undefined;
    for (const [index, entry] of written.entries()) {
      const stored = entries[index] as Stored;
      this.#trace(`${process.name} ${lineOf(entry)}`);
      if (entry.run !== journal || entry.seq !== stored.seq || entry.epoch !== stored.epoch)
        this.violated('J1', journal, `entry ${stored.seq} says that it is entry ${entry.seq} of run ${entry.run}`);
      this.#chained(journal, entry, stored);
      const copied = entry.seq < (forked?.seq ?? 0);
      for (const [promise, check] of Object.entries(entryChecks)) {
        // What was spent before the cut was within another budget.
        if (copied && promise === 'B1') continue;
        const wrong = check(entry, facts, process, (run) => this.of(run));
        if (wrong !== undefined) this.violated(promise, journal, wrong);
      }
      // Whoever forks has written none of that.
      facts.note(entry, copied ? undefined : process);
      const undrawn = copied && entry.type !== 'run.created' ? undefined : this.funds.check(entry, facts);
      if (undrawn !== undefined) this.violated('B1', journal, undrawn);
      if (copied && forked !== undefined) this.#copies(entry, forked);
      else {
        this.#mayWrite(entry);
        this.#mustAfford(journal, facts);
      }
    }
    if (forked === undefined) return;
    this.#shownTo(journal, forked.event.origin.run, facts);
    this.forked.add(journal).add(forked.event.origin.run);
  }

  #copies(entry: Entry, forked: EntryOf<'run.forked'>): void {
    const wrong = miscopied(entry, forked, this.of(forked.event.origin.run));
    if (wrong !== undefined) this.violated('fork', entry.run, wrong);
    if (entry.type === 'run.created') this.#mayWrite(entry);
  }

  /** What was approved before the cut is approved. */
  #shownTo(fork: string, origin: string, { calls }: RunFacts): void {
    for (const [call, { approved }] of calls) {
      const shown = this.shown.get(`${origin} ${call}`);
      if (approved !== undefined && shown !== undefined) this.shown.set(`${fork} ${call}`, shown);
    }
  }

  /** The run was killed, and with it all that it has begun where `whole`; whoever asked for that knows it. */
  seal(run: string, whole: boolean): void {
    this.#sealed.set(run, whole || this.#sealed.get(run) === true);
  }

  isSealed(run: string): boolean {
    return this.#sealed.has(run);
  }

  #mayWrite(entry: Entry): void {
    if (entry.type === 'run.created' && entry.event.parent !== null)
      this.#parents.set(entry.run, entry.event.parent.run);
    const family = this.#family(entry.run);
    for (const run of family)
      if (run === entry.run ? this.#sealed.has(run) : this.#sealed.get(run) === true)
        this.violated(
          'K1',
          entry.run,
          `entry ${entry.seq} (${entry.type}) is written after the kill of ${run} was acknowledged`,
        );
    const { reason = '' } = entry.type === 'run.killed' ? entry.event : {};
    if (reason.startsWith(ENOUGH) && !family.includes(reason.slice(ENOUGH.length)))
      this.violated('K1', entry.run, `it is killed as what ${reason.slice(ENOUGH.length)} has begun, and is not`);
    const wrong = this.switches.check(
      entry,
      family.map((run) => this.of(run)),
    );
    if (wrong !== undefined) this.violated(wrong.promise, entry.run, wrong.what);
  }

  /** It is damaged, or waits for one that is. */
  isDamaged(run: string): boolean {
    if (this.damages.count === 0) return false;
    return [...this.runs.keys()].some((one) => this.damages.has(one) && this.#family(one).includes(run));
  }

  /** Itself, what has begun it, and so on. */
  #family(run: string): string[] {
    const family: string[] = [];
    for (let one: string | undefined = run; one !== undefined; one = this.#parents.get(one)) family.push(one);
    return family;
  }

  #mustAfford(run: string, { budget, spending, last }: RunFacts): void {
    const over = budget && overspent(spending, budget);
    if (over !== null && over !== undefined) this.violated('B1', run, `entry ${last?.seq}: ${over}`);
    const late = spending.spent.wallClockMs - (budget?.wallClockMs ?? Infinity);
    if (late > this.#lateMs && !spending.begins)
      this.violated('B1', run, `entry ${last?.seq}: calls go on for ${late} ms when their time is spent`);
  }

  #chained(journal: string, entry: Entry, stored: Stored): void {
    const before = stored.seq === 1 ? GENESIS : this.#hashes.get(journal);
    // Whoever only ends a damaged run takes its last hash as it is.
    if (this.damages.has(journal)) return;
    if (before === undefined || Buffer.compare(seal(entry, before).hash, stored.hash) !== 0)
      this.violated('J1', journal, `entry ${stored.seq} does not follow from the one before`);
    this.#hashes.set(journal, stored.hash);
  }

  acknowledged(process: Process, journal: JournalId, entries: readonly Stored[]): void {
    const last = entries.at(-1);
    if (isInbox(journal) || journal === NEWER || last === undefined) return;
    this.of(journal).known.set(process, last.seq);
    this.#mute.get(process)?.delete(journal);
    this.#refused.get(process)?.delete(journal);
    this.delivered?.(process, journal, last.seq);
  }

  refused(process: Process, journal: JournalId, after: number): void {
    this.#trace(`${process.name} is refused at ${journal} after ${after}`);
    if (isInbox(journal)) return;
    const journals = this.#refused.get(process) ?? new Set();
    this.#refused.set(process, journals.add(journal));
  }

  registered(key: string, bytes: Uint8Array): void {
    if (!key.startsWith('budget.')) return;
    const violated = this.violated.bind(this);
    this.funds.put(key.slice('budget.'.length), decode(bytes) as Parameters<Funds['put']>[1], violated);
  }

  toldTail(process: Process, journal: JournalId, tail: Stored | undefined): void {
    if (isInbox(journal) || this.#refused.get(process)?.has(journal) !== true) return;
    const facts = this.of(journal);
    if (tail === undefined || facts.writers.get(tail.epoch) === process) return;
    const runs = this.#mute.get(process) ?? new Map<string, number>();
    this.#mute.set(process, runs.set(journal, this.#timeline.happened));
  }

  begins(performance: Performance, world: World): void {
    const { run, call, process, what, effect } = performance;
    this.#trace(`${process.name} acts ${what} for ${run} ${call} (${effect})`);
    const since = this.#mute.get(process)?.get(run);
    const begun = {
      performance,
      facts: this.of(run),
      before: world.of(run, call),
      mute: since !== undefined && since < this.#timeline.happened,
      shown: this.shown.get(`${run} ${call}`),
    };
    for (const [promise, check] of Object.entries(effectChecks)) {
      const wrong = check(begun);
      if (wrong !== undefined) this.violated(promise, run, wrong);
    }
  }

  /** After a power cut. */
  rebuild(lost: readonly Lost[], stored: (journal: JournalId) => readonly Stored[]): void {
    for (const journal of new Set(lost.map((one) => one.journal))) {
      if (isInbox(journal)) continue;
      const left = stored(journal);
      this.#trace(`${journal} is back at entry ${left.length}`);
      this.runs.set(journal, RunFacts.of(left, this.of(journal)));
      this.#hashes.set(journal, left.at(-1)?.hash ?? GENESIS);
    }
    this.#mute.clear();
    this.#refused.clear();
  }
}

const isInbox = (journal: JournalId): boolean => !isId(journal);

const lineOf = ({ run, seq, epoch, type, target, cause }: Entry): string =>
  `writes ${run} ${seq} e${epoch} ${type} ${target} <- ${cause ?? '-'}`;
