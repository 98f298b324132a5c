import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { AnyActorRef, AnyMachineSnapshot } from 'xstate';
import { unseal } from '../src/chain.ts';
import { encode, toData } from '../src/codec.ts';
import { isBeginning, type Beginning, type Entry } from '../src/protocol/entry.ts';
import { NotFoundError, ReplayDivergenceError } from '../src/protocol/errors.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { ActorState, Difference, Fold, Moment } from '../src/replay.ts';
import { isActor, isMachine, logicOf } from './durable.ts';
import { foldRun, type FoldOptions } from './owner.ts';
import type { Body, RunPorts } from './run/ports.ts';
import type { Run } from './run.ts';
import { addressOf } from './self.ts';

type BodyOf = (beginning: Beginning) => { body: Body };

/** Folds a run with these bodies as often as it is asked to. */
export const folding =
  (id: RunId, bodyOf: BodyOf, ports: RunPorts): Fold =>
  async ({ upTo, each } = {}) => {
    let last: Entry | undefined;
    const onEntry = (run: Run, entry: Entry): void => {
      last = entry;
      each?.(entry, () => momentOf(run, entry));
    };
    const { run } = await foldRun(id, bodyOf, ports, { onEntry, ...(upTo !== undefined && { upTo }) });
    return momentOf(run, last ?? run.beginning);
  };

function momentOf(run: Run, entry: Entry): Moment {
  const { value, context } = (run.bodyActor?.getSnapshot() ?? {}) as Partial<AnyMachineSnapshot>;
  return {
    seq: entry.seq,
    entry,
    status: run.status,
    actors: run.states(),
    snapshot: { value, context: shown(context) },
    inDoubt: run.inDoubt(),
  };
}

/** What cannot be kept is shown as it is. */
function shown(context: unknown): unknown {
  try {
    return toData(context, 'context', (value) => (isActor(value) ? { actor: addressOf(value).key } : undefined));
  } catch {
    return context;
  }
}

/**
 * Where a run's journal first tells `given` from what it was written by: an entry that does not fit, or after which the states or the
 * contexts of its machines are others. `recordedOf`: the definition that wrote it, where it is known.
 * @throws NotFoundError, CorruptJournalError
 */
export async function compareRun(
  id: RunId,
  given: Body,
  recordedOf: (beginning: Beginning) => Body | undefined,
  ports: RunPorts,
): Promise<Difference> {
  const last = await lastBeginning(id, ports);
  // A body before, of another version, stays what it was.
  const isOfLast = ({ event }: Beginning): boolean => event.version === last.event.version;
  const written = (options: FoldOptions) => foldRun(id, (at) => ({ body: recordedOf(at) ?? given }), ports, options);
  const marks = recordedOf(last) === undefined ? undefined : await marksOf(written);

  const skipped = new Set<string>();
  let before: ActorState[] = [];
  let seq = 0;
  try {
    await foldRun(id, (at) => ({ body: isOfLast(at) ? given : (recordedOf(at) ?? given) }), ports, {
      onEntry: (run, entry) => {
        const look = lookAt(run);
        seq = entry.seq;
        if (marks !== undefined && marks[seq - 1] !== markOf(look)) throw new Parted(entry, look);
        for (const place of look.skipped) skipped.add(place);
        before = look.actors;
      },
    });
  } catch (error) {
    if (error instanceof Parted) {
      const { entry, look } = error;
      const { run } = await written({ upTo: seq });
      return { equal: false, seq, entry, ...apart(lookAt(run), look), before };
    }
    if (!(error instanceof ReplayDivergenceError)) throw error;
    const { expected, got } = error.context;
    const at = error.context['seq'] as number;
    return { equal: false, seq: at, entry: await entryAt(id, at, ports), expected, got, before };
  }
  if (marks === undefined) return { equal: true, entries: seq, compared: 'fit' };
  return { equal: true, entries: seq, compared: 'states', ...(skipped.size > 0 && { skipped: [...skipped] }) };
}

