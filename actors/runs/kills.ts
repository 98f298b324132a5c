import type { Journal } from '../../src/backend.ts';
import { unseal } from '../../src/chain.ts';
import type { Clock } from '../../src/clock.ts';
import type { Child } from '../../src/protocol/entry.ts';
import { NotFoundError } from '../../src/protocol/errors.ts';
import { DEFAULT_TENANT, type OwnerId, type RunId, type TenantId } from '../../src/protocol/ids.ts';
import type { KilledRun, Receipt, StoppedActor } from '../../src/protocol/receipt.ts';
import type { RunStatus } from '../../src/protocol/lifecycle.ts';
import { OutcomesUnknown } from '../../src/summary.ts';
import { childIn } from '../child.ts';
import { fence, tombstone } from '../owner.ts';
import { isRetryable } from './later.ts';
import type { Found, OpenRun } from './register.ts';
import type { Run } from '../run.ts';
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

export type Kill = (runs: readonly RunId[], asked: Asked) => Promise<Receipt>;

/** For what nobody waits to see killed. */
export const GRACE_MS = 5_000;

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
  /** Tells that process. Undefined: it did not answer. */
  tell(open: OpenRun, graceMs: number): Promise<readonly StoppedActor[] | undefined>;
  /** It has ended. */
  conclude(run: RunId, parent: OpenRun['parent'] | null | undefined): Promise<void>;
}

const HERE: Found = { open: undefined, elsewhere: false };

/** What a run has begun. */
interface Began {
  definition: string;
  tenant: TenantId;
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

type Stopping = ReturnType<Run['ending']['killed']>;

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
        const { killed, tenant, children, parent, error } = one;
        answers.push(killed.then((one) => void runs.set(run, one)));
        // It is killed, and what it has begun is still to be found.
        if (isRetryable(error)) throw error;
        const below = await Promise.all(children.map((begun) => visit(begun.run, { parent: run, tenant, begun })));
        if (!below.every(Boolean)) return false;
        // K4.
        // The parent of one that was reached through it is killed: nobody there is to be told.
        await this.#ports.conclude(run, child === undefined ? parent : null);
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
    const { open, elsewhere } = found;
    const stopping = end.type === 'run.killed' ? (live?.ending.killed(end) ?? []) : [];
    const began = live === undefined ? await this.#began(run) : begunIn(live);
    const { definition, tenant, children, unknown, error } = began;
    const wasKilled = end.type === 'run.killed';
    const stopped = elsewhere ? this.#ports.tell(open, asked.graceMs) : answers(stopping, asked.graceMs, clock);
    const killed = stopped.then((actors) => ({
      run,
      definition,
      status: end.type.slice('run.'.length) as RunStatus,
      reason: end.type === 'run.killed' ? end.event.reason : asked.reason,
      by: end.type === 'run.killed' ? end.event.by : asked.by,
      seq: end.seq,
      owner: live === undefined ? (elsewhere ? open.owner : null) : (live.owner as OwnerId),
      answered: actors !== undefined,
      stopped: actors ?? [],
      inDoubt: wasKilled ? unknown : [],
      ms: clock.now() - since,
      ...(error !== undefined && { error }),
    }));
    return { killed, tenant, children: wasKilled ? children : [], parent, ...(wasKilled && { error }) };
  }

  async #began(run: RunId): Promise<Began> {
    const children = new Map<RunId, Child>();
    const outcomes = new OutcomesUnknown();
    let [definition, tenant] = ['', DEFAULT_TENANT];
    try {
      for await (const { entry } of unseal(run, this.#ports.journal.read(run))) {
        if (entry.type === 'run.created') ({ definition, tenant } = entry.event);
        const begun = childIn(entry);
        if (begun !== undefined) children.set(begun.run, begun);
        outcomes.note(entry);
      }
    } catch (error) {
      return { definition, tenant, children: [...children.values()], unknown: outcomes.calls, error };
    }
    return { definition, tenant, children: [...children.values()], unknown: outcomes.calls };
  }
}

/** When each has stopped and what it was doing has ended, or the grace period is over. */
export async function answers(stopping: Stopping, graceMs: number, clock: Clock): Promise<StoppedActor[]> {
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
  children: live.calls.children.all,
  unknown: live.calls.doubts.unknown,
});

const unansweredIn = ({ run, answered, stopped }: KilledRun): Receipt['unanswered'] => [
  ...(answered ? [] : [{ run, actor: null }]),
  ...stopped.filter(({ ms }) => ms === null).map(({ actor }) => ({ run, actor })),
];
