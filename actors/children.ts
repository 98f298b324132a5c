import type { Journal } from '../src/backend.ts';
import { unseal } from '../src/chain.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import { spentIn } from '../src/ledger.ts';
import type { EntryEvents, Spent } from '../src/protocol/entry.ts';
import { ValidationError } from '../src/protocol/errors.ts';
import { failure } from '../src/protocol/exit.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { Resolved } from './body.ts';
import { childId } from './child.ts';
import type { Ended, Outcome } from './end.ts';
import { Elsewhere, type ElsewherePorts } from './elsewhere.ts';
import { readEnd } from './owner.ts';
import type { Children } from './run/ports.ts';
import type { Run } from './run.ts';
import { insist, type InsistPorts } from './runs/later.ts';
import type { ChildAsked } from './system/node.ts';

/** What a definition says of itself in the first entry of its runs. */
export type Begins = Pick<EntryEvents['run.created'], 'definition' | 'version' | 'chart' | 'input' | 'spec'>;

export interface ChildPorts extends ElsewherePorts, InsistPorts {
  readonly journal: Journal;
  /** @throws ValidationError */
  begins(definition: AnyDefinition, input: unknown): { body: Resolved; begins: Begins };
  live(run: RunId): Run | undefined;
  /** Begins it, or brings it here if it is there and nobody alive has it. */
  ensure(
    run: RunId,
    created: Omit<EntryEvents['run.created'], 'owner'>,
    body: Resolved,
    signal: AbortSignal,
  ): Promise<void>;
  kill(run: RunId, asked: { reason: string; by: string }): Promise<unknown>;
}

/** The runs that calls of runs of this process have begun. */
export class ChildRuns implements Children {
  readonly #ports: ChildPorts;
  readonly #elsewhere: Elsewhere;
  /** Calls that begin a child, or look how it has ended, by parent; those that only wait are not among them. */
  readonly #looking = new Map<RunId, Set<string>>();

  constructor(ports: ChildPorts) {
    this.#ports = ports;
    this.#elsewhere = new Elsewhere(ports);
  }

  async run(parent: Run, call: string, input: unknown, { definition, budget, signal }: ChildAsked): Promise<unknown> {
    const id = childId(parent.id, call);
    const { tenant } = parent.beginning.event;
    const { body, begins } = this.#begins(definition, input);
    const created = {
      ...begins,
      by: parent.id,
      tenant,
      budget: parent.calls.gate.childBudget(call, budget),
      parent: { run: parent.id, call },
      origins: [],
    };
    const look = (looks: boolean): void => this.#look(parent.id, call, looks);
    look(true);
    try {
      await this.#ports.ensure(id, created, body, signal);
      const live = this.#ports.live(id);
      const outcome = await this.#ended(id, parent.id, signal, look);
      const spent = live?.end === undefined ? await this.#insist(id, () => this.spent(id)) : live.calls.gate.spent;
      parent.calls.gate.childSpent(call, spent);
      if ('error' in outcome) throw outcome.error;
      return outcome.output;
    } finally {
      look(false);
    }
  }

  #begins(definition: AnyDefinition, input: unknown): ReturnType<ChildPorts['begins']> {
    try {
      return this.#ports.begins(definition, input);
    } catch (error) {
      // No run has begun: it costs nothing.
      throw error instanceof ValidationError ? Object.assign(error, { notPerformed: true }) : error;
    }
  }

  /** What it learns now, whoever wakes the parent later would have to learn again: it is not to be parked. */
  looks(parent: RunId): boolean {
    return this.#looking.has(parent) || this.#elsewhere.looks(parent);
  }

  #look(parent: RunId, call: string, looks: boolean): void {
    const calls = this.#looking.get(parent) ?? new Set();
    if (looks) calls.add(call);
    else calls.delete(call);
    if (calls.size > 0) this.#looking.set(parent, calls);
    else this.#looking.delete(parent);
  }

  async end(child: RunId): Promise<Outcome | undefined> {
    const end = await readEnd(this.#ports.journal, child);
    return end && outcomeOf(end);
  }

  async begun(child: RunId): Promise<EntryEvents['run.created'] | undefined> {
    const { journal } = this.#ports;
    for await (const { entry } of unseal(child, journal.read(child)))
      return entry.type === 'run.created' && (await this.end(child)) === undefined ? entry.event : undefined;
    return undefined;
  }

  spent(child: RunId): Promise<Spent> {
    return spentIn(unseal(child, this.#ports.journal.read(child)));
  }

  /** It waits for somebody. `here`: one that is not in this process counts as waiting, as whoever asks does nothing about it. */
  waits(child: RunId, here: boolean): boolean {
    return this.#ports.waits(child) ?? (here || this.#elsewhere.waits(child));
  }

  /** A store that fails for a moment tells nothing about a run. */
  #insist<T>(run: RunId, look: () => Promise<T>): Promise<T> {
    return insist(`run ${run}: looking how it has ended`, this.#ports, look);
  }

  async leave(child: RunId, parent: RunId): Promise<void> {
    await this.#ports.kill(child, { reason: `run ${parent} does not need it any more`, by: parent });
  }

  /** Wherever it lives. Rejects when nobody wants to know any more. */
  async #ended(id: RunId, parent: RunId, signal: AbortSignal, look: (looks: boolean) => void): Promise<Outcome> {
    const { journal } = this.#ports;
    let [told, over] = [false, false];
    let tell = (): void => {};
    const changed = (): void => {
      if (over) return;
      told = true;
      look(true);
      tell();
    };
    signal.addEventListener('abort', changed, { once: true });
    let unwatch: (() => void) | undefined;
    try {
      for (;;) {
        signal.throwIfAborted();
        told = false;
        const outcome = await this.#insist(id, () => {
          signal.throwIfAborted();
          return this.end(id);
        });
        if (outcome !== undefined) return outcome;
        // Where it lives here its end need not be looked for.
        const live = this.#ports.live(id);
        if (live !== undefined) live.ended.then(changed, changed);
        else unwatch ??= journal.watch(id, changed);
        if (told) continue;
        look(false);
        if (live === undefined) this.#elsewhere.changed(id, parent);
        await new Promise<void>((resolve) => (tell = resolve));
      }
    } finally {
      over = true;
      this.#elsewhere.forget(id);
      signal.removeEventListener('abort', changed);
      unwatch?.();
    }
  }
}

/** As its parent records it. */
function outcomeOf(end: Ended): Outcome {
  switch (end.type) {
    case 'run.completed':
      return { output: end.event.output };
    case 'run.failed':
      return { error: end.event.error };
    case 'run.killed': {
      const { reason, by } = end.event;
      const { run } = end;
      return {
        error: failure('KillSwitchTriggeredError', 'KILLED', `Run ${run} was killed: ${reason}.`, { run, reason, by }),
      };
    }
  }
}
