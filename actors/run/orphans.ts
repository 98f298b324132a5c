import type { Child } from '../../src/protocol/entry.ts';
import type { RunId } from '../../src/protocol/ids.ts';

interface Ports {
  /** Undefined where a run can begin none. */
  readonly children?: { leave(child: RunId, parent: RunId): Promise<void> };
  readonly report: (error: unknown, where: string) => void;
}

/** A run, as far as it may leave runs behind where it begins again. */
interface Before {
  readonly openChildren: readonly Child[];
  readonly orphans: Orphans;
}

/** Runs that a run has begun and does not need any more: the state that called them was left, or it was begun again. They are killed. */
export class Orphans {
  readonly #run: RunId;
  readonly #ports: Ports;
  /** One is dead, or it was tried. */
  readonly #killed: () => void;
  /** As a fold has found them; once the run is live there are none. */
  #found: Set<Child> | undefined;
  #live = false;
  #dying: Set<Promise<void>> | undefined;

  constructor(run: RunId, ports: Ports, killed: () => void) {
    this.#run = run;
    this.#ports = ports;
    this.#killed = killed;
  }

  /** In a fold that is done once the run is live: it may have been done before. */
  add(child: Child): void {
    if (this.#live) this.#kill(child);
    else (this.#found ??= new Set()).add(child);
  }

  /** In a fold: of the run before it began again, whose calls nobody waits for any more. */
  inherit({ openChildren, orphans }: Before): void {
    for (const child of [...(orphans.#found ?? []), ...openChildren]) this.add(child);
  }

  goLive(): void {
    this.#live = true;
    for (const child of this.#found ?? []) this.#kill(child);
    this.#found = undefined;
  }

  /** Some are still to be killed: whoever goes on with the run in this one's place finds them by all of its journal. */
  get any(): boolean {
    return this.#found !== undefined || this.dying;
  }

  /** Some are being killed. */
  get dying(): boolean {
    return this.#dying !== undefined && this.#dying.size > 0;
  }

  /** When none is any more; undefined: none is. */
  get dead(): Promise<unknown> | undefined {
    const dying = this.#dying;
    return dying === undefined || dying.size === 0 ? undefined : Promise.all(Array.from(dying));
  }

  #kill({ run: child }: Child): void {
    const { children, report } = this.#ports;
    if (children === undefined) return;
    const dying: Promise<void> = children
      .leave(child, this.#run)
      .catch((error: unknown) => report(error, `run ${this.#run}: killing ${child}, which it does not need any more`))
      .finally(() => {
        this.#dying?.delete(dying);
        this.#killed();
      });
    (this.#dying ??= new Set()).add(dying);
  }
}
