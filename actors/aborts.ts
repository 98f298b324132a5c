import type { Journal } from '../src/backend.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { readEnd } from './owner.ts';
import type { Register } from './runs/register.ts';

interface Ports {
  readonly journal: Journal;
  readonly register: Pick<Register, 'find'>;
  /** Undefined: it is not in memory here. */
  readonly live: (run: RunId) => { readonly ended: Promise<unknown> } | undefined;
  readonly report: (error: unknown, where: string) => void;
}

/** Signals that kill runs when they are aborted. A signal keeps nothing of a run that has ended, wherever that lived. */
export class Aborts {
  readonly #ports: Ports;
  /** What is to be let go of when a run has ended. */
  readonly #kept = new Map<RunId, Set<() => void>>();

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  killOn(signal: AbortSignal, run: RunId, kill: () => void): void {
    if (signal.aborted) return kill();
    signal.addEventListener('abort', kill, { once: true });
    this.#keep(run, () => signal.removeEventListener('abort', kill));
    const live = this.#ports.live(run);
    if (live === undefined) return this.#follow(run);
    // Let go of: it rests here, or somebody else has it.
    live.ended.catch(() => this.#follow(run));
  }

  /** Of one that is forgotten here. */
  ended(run: RunId): void {
    for (const letGo of this.#kept.get(run) ?? []) letGo();
    this.#kept.delete(run);
  }

  close(): void {
    for (const run of Array.from(this.#kept.keys())) this.ended(run);
  }

  /** What lives or rests here is forgotten here when it has ended; of any other only its journal tells. */
  #follow(run: RunId): void {
    const { journal, register, report } = this.#ports;
    const failed = (error: unknown): void => report(error, `run ${run}: looking whether it has ended`);
    const look = async (): Promise<void> => {
      if (this.#kept.has(run) && (await readEnd(journal, run)) !== undefined) this.ended(run);
    };
    const follow = async (): Promise<void> => {
      const { open, elsewhere } = await register.find(run);
      if (open === undefined) return look();
      if (elsewhere && this.#kept.has(run))
        this.#keep(
          run,
          journal.watch(run, () => void look().catch(failed)),
        );
    };
    follow().catch(failed);
  }

  #keep(run: RunId, letGo: () => void): void {
    const kept = this.#kept.get(run) ?? new Set();
    this.#kept.set(run, kept.add(letGo));
  }
}
