import type { Clock } from '../src/clock.ts';
import type { RunId } from '../src/protocol/ids.ts';
import { isDoubtful } from './doubts.ts';
import type { Run } from './run.ts';

export interface ElsewherePorts {
  readonly clock: Clock;
  /** As its journal has it. */
  fold(run: RunId): Promise<Run>;
  /** Undefined: it is not in this process. */
  waits(run: RunId): boolean | undefined;
  /** Somebody may have asked whether it waits, and that may be known now. */
  reconsider(run: RunId): void;
}

/** Of one journal this is asked again only when it has stood still for so long: who waits for somebody writes nothing. */
const STILL_MS = 1_000;

interface Look {
  readonly parent: RunId;
  waits: boolean | undefined;
  timer: unknown;
}

/** Runs of other processes that runs here wait for: whether these only wait for somebody, as their journals tell whoever asks. */
export class Elsewhere {
  readonly #ports: ElsewherePorts;
  readonly #looks = new Map<RunId, Look>();

  constructor(ports: ElsewherePorts) {
    this.#ports = ports;
  }

  /** It is waited for, and has changed. */
  changed(run: RunId, parent: RunId): void {
    this.forget(run);
    this.#looks.set(run, { parent, waits: undefined, timer: undefined });
    this.#ports.reconsider(parent);
  }

  /** What is looked at for this one is not known yet. */
  looks(parent: RunId): boolean {
    for (const look of this.#looks.values()) if (look.parent === parent && look.timer !== undefined) return true;
    return false;
  }

  forget(run: RunId): void {
    this.#ports.clock.clearTimeout(this.#looks.get(run)?.timer);
    this.#looks.delete(run);
  }

  waits(run: RunId): boolean {
    const look = this.#looks.get(run);
    if (look === undefined) return false;
    if (look.waits === undefined)
      look.timer ??= this.#ports.clock.setTimeout(() => void this.#look(run, look), STILL_MS, false);
    return look.waits === true;
  }

  async #look(run: RunId, look: Look): Promise<void> {
    // Where it cannot be read here it is not known to wait.
    const waits = await this.#waitsIn(run).catch(() => false);
    if (this.#looks.get(run) !== look) return;
    look.timer = undefined;
    look.waits = waits === 'below' ? undefined : waits;
    this.#ports.reconsider(look.parent);
  }

  /** `below`: it does if those do that it has begun, and of these nobody here is told. */
  async #waitsIn(run: RunId): Promise<boolean | 'below'> {
    const { end, status, system, calls, rest, openChildren } = await this.#ports.fold(run);
    if (end !== undefined || system.judging) return false;
    if (status === 'paused') return true;
    for (const leaf of system.nodes.leaves()) if (!isDoubtful(leaf) && !calls.children.has(leaf.key)) return false;
    if (!rest.waitsItself) return false;
    for (const child of openChildren)
      if ((this.#ports.waits(child.run) ?? (await this.#waitsIn(child.run))) !== true) return 'below';
    return true;
  }
}
