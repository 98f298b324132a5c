import { CorruptJournalError } from '../../../protocol/errors.ts';
import type { RunInfo } from '../../../options.ts';
import type { Troupe } from '../../../troupe.ts';

/** Runs whose journals were damaged: what is owed of them is a report, by run and seq. */
export class Damages {
  /** The entry at which it shows, by run. */
  readonly #seqs = new Map<string, number>();

  get count(): number {
    return this.#seqs.size;
  }

  add(run: string, seq: number): void {
    this.#seqs.set(run, seq);
  }

  has(run: string): boolean {
    return this.#seqs.has(run);
  }

  /** It says which entry of which run is damaged, and that is so. */
  reportedBy(error: unknown): boolean {
    if (!(error instanceof CorruptJournalError)) return false;
    const { run, seq } = error.context as { run: string; seq: number };
    return this.#seqs.get(run) === seq;
  }

  /** Asks for all runs, and for each that is damaged. What is wrong with the answers. */
  async missed(troupe: Troupe, ended: (run: string) => string | undefined): Promise<{ run: string; what: string }[]> {
    const wrong: { run: string; what: string }[] = [];
    for (const info of await troupe.runs()) {
      const what = this.has(info.run) ? this.#unreported(info) : isAsEnded(info, ended(info.run));
      if (what !== undefined) wrong.push({ run: info.run, what });
    }
    for (const [run, seq] of this.#seqs) {
      const told = await troupe.replay(run).catch((error: unknown) => error);
      if (!this.reportedBy(told)) wrong.push({ run, what: `entry ${seq} is damaged; its replay is ${String(told)}` });
    }
    return wrong;
  }

  #unreported({ run, status, error }: RunInfo): string | undefined {
    if (status === 'unreadable' && this.reportedBy(error)) return undefined;
    return `entry ${this.#seqs.get(run)} is damaged; the run is listed as ${status} (${String(error)})`;
  }
}

/** Those that are not damaged are what they were. */
const isAsEnded = ({ status }: RunInfo, end: string | undefined): string | undefined =>
  end === undefined || status === end ? undefined : `it has ended as ${end}, and is listed as ${status}`;
