import type { Appended, Backend, BackendFactory, Journal, Registered, Registry, Stored } from '../../../backend.ts';
import { openMemory } from '../../../backends/embedded/memory/open.ts';
import { encodeValue } from '../../../backends/embedded/check.ts';
import { decode } from '../../../codec.ts';
import { isId, type JournalId, type OwnerId, type RunId } from '../../../protocol/ids.ts';
import type { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import { SimulatedBus } from './bus.ts';
import { Disk } from './disk.ts';
import { Operations, type Weather } from './operations.ts';

/** Told of what happens at the store, as it happens. */
export interface Witness {
  /** The entries stand in the journal. */
  appended(process: Process, journal: JournalId, entries: readonly Stored[]): void;
  /** Its process knows that they do. */
  acknowledged(process: Process, journal: JournalId, entries: readonly Stored[]): void;
  refused(process: Process, journal: JournalId, after: number): void;
  /** The registry has it. */
  registered(key: string, bytes: Uint8Array): void;
  /** Its process knows what the last entry is. */
  toldTail(process: Process, journal: JournalId, tail: Stored | undefined): void;
}

/** One store that all processes of a simulation share. */
export class SimulatedStore {
  readonly disk = new Disk();
  readonly weather: Weather = { errors: new Map(), slow: new Map() };
  readonly operations: Operations;
  readonly bus: SimulatedBus;
  readonly #timeline: Timeline;
  readonly #witness: Witness;
  readonly #owners = new Map<OwnerId, Process>();
  readonly #watches = new Map<string, Set<{ process: Process; changed: () => void }>>();
  readonly #leaseMs: number;
  readonly #level: 'process' | 'disk';

  constructor(timeline: Timeline, witness: Witness, leaseMs: number, level: 'process' | 'disk') {
    this.#timeline = timeline;
    this.#witness = witness;
    this.#leaseMs = leaseMs;
    this.#level = level;
    this.operations = new Operations(timeline, this.weather);
    this.bus = new SimulatedBus(timeline, this.operations);
  }

  /** As one process sees it. */
  factory(process: Process): BackendFactory {
    return {
      open: (ports) => {
        process.owner = ports.owner;
        this.#owners.set(ports.owner, process);
        return Promise.resolve(this.#backend(process));
      },
    };
  }

  #backend(process: Process): Backend {
    const { owner, clock } = process;
    return {
      name: 'simulated',
      level: this.#level,
      owner,
      bus: this.bus.of(process),
      journal: this.#journal(process),
      registry: this.#registry(process),
      // Nothing above the contract uses it yet.
      queue: openMemory({ owner, clock }).queue,
      alive: (other) => this.operations.ask(process, 'alive', false, () => this.alive(other)),
      close: () => {
        process.closed = true;
        return Promise.resolve();
      },
    };
  }

  /** As far as the others know: a lease is kept, or has run out. */
  alive(owner: OwnerId): boolean {
    const process = this.#owners.get(owner);
    if (process === undefined || process.closed) return false;
    if (process.gone) return this.#timeline.now - process.goneAt < this.#leaseMs;
    return process.frozenUntil === undefined || this.#timeline.now - process.frozenAt < this.#leaseMs;
  }

  #journal(process: Process): Journal {
    const ask = <T>(what: string, doIt: () => T, answered?: (value: T) => void): Promise<T> =>
      this.operations.ask(process, what, false, doIt, answered);
    const all = (journal: JournalId): Stored[] => this.disk.journals.get(journal) ?? [];
    return {
      append: (journal, entries, at) => {
        const append = (): Appended => {
          const last = all(journal).at(-1);
          if ((last?.seq ?? 0) !== at.after || (last?.epoch ?? 0) > at.epoch) {
            this.#witness.refused(process, journal, at.after);
            return { status: 'refused' };
          }
          this.disk.append(journal, entries);
          const level = at.barrier === true ? 'disk' : this.#level;
          if (level === 'disk') this.disk.flush();
          this.#witness.appended(process, journal, entries);
          this.#tell(journal);
          return { status: 'appended', level };
        };
        return this.operations.ask(process, `append to ${journal}`, true, append, ({ status }) => {
          if (status === 'appended') this.#witness.acknowledged(process, journal, entries);
        });
      },
      read: (journal, from = 1) => paged(() => ask(`read ${journal}`, () => since(all(journal), from))),
      tail: (journal) =>
        ask(
          `tail of ${journal}`,
          () => all(journal).at(-1),
          (tail) => this.#witness.toldTail(process, journal, tail),
        ),
      list: () => paged(() => ask('list', () => [...this.disk.journals.keys()].filter(isId) as string[] as RunId[])),
      watch: (journal, changed) => this.#watch(process, journal, changed),
    };
  }

  #registry(process: Process): Registry {
    const { disk } = this;
    const ask = <T>(what: string, writes: boolean, doIt: () => T): Promise<T> =>
      this.operations.ask(process, what, writes, doIt);
    const registered = (key: string): Registered | undefined => {
      const fact = disk.facts.get(key);
      return fact && { key, value: decode(fact.bytes), revision: fact.revision };
    };
    const under = (prefix: string): Registered[] =>
      [...disk.facts.keys()]
        .filter((key) => key.startsWith(prefix))
        .sort()
        .flatMap((key) => registered(key) ?? []);
    const change = (key: string, bytes: Uint8Array | undefined): number => {
      const revision = disk.put(key, bytes);
      if (bytes !== undefined) this.#witness.registered(key, bytes);
      this.#tell(`registry ${key}`);
      return revision;
    };
    return {
      get: (key) => ask(`get ${key}`, false, () => registered(key)),
      put: (key, value, expected, { barrier = false } = {}) => {
        const bytes = Uint8Array.from(encodeValue(key, value));
        return ask(`put ${key}`, true, () => {
          if (expected !== undefined && expected !== (disk.facts.get(key)?.revision ?? 0)) return undefined;
          const revision = change(key, bytes);
          if (barrier) disk.flush();
          return revision;
        });
      },
      delete: (key) =>
        ask(`delete ${key}`, true, () => {
          if (disk.facts.has(key)) change(key, undefined);
        }),
      list: (prefix) => paged(() => ask(`list ${prefix}`, false, () => under(prefix))),
      watch: (prefix, changed) => {
        const known = new Map<string, number>();
        const look = (): void => {
          const now = new Map(under(prefix).map((fact) => [fact.key, fact]));
          for (const key of known.keys())
            if (!now.has(key)) {
              known.delete(key);
              changed(key, undefined);
            }
          for (const [key, fact] of now) {
            if (known.get(key) === fact.revision) continue;
            known.set(key, fact.revision);
            changed(key, fact);
          }
        };
        return this.#watch(process, `registry ${prefix}`, look);
      },
    };
  }

  #watch(process: Process, name: string, changed: () => void): () => void {
    const watches = this.#watches.get(name) ?? new Set();
    this.#watches.set(name, watches);
    const watch = { process, changed };
    watches.add(watch);
    process.watches += 1;
    this.#timeline.after(0.1, process, () => {
      if (watches.has(watch)) changed();
    });
    return () => {
      if (watches.delete(watch)) process.watches -= 1;
    };
  }

  #tell(changed: string): void {
    for (const [name, watches] of this.#watches) {
      if (name !== changed && !(name.startsWith('registry ') && changed.startsWith(name))) continue;
      for (const watch of watches)
        this.#timeline.after(watch.process.random.between(1, 150), watch.process, () => {
          if (watches.has(watch)) watch.changed();
        });
    }
  }
}

/** Asked for when the first is wanted, as they are then. */
async function* paged<T>(ask: () => Promise<readonly T[]>): AsyncGenerator<T> {
  yield* await ask();
}

/** By seq: a damaged journal may lack some. */
function since(all: readonly Stored[], from: number): readonly Stored[] {
  if (from > all.length && (all.at(-1)?.seq ?? 0) < from) return [];
  return all[from - 1]?.seq === from && all[from - 2]?.seq !== from
    ? all.slice(from - 1)
    : all.filter(({ seq }) => seq >= from);
}
