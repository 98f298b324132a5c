import type { Journal } from '../../src/backend.ts';
import { unseal } from '../../src/chain.ts';
import type { Clock } from '../../src/clock.ts';
import { isBeginning, type Child, type EntryOf } from '../../src/protocol/entry.ts';
import { NotFoundError } from '../../src/protocol/errors.ts';
import { DEFAULT_TENANT, ownerId, type OwnerId, type RunId, type TenantId } from '../../src/protocol/ids.ts';
import type { KilledRun, Receipt, StoppedActor } from '../../src/protocol/receipt.ts';
import type { RunStatus } from '../../src/protocol/lifecycle.ts';
import { OutcomesUnknown } from '../../src/summary.ts';
import { childIn } from '../child.ts';
import { fence, NOBODY, tombstone } from '../owner.ts';
import { isRetryable } from './later.ts';
import { taken } from './refusals.ts';
import type { Found, OpenRun } from './register.ts';
import type { Run } from '../run.ts';
import type { Stopped } from '../run/ending.ts';
import type { RunPorts } from '../run/ports.ts';

/**
 * A kill of a run and of all that it has begun.
 *
 * K1. The fence comes first: an entry by nobody's epoch, after which the run can record nothing more, wherever it lives.
 * K2. A run that is fenced can begin no other run: what it may have begun is on record before the fence. Each of these is fenced, or where it
 *     is not there yet a tombstone is put in its place.
 * K3. Signals come last. Who does not answer them has lost its run all the same.
 * K4. It is forgotten when all below it is fenced: whoever kills and dies on the way leaves a run that is found again, and its kill is taken up.
 * K5. Killing what has been killed looks at what that has begun once more, and changes nothing else.
 */

export interface Asked {
  reason: string;
  by: string;
  /** How long calls may take to end once they are told to. */
  graceMs: number;
}

/** `last`: of these only what is not below the others. */
export type Kill = (runs: readonly RunId[], asked: Asked, last?: readonly RunId[]) => Promise<Receipt>;

/** Why what a run that has ended had begun is killed. */
export const worksForNobody = (parent: RunId): Pick<Asked, 'reason' | 'by'> => ({
  reason: `run ${parent}, which it worked for, has ended`,
  by: parent,
});

export interface KillPorts {
  /** Says that this process is there, so that the others find out when it is gone. A kill does not wait for the store to take that. */
  announce(): void;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly runPorts: RunPorts;
  /** Calls `fence` with what lives of it in this process; nothing is recorded for that any more, and nobody brings the run there meanwhile. */
  seize<T>(run: RunId, fence: (live: Run | undefined) => Promise<T>): Promise<T>;
  /** As the registry has it. */
  find(run: RunId): Promise<Found>;
  /** Another process, and it is alive. */
  isElsewhere(owner: OwnerId): Promise<boolean>;
  /** Stops what lives of it here. What of that, or of what was stopped before, goes on until it has ended. */
  stop(run: RunId, live: Run | undefined, end: EntryOf<'run.killed'>): Stopped;
  /** Tells that process. Undefined: it did not answer. */
  tell(open: Pick<OpenRun, 'run' | 'tenant' | 'owner'>, graceMs: number): Promise<readonly StoppedActor[] | undefined>;
  /** It has ended. */
  conclude(run: RunId, parent: OpenRun['parent'] | null | undefined): Promise<void>;
}

const HERE: Found = { open: undefined, elsewhere: false };

/** What a run has begun. */
interface Began {
  definition: string;
  tenant: TenantId;
  /** Who had it last. */
  owner: OwnerId;
  children: readonly Child[];
  unknown: readonly string[];
  error?: unknown;
}

/** A run that may not be there yet. */
export interface Begun {
  parent: RunId;
  tenant: TenantId;
  begun: Child;
}

export class Kills {
  readonly #ports: KillPorts;

  constructor(ports: KillPorts) {
    this.#ports = ports;
  }

