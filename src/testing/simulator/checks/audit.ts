import type { Stored } from '../../../backend.ts';
import { entryOf, GENESIS, seal } from '../../../chain.ts';
import type { Entry } from '../../../protocol/entry.ts';
import { isId, type JournalId } from '../../../protocol/ids.ts';
import type { Process } from '../process.ts';
import type { Lost } from '../store/disk.ts';
import type { Witness } from '../store/store.ts';
import type { Timeline } from '../timeline.ts';
import type { Performance, World } from '../world.ts';
import { effectChecks } from './effects.ts';
import { RunFacts } from './facts.ts';
import { entryChecks } from './journal.ts';

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
  /** Definitions of which nothing begins, as somebody was told. */
  readonly off = new Set<string>();
  /** Begun since then. */
  readonly #late = new Map<string, string>();
  /** What was shown to whoever approved a call, by run and call. */
  readonly shown = new Map<string, string>();
  /** Journal and after, by process: it was refused there and has not looked yet. */
  readonly #refused = new Map<Process, Set<string>>();
  /** Runs that a process knows it has lost, and in which event it learned it. */
  readonly #mute = new Map<Process, Map<string, number>>();
  readonly #timeline: Timeline;
  readonly #trace: (line: string) => void;
  readonly #parents = new Map<string, string>();
  readonly #sealed = new Set<string>();
  readonly #hashes = new Map<string, Uint8Array>();
  /** Told when entries are known to their process, once they are delivered there. */
  delivered: ((process: Process, run: string, seq: number) => void) | undefined;

  constructor(timeline: Timeline, trace: (line: string) => void) {
    this.#timeline = timeline;
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
    const facts = this.of(journal);
    for (const stored of entries) {
      const entry = entryOf(stored.bytes);
      this.#trace(`${process.name} ${lineOf(entry)}`);
      if (entry.run !== journal || entry.seq !== stored.seq || entry.epoch !== stored.epoch)
        this.violated('J1', journal, `entry ${stored.seq} says that it is entry ${entry.seq} of run ${entry.run}`);
      this.#chained(journal, entry, stored);
      for (const [promise, check] of Object.entries(entryChecks)) {
        const wrong = check(entry, facts, process, (run) => this.of(run));
        if (wrong !== undefined) this.violated(promise, journal, wrong);
      }
      this.#mayWrite(entry);
      facts.note(entry, process);
      this.#mustAfford(journal, facts);
    }
  }

  /** The run was killed, and with it all that it has begun; whoever asked for that knows it. */
  seal(run: string): void {
    this.#sealed.add(run);
  }

  isSealed(run: string): boolean {
    return this.#sealed.has(run);
  }

  #mayWrite(entry: Entry): void {
    if (entry.type === 'run.created' && entry.event.parent !== null)
      this.#parents.set(entry.run, entry.event.parent.run);
    if (entry.type === 'run.created' && this.off.has(entry.event.definition))
      this.#late.set(entry.run, entry.event.definition);
    if (entry.type === 'leaf.started' && this.off.has(this.#late.get(entry.run) ?? ''))
      this.violated(
        'K1',
        entry.run,
        `entry ${entry.seq}: a call begins, though all of its definition were killed before`,
      );
    for (let run: string | undefined = entry.run; run !== undefined; run = this.#parents.get(run))
      if (this.#sealed.has(run))
        this.violated(
          'K1',
          entry.run,
          `entry ${entry.seq} (${entry.type}) is written after the kill of ${run} was acknowledged`,
        );
  }

  #mustAfford(run: string, { budget, tokens, held, last }: RunFacts): void {
    if (budget?.tokens === undefined) return;
    const reserved = [...held.values()].reduce((sum, one) => sum + one, 0);
    if (tokens + reserved > budget.tokens)
      this.violated(
        'B1',
        run,
        `entry ${last?.seq}: ${tokens} tokens spent and ${reserved} held back of ${budget.tokens}`,
      );
  }

  #chained(journal: string, entry: Entry, stored: Stored): void {
    const before = stored.seq === 1 ? GENESIS : this.#hashes.get(journal);
    if (before === undefined || Buffer.compare(seal(entry, before).hash, stored.hash) !== 0)
      this.violated('J1', journal, `entry ${stored.seq} does not follow from the one before`);
    this.#hashes.set(journal, stored.hash);
  }

  acknowledged(process: Process, journal: JournalId, entries: readonly Stored[]): void {
    const last = entries.at(-1);
    if (isInbox(journal) || last === undefined) return;
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
