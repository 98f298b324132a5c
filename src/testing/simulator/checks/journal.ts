import { isNotBegun } from '../../../openCall.ts';
import { beginOf, type Entry } from '../../../protocol/entry.ts';
import type { Process } from '../process.ts';
import { callOf, type RunFacts } from './facts.ts';

/** What is asked of every entry at the moment it is written. Each check is named by the promise it holds. */

type Check = (entry: Entry, facts: RunFacts, by: Process, of: (run: string) => RunFacts) => string | undefined;

const DELAY = /@xstate\.after\.(\d+)\./;

export const entryChecks: Readonly<Record<string, Check>> = {
  J1: ({ seq, at, v, epoch }, { last }) => {
    if (v !== 1 || seq !== (last?.seq ?? 0) + 1) return `entry ${seq} (version ${v}) follows entry ${last?.seq ?? 0}`;
    if (at < (last?.at ?? 0)) return `entry ${seq} is of an earlier time than the one before`;
    if (epoch < 1) return `entry ${seq} has epoch ${epoch}`;
    return undefined;
  },

  F1: ({ seq, epoch, type }, { last, writers }, by) => {
    if (epoch < (last?.epoch ?? 0)) return `entry ${seq} of epoch ${epoch} follows one of epoch ${last?.epoch}`;
    const writer = writers.get(epoch);
    if (writer !== undefined && writer !== by) return `${by.name} and ${writer.name} both write under epoch ${epoch}`;
    const takes = type === 'run.recovered' || type === 'run.killed' || type === 'run.created' || type === 'run.forked';
    if (epoch !== (last?.epoch ?? 0) && !takes) return `entry ${seq} (${type}) begins epoch ${epoch}`;
    // A run that is killed before it could begin is created and killed by one hand.
    const tombstone = type === 'run.killed' && last?.type === 'run.created';
    if (epoch === last?.epoch && !tombstone && (type === 'run.recovered' || type === 'run.killed'))
      return `entry ${seq} (${type}) has the epoch of the owner before`;
    return undefined;
  },

  K1: ({ run, seq, type, event }, { end }, _, of) => {
    if (end !== undefined) return `entry ${seq} (${type}) follows ${end.type} (entry ${end.seq})`;
    if (type !== 'run.created' || event.parent === null) return undefined;
    // Whoever kills its parent knows of it by that journal alone.
    const { parent } = event;
    const isNamed = [...of(parent.run).calls.values()].some((call) => call.intents.some(({ child }) => child === run));
    return isNamed ? undefined : `run ${parent.run}, which has begun it, has no intent that names it`;
  },

  E1: (entry, facts) => {
    const { target, seq, type } = entry;
    const call = facts.calls.get(callOf(target));
    const begin = beginOf(entry);
    if (begin !== undefined) {
      const before = call?.intents.filter(({ leaf }) => leaf === target).length ?? 0;
      if (begin.attempt !== before + 1)
        return `entry ${seq}: ${target} begins as attempt ${begin.attempt}, ${before} begins of it are on record`;
      if (call?.ends.has(target) === true) return `entry ${seq}: ${target} begins after its recorded end`;
    }
    const ends = type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned';
    const ended = call?.ends.get(target);
    return ends && ended !== undefined ? `entry ${seq}: ${target} had ended at entry ${ended.seq}` : undefined;
  },

  E3: (entry, facts) => {
    const begin = beginOf(entry);
    if (begin?.effect !== 'irreversible' || begin.by !== undefined) return undefined;
    const { open } = facts.call(callOf(entry.target));
    return open === undefined
      ? undefined
      : `entry ${entry.seq}: ${entry.target} begins by itself, though the outcome of ${open} is not known`;
  },

  T1: (entry, { entries }) => {
    if (entry.type !== 'timer.fired') return undefined;
    const delay = DELAY.exec(entry.target)?.[1];
    const since = typeof entry.cause === 'number' ? entries[entry.cause - 1] : undefined;
    if (since === undefined) return `entry ${entry.seq}: nothing has set timer ${entry.target}`;
    if (delay === undefined || entry.at >= since.at + Number(delay)) return undefined;
    return `entry ${entry.seq}: ${entry.target} fired ${since.at + Number(delay) - entry.at} ms early`;
  },

  T2: (entry, { fired }) =>
    entry.type === 'timer.fired' && fired.has(entry.target)
      ? `entry ${entry.seq}: ${entry.target} fired twice`
      : undefined,

  B1: (entry, facts, _, of) => {
    const { budget, spending } = facts;
    // It begins when all of the group of its intent is delivered: what that group has left has not begun.
    if (entry.type === 'leaf.abandoned' && !isNotBegun(entry.event?.cost) && facts.leftAtOnce(entry))
      return `entry ${entry.seq}: ${entry.target} is charged, though it was left before it could begin`;
    if (entry.type === 'run.created' && entry.event.parent !== null) {
      const { run, call } = entry.event.parent;
      const given = of(run).calls.get(call)?.intents.at(-1)?.reserved;
      const own = entry.event.budget;
      for (const one of ['tokens', 'usd'] as const)
        if (given?.[one] !== undefined && (own?.[one] === undefined || own[one] > given[one]))
          return `it may spend ${own?.[one] ?? 'any number of'} ${one}; run ${run} holds back ${given[one]} for it`;
    }
    if (budget === null || beginOf(entry)?.attempt !== 1) return undefined;
    const { seq, cause } = entry;
    const { steps } = spending.spent;
    if (budget.steps !== undefined && steps + 1 > budget.steps)
      return `entry ${seq}: step ${steps + 1} of ${budget.steps}`;
    const ms = typeof cause === 'number' ? spending.msAt(cause) : 0;
    return ms >= (budget.wallClockMs ?? Infinity) && !spending.begins
      ? `entry ${seq}: it begins after ${ms} of ${budget.wallClockMs} ms`
      : undefined;
  },

  B2: (entry, { spending, entries }) => {
    if (entry.type !== 'budget.exceeded' || entry.event.resource !== 'wallClockMs' || spending.begins) return undefined;
    const { spent, limit } = entry.event;
    const last = entries.at(-1);
    // The end of a call may have been under way to the journal when its time was over.
    const passes = spending.passes || last?.type.startsWith('leaf.') === true;
    const ms = spending.spent.wallClockMs + (passes ? Math.max(0, entry.at - (last?.at ?? 0)) : 0);
    return ms >= limit && spent >= limit ? undefined : `it was told that ${limit} ms are spent, after ${ms} ms`;
  },

  J2: (entry, { messages }) => {
    if (entry.type !== 'message.received') return undefined;
    const { n } = entry.event.event as { n?: number };
    return n !== undefined && messages.has(n) ? `entry ${entry.seq}: message ${n} is in the journal twice` : undefined;
  },
};