  /** Of several runs and all below them, each once. `last`: of those only what is not below the others. Never throws: what could not be killed is in the receipt. */
  async kill(roots: readonly RunId[], asked: Asked, last: readonly RunId[] = []): Promise<Receipt> {
    const { clock } = this.#ports;
    const since = clock.now();
    this.#ports.announce();
    const runs = new Map<RunId, KilledRun | undefined>();
    const left: { run: RunId; error: unknown }[] = [];
    const answers: Promise<void>[] = [];
    /** True when it and all below it are fenced. */
    const visit = async (run: RunId, child?: Begun): Promise<boolean> => {
      if (runs.has(run)) return true;
      // Its place: parents come before children.
      runs.set(run, undefined);
      try {
        const one = await this.#one(run, asked, child);
        if (one === undefined) return runs.delete(run);
        const { killed, tenant, children, parent, error, concludes } = one;
        answers.push(killed.then((one) => void runs.set(run, one)));
        // It is killed, and what it has begun is still to be found.
        if (isRetryable(error)) throw error;
        const below = await Promise.all(children.map((begun) => visit(begun.run, { parent: run, tenant, begun })));
        if (!below.every(Boolean)) return false;
        // K4.
        // The parent of one that was reached through it is killed: nobody there is to be told.
        if (concludes) await this.#ports.conclude(run, child === undefined ? parent : null);
        return true;
      } catch (error) {
        left.push({ run, error });
        return false;
      }
    };
    for (const some of [roots, last]) await Promise.all(some.map((run) => visit(run)));
    await Promise.all(answers);
    const all = Array.from(runs.values()).filter((one) => one !== undefined);
    const { reason, by } = asked;
    return { reason, by, runs: all, left, unanswered: all.flatMap(unansweredIn), ms: clock.now() - since };
  }

  /** What a run that has ended by itself had begun and left: whoever ended it may not have come to that. */
  async below(run: RunId, asked: Asked): Promise<Receipt> {
    const { children, error } = await this.#began(run);
    if (isRetryable(error)) throw error;
    const own: RunId[] = [];
    for (const child of children) {
      const { open } = await this.#ports.find(child.run);
      if (open === undefined || open.parent?.run === run) own.push(child.run);
    }
    const receipt = await this.kill(own, asked);
    // One that was never begun will not be: nobody owns what would begin it.
    return { ...receipt, left: receipt.left.filter(({ error }) => !(error instanceof NotFoundError)) };
  }