/** After one entry they are not the same any more. */
class Parted extends Error {
  readonly entry: Entry;
  readonly look: Look;
  constructor(entry: Entry, look: Look) {
    super('parted');
    this.entry = entry;
    this.look = look;
  }
}

/** Undefined when the definition of that name does not fit it either: it is not the one that wrote it. */
async function marksOf(fold: (options: FoldOptions) => Promise<unknown>): Promise<string[] | undefined> {
  const marks: string[] = [];
  try {
    await fold({ onEntry: (run) => marks.push(markOf(lookAt(run))) });
    return marks;
  } catch (error) {
    if (error instanceof ReplayDivergenceError) return undefined;
    throw error;
  }
}

/** What is compared of a run as it stands. */
interface Look {
  status: string;
  actors: ActorState[];
  /** Of the body. */
  context: unknown;
  /** Of the machines below it, by key. */
  contexts: ReadonlyMap<string, unknown>;
  /** Places in contexts that hold what cannot be kept, nor compared: functions, say. */
  skipped: string[];
}

function lookAt(run: Run): Look {
  const skipped: string[] = [];
  const contextOf = (key: string, actor: AnyActorRef | undefined): unknown => {
    const { context } = (actor?.getSnapshot() ?? {}) as Partial<AnyMachineSnapshot>;
    return comparable(context, `${key}.context`, skipped);
  };
  const { body, bodyActor } = run.system.nodes;
  const machines = Array.from(run.system.nodes.actors()).filter(
    ([, actor]) => actor !== bodyActor && isMachine(logicOf(actor)),
  );
  return {
    status: run.status,
    actors: run.states(),
    context: contextOf(body, bodyActor),
    contexts: new Map(machines.map(([key, actor]) => [key, contextOf(key, actor)])),
    skipped,
  };
}

/** Key by key, so that one that cannot be kept does not hide the others. */
function comparable(context: unknown, path: string, skipped: string[]): unknown {
  const keep = (value: unknown, at: string): unknown => {
    try {
      return toData(value, at, (item) => (isActor(item) ? { actor: addressOf(item).key } : undefined));
    } catch {
      skipped.push(at);
      return { notCompared: at };
    }
  };
  if (typeof context !== 'object' || context === null || Array.isArray(context)) return keep(context, path);
  return Object.fromEntries(Object.entries(context).map(([key, value]) => [key, keep(value, `${path}.${key}`)]));
}

const markOf = ({ status, actors, context, contexts }: Look): string =>
  hash('sha256', encode(toData({ status, actors, context, contexts: [...contexts] })), 'base64');

/** As both are shown: of the machines below the body those whose contexts are not the same. */
function apart(expected: Look, got: Look): { expected: unknown; got: unknown } {
  const isOther = (key: string): boolean => !isDeepStrictEqual(expected.contexts.get(key), got.contexts.get(key));
  const shownOf = ({ status, actors, context, contexts }: Look): unknown => {
    const others = Array.from(contexts).filter(([key]) => isOther(key));
    return { status, actors, context, ...(others.length > 0 && { contexts: Object.fromEntries(others) }) };
  };
  return { expected: shownOf(expected), got: shownOf(got) };
}

async function lastBeginning(id: RunId, { journal }: RunPorts): Promise<Beginning> {
  let last: Beginning | undefined;
  for await (const { entry } of unseal(id, journal.read(id))) if (isBeginning(entry)) last = entry;
  if (last === undefined) throw new NotFoundError(`There is no run ${id}.`, { run: id });
  return last;
}

async function entryAt(id: RunId, seq: number, { journal }: RunPorts): Promise<Entry> {
  for await (const { entry } of unseal(id, journal.read(id))) if (entry.seq === seq) return entry;
  throw new NotFoundError(`Run ${id} has no entry ${seq}.`, { run: id, seq });
}
