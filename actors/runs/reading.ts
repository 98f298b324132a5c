import type { Beginning } from '../../src/protocol/entry.ts';
import { TroupeError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';
import type { Difference, Fold } from '../../src/replay.ts';
import { wayFrom, type Resolved } from '../body.ts';
import { foldRun, type Migration } from '../owner.ts';
import { compareRun, folding } from '../replaying.ts';
import type { Run } from '../run.ts';
import type { RunPorts } from '../run/ports.ts';

/** The body that a run goes on with, and what leads to it from the version that it has begun with. */
export interface Way {
  body: Resolved;
  migrations: Migration[];
}

/** Runs as their journals have them, wherever they live. Nothing is executed. */
export class Reading {
  readonly #bodyOf: (beginning: Beginning) => Resolved;
  readonly #runPorts: RunPorts;

  constructor(bodyOf: (beginning: Beginning) => Resolved, runPorts: RunPorts) {
    this.#bodyOf = bodyOf;
    this.#runPorts = runPorts;
  }

  way(beginning: Beginning): Way {
    return wayFrom(beginning.event, this.#bodyOf(beginning));
  }

  /** From its first entry. @throws ReplayDivergenceError, CorruptJournalError, NotFoundError */
  async fold(run: RunId): Promise<Run> {
    return (await foldRun(run, (beginning) => this.way(beginning), this.#runPorts)).run;
  }

  /** As `fold`, as often as it is asked to. */
  folding(run: RunId): Fold {
    return folding(run, (beginning) => this.way(beginning), this.#runPorts);
  }

  /** @throws NotFoundError, CorruptJournalError */
  compare(run: RunId, given: Resolved): Promise<Difference> {
    const recordedOf = (beginning: Beginning): Resolved | undefined => {
      const { version, chart } = beginning.event;
      try {
        const { body } = this.way(beginning);
        return body.version === version && body.chart === chart ? body : undefined;
      } catch (error) {
        if (error instanceof TroupeError) return undefined;
        throw error;
      }
    };
    return compareRun(run, given, recordedOf, this.#runPorts);
  }
}
