import { createHash } from 'node:crypto';
import type { AnyActorRef } from 'xstate';
import { wayFrom } from '../../../../actors/body.ts';
import { Definitions } from '../../../../actors/definitions.ts';
import { foldRun } from '../../../../actors/owner.ts';
import type { Journal, Stored } from '../../../backend.ts';
import { Deadlines, type Clock } from '../../../clock.ts';
import { runId, type JournalId } from '../../../protocol/ids.ts';
import type { Workload } from '../workload.ts';

/** What live runs showed at an entry, and what a fold shows there. */

interface Shown {
  status: string;
  value?: unknown;
  context?: unknown;
  children?: Record<string, AnyActorRef | undefined>;
}

/** Of an actor and all that it has begun: states, contexts, who is there. */
export function digestOf(root: AnyActorRef): string {
  const shown = (actor: AnyActorRef): unknown => {
    const { status, value, context, children } = actor.getSnapshot() as Shown;
    const below = Object.entries(children ?? {}).map(([id, child]) => [id, child && shown(child)]);
    return [status, value, context, below];
  };
  return createHash('sha1')
    .update(JSON.stringify(shown(root)))
    .digest('hex');
}

/** A clock that stands, and takes nothing. */
const STILL: Clock = { now: () => 0, setTimeout: () => undefined, clearTimeout: () => {}, immediate: () => {} };

/** Folds a run; what is wrong with it, if anything. `live`: digests by seq, of some entries. */
export async function folds(
  run: string,
  stored: readonly Stored[],
  workload: Workload,
  live: ReadonlyMap<number, string>,
): Promise<string | undefined> {
  // As a troupe knows them: what these begin runs of, too.
  const definitions = new Definitions(STILL, new Map());
  for (const { definition, changed } of workload.kinds)
    for (const one of [definition, changed?.definition]) if (one !== undefined) definitions.add(one);
  const journal = {
    async *read(_: JournalId, from = 1) {
      yield* stored.slice(from - 1);
    },
  } as unknown as Journal;
  const ports = { journal, clock: STILL, deadlines: new Deadlines(STILL), report: () => {} };
  let differs: string | undefined;
  try {
    await foldRun(runId(run), (beginning) => wayFrom(beginning.event, definitions.begunAs(beginning)), ports, {
      onEntry: ({ system }, { seq, type }) => {
        const showed = live.get(seq);
        if (showed !== undefined && differs === undefined && showed !== digestOf(system.root))
          differs = `at entry ${seq} (${type}) a fold has another state than the live run had`;
      },
    });
  } catch (error) {
    return String(error);
  }
  return differs;
}
