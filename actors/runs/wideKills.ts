import type { Journal } from '../../src/backend.ts';
import type { Clock } from '../../src/clock.ts';
import { NotFoundError, StorageError } from '../../src/protocol/errors.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';
import type { KillSwitch, Receipt } from '../../src/protocol/receipt.ts';
import { record } from '../control.ts';
import type { Run } from '../run.ts';
import type { Kill } from './kills.ts';
import { AGAIN_MS } from './later.ts';
import { openNow, type OpenRun, type Register } from './register.ts';
import { reaches, widthOf, type Switches } from './switches.ts';

/** How long what is switched off is left to whoever has thrown the switch, for a receipt that has all that was stopped. Nothing begins meanwhile. */
const THROWER_MS = 2_000;

export interface WidePorts {
  readonly owner: OwnerId;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  readonly register: Pick<Register, 'open'>;
  readonly switches: Pick<Switches, 'throw' | 'thrown' | 'list'>;
  readonly kill: Kill;
  readonly live: ReadonlyMap<RunId, Run>;
  closed(): boolean;
}

type Runs = ReadonlyMap<RunId, OpenRun>;

/** One is told from another by all that it says. */
const nameOf = (one: KillSwitch): string => JSON.stringify(one);

/** Kills of all of a kind, by whom they are thrown and wherever it lives or rests. */
export class WideKills {
  readonly #ports: WidePorts;
  /** Of switches that are thrown: until what they reach is killed from here. */
  readonly #timers = new Map<string, unknown>();
  /** Of those by which it is killed now. */
  readonly #due = new Set<string>();
  #killing = false;

  constructor(ports: WidePorts) {
    this.#ports = ports;
  }

  /** All that it reaches; and nothing of that begins until it is lifted. */
  async kill(thrown: KillSwitch, graceMs: number): Promise<Receipt> {
    const { register, switches, report } = this.#ports;
    await switches.throw(thrown);
    const { reason, by } = thrown;
    // What it reaches is killed also where this cannot be recorded: the switch itself says who has thrown it.
    const recorded = record({ type: 'kill', width: widthOf(thrown), reason, by }, this.#ports).catch((error: unknown) =>
      report(error, 'recording in the control log that a kill switch was thrown'),
    );
    const all = byRun(await register.open());
    const isReached = (open: OpenRun): boolean => reaches(thrown, open);
    const reached = Array.from(all.values()).filter(isReached);
    const roots = new Set(reached.map((open) => rootOf(open, all, isReached).run));
    const receipt = await this.#ports.kill(
      [...roots],
      { reason, by, graceMs },
      reached.map(({ run }) => run),
    );
    await recorded;
    // One that is not there yet finds itself switched off when it is (W1).
    return { ...receipt, left: receipt.left.filter(({ error }) => !(error instanceof NotFoundError)) };
  }

  /** What is off has changed: what is not any more goes on. */
  switched(): void {
    for (const run of this.#ports.live.values()) run.goOn();
    this.look();
  }

  /** What is off and lives or rests here, later, is killed from here. */
  look(): void {
    const { switches, clock } = this.#ports;
    const names = new Set(switches.thrown.map(nameOf));
    for (const [name, timer] of this.#timers)
      if (!names.has(name)) {
        clock.clearTimeout(timer);
        this.#timers.delete(name);
      }
    for (const name of names) this.#later(name, THROWER_MS);
  }

  close(): void {
    for (const timer of this.#timers.values()) this.#ports.clock.clearTimeout(timer);
    this.#timers.clear();
  }

  #later(name: string, ms: number): void {
    const { clock } = this.#ports;
    if (this.#ports.closed() || this.#timers.has(name)) return;
    const due = (): void => {
      this.#timers.delete(name);
      this.#due.add(name);
      void this.#killDue();
    };
    this.#timers.set(name, clock.setTimeout(due, ms, false));
  }

  async #killDue(): Promise<void> {
    if (this.#killing) return;
    this.#killing = true;
    try {
      await this.#killAll();
    } finally {
      this.#killing = false;
    }
  }

  async #killAll(): Promise<void> {
    while (this.#due.size > 0 && !this.#ports.closed()) {
      const names = new Set(this.#due);
      this.#due.clear();
      await this.#killOwn(names).catch((error: unknown) => {
        if (this.#ports.closed()) return;
        this.#ports.report(error, `killing what is switched off is tried again in ${AGAIN_MS} ms`);
        for (const name of names) this.#later(name, AGAIN_MS);
      });
    }
  }

  async #killOwn(names: ReadonlySet<string>): Promise<void> {
    const { owner, report, register, switches, live } = this.#ports;
    // What was killed elsewhere, and not told, is not registered any more.
    const here = Array.from(live.values(), (run) => openNow(run, owner));
    const all = byRun([...here, ...(await register.open())]);
    // As they are now: a kill cannot be undone.
    const thrown = (await switches.list()).filter((one) => names.has(nameOf(one)));
    const off = (open: OpenRun): KillSwitch | undefined => thrown.find((one) => reaches(one, open));
    const isReached = (open: OpenRun): boolean => off(open) !== undefined;
    const own = Array.from(all.values()).filter((open) => open.owner === owner && isReached(open));
    const killed = new Set<RunId>();
    const failed: RunId[] = [];
    for (const some of [own.map((open) => rootOf(open, all, isReached)), own])
      for (const one of thrown) {
        const runs = some.filter((open) => off(open) === one && !killed.has(open.run)).map(({ run }) => run);
        if (runs.length === 0) continue;
        const { reason, by } = one;
        // Nobody reads the receipt.
        const receipt = await this.#ports.kill(runs, { reason, by, graceMs: 0 });
        for (const { run } of receipt.runs) killed.add(run);
        for (const { run, error } of receipt.left) {
          if (error instanceof NotFoundError) continue;
          report(error, `run ${run}: killing what is switched off`);
          failed.push(run);
        }
      }
    if (failed.length > 0) throw new StorageError('Not all of it was killed.', { runs: failed });
  }
}

const byRun = (some: readonly OpenRun[]): Runs => new Map(some.map((open) => [open.run, open]));

/** The topmost of those that it works for and that are reached, too: killed before it, nothing above goes on as its call has failed. */
function rootOf(open: OpenRun, all: Runs, isReached: (open: OpenRun) => boolean): OpenRun {
  let root = open;
  for (let above = aboveIn(all, open); above !== undefined; above = aboveIn(all, above))
    if (isReached(above)) root = above;
  return root;
}

const aboveIn = (all: Runs, { parent }: OpenRun): OpenRun | undefined =>
  parent === undefined ? undefined : all.get(parent.run);