  /** Undefined: somebody else has taken the id of that child. */
  async #one(
    run: RunId,
    asked: Asked,
    child: Begun | undefined,
  ): Promise<
    | {
        killed: Promise<KilledRun>;
        tenant: TenantId;
        children: readonly Child[];
        parent: OpenRun['parent'] | null | undefined;
        error?: unknown;
        /** False: it is ending here, and whoever does that sees to what it had begun. */
        concludes: boolean;
      }
    | undefined
  > {
    const { clock, runPorts } = this.#ports;
    const since = clock.now();
    const fenced = await this.#ports.seize(run, async (live) => {
      const found = live === undefined ? await this.#ports.find(run) : HERE;
      const parent = live === undefined ? found.open?.parent : live.beginning.event.parent;
      const isThere = live !== undefined || found.open !== undefined;
      if (child !== undefined && isThere && parent?.run !== child.parent) return undefined;
      try {
        const unsaid = live?.calls.gate.unsaidAt(runPorts.clock.now());
        const end = await fence(run, { ...asked, ...unsaid }, runPorts).catch((error: unknown) => {
          if (child === undefined || !(error instanceof NotFoundError)) throw error;
          return tombstone(run, child, asked, runPorts);
        });
        // Somebody may have taken it over just before the fence.
        const now = live === undefined && !found.elsewhere ? await this.#ports.find(run) : found;
        return { live, found: now, parent, end };
      } catch (error) {
        // Not recorded, as it seems, so it goes on where it is recovered; here it stops all the same. Its owner looks whether it is.
        live?.ending.abandon(error);
        if (found.elsewhere) void this.#ports.tell(found.open, 0);
        throw error;
      }
    });
    if (fenced === undefined) return undefined;
    const { live, found, parent, end } = fenced;
    const { open } = found;
    const wasKilled = end.type === 'run.killed';
    // What was written and not acknowledged its owner does not know.
    const knows = live !== undefined && end.seq <= live.position.seq + 1;
    const stopping = wasKilled ? this.#ports.stop(run, live, end) : [];
    // It was taken over and has ended there, and here nobody has noticed.
    if (live !== undefined && live.end === undefined) live.ending.abandon(taken(run));
    const began = knows ? begunIn(live) : await this.#began(run);
    const { definition, tenant, unknown, error } = began;
    const owner = open?.owner ?? began.owner;
    // Whoever has killed it before may have had it forgotten, and what was under way there has not ended yet.
    const elsewhere = found.elsewhere || (wasKilled && live === undefined && (await this.#ports.isElsewhere(owner)));
    const stopped = elsewhere
      ? this.#ports.tell({ run, tenant, owner }, asked.graceMs)
      : answers(stopping, asked.graceMs, clock);
    const killed = stopped.then((actors) => ({
      run,
      definition,
      status: end.type.slice('run.'.length) as RunStatus,
      reason: wasKilled ? end.event.reason : asked.reason,
      by: wasKilled ? end.event.by : asked.by,
      seq: end.seq,
      owner: live === undefined && !elsewhere ? null : owner,
      answered: actors !== undefined,
      stopped: actors ?? [],
      inDoubt: wasKilled ? unknown : [],
      ms: clock.now() - since,
      ...(error !== undefined && { error }),
    }));
    // One that has ended otherwise and is still registered may have left what it had begun.
    const isOver = wasKilled || open !== undefined;
    const children = wasKilled ? began.children : isOver ? await this.#registered(run, began.children) : [];
    return { killed, tenant, children, parent, concludes: wasKilled || live === undefined, ...(isOver && { error }) };
  }

  async #registered(run: RunId, children: readonly Child[]): Promise<Child[]> {
    const registered: Child[] = [];
    for (const child of children)
      if ((await this.#ports.find(child.run)).open?.parent?.run === run) registered.push(child);
    return registered;
  }

  async #began(run: RunId): Promise<Began> {
    const children = new Map<RunId, Child>();
    const outcomes = new OutcomesUnknown();
    let [definition, tenant, owner] = ['', DEFAULT_TENANT, NOBODY];
    try {
      for await (const { entry } of unseal(run, this.#ports.journal.read(run))) {
        if (entry.type === 'run.recovered' || entry.type === 'run.forked') owner = ownerId(entry.event.owner);
        else if (isBeginning(entry)) {
          ({ definition, tenant } = entry.event);
          owner = ownerId(entry.event.owner);
        }
        const begun = childIn(entry);
        if (begun !== undefined) children.set(begun.run, begun);
        outcomes.note(entry);
      }
    } catch (error) {
      return { definition, tenant, owner, children: [...children.values()], unknown: outcomes.calls, error };
    }
    return { definition, tenant, owner, children: [...children.values()], unknown: outcomes.calls };
  }
}

/** When each has stopped and what it was doing has ended, or the grace period is over. */
export async function answers(stopping: Stopped, graceMs: number, clock: Clock): Promise<StoppedActor[]> {
  const since = clock.now();
  const ms = (): number => clock.now() - since;
  const works = stopping.some(({ work }) => work !== undefined);
  let timer: unknown;
  const late = works
    ? new Promise<null>((resolve) => {
        if (graceMs > 0) timer = clock.setTimeout(() => resolve(null), graceMs);
        else clock.immediate(() => resolve(null));
      })
    : undefined;
  const stopped = await Promise.all(
    stopping.map(async ({ actor, state, work }) => ({
      actor,
      state,
      ms: work === undefined || late === undefined ? 0 : await Promise.race([work.then(ms), late]),
    })),
  );
  if (timer !== undefined) clock.clearTimeout(timer);
  return stopped;
}

const begunIn = (live: Run): Began => ({
  definition: live.beginning.event.definition,
  tenant: live.beginning.event.tenant,
  owner: live.owner as OwnerId,
  children: live.calls.children.all,
  unknown: live.calls.doubts.unknown,
});

const unansweredIn = ({ run, answered, stopped }: KilledRun): Receipt['unanswered'] => [
  ...(answered ? [] : [{ run, actor: null }]),
  ...stopped.filter(({ ms }) => ms === null).map(({ actor }) => ({ run, actor })),
];
