import type { Performance } from '../world.ts';
import type { RunFacts } from './facts.ts';

/** What is asked at the moment a call begins to act on the world. */

interface Begun {
  readonly performance: Performance;
  readonly facts: RunFacts;
  /** All that acted for that call before. */
  readonly before: readonly Performance[];
  /** This process knows that somebody else has the run, or has ended it. */
  readonly mute: boolean;
  /** What was shown to whoever approved it. */
  readonly shown: string | undefined;
}

type Check = (begun: Begun) => string | undefined;

const named = ({ what, call, process }: Performance): string => `${what} (${call}) begins in ${process.name}`;

export const effectChecks: Readonly<Record<string, Check>> = {
  F2: ({ performance, facts, before }) => {
    if (performance.effect !== 'irreversible') return undefined;
    const own = ({ epoch }: { epoch: number }): boolean => facts.writers.get(epoch) === performance.process;
    const intents = facts.call(performance.call).intents.filter((intent) => intent.irreversible && own(intent)).length;
    const begins = before.filter(({ process }) => process === performance.process).length + 1;
    return begins > intents
      ? `${named(performance)} for the ${begins}. time on ${intents} recorded intents`
      : undefined;
  },

  E2: ({ performance, facts }) => {
    const { process, call } = performance;
    const known = facts.known.get(process) ?? 0;
    for (const [leaf, { seq, type, late }] of facts.call(call).ends) {
      // A stale owner that does not know it may begin what is not irreversible.
      const learned = seq <= known || facts.owner === process || performance.effect === 'irreversible';
      if (type === 'leaf.succeeded' && !late && learned)
        return `${named(performance)}, though ${leaf} succeeded (entry ${seq})`;
    }
    return undefined;
  },

  F3: ({ performance, mute }) => (mute ? `${named(performance)}, which knows that it has lost the run` : undefined),

  K1: ({ performance, facts }) => {
    const { end } = facts;
    if (end === undefined) return undefined;
    const intended = facts.call(performance.call).intents.some(({ irreversible }) => irreversible);
    if (performance.effect === 'irreversible' && !intended) return `${named(performance)} after ${end.type}`;
    // Who has not heard of it yet may begin what is not irreversible.
    return (facts.known.get(performance.process) ?? 0) >= end.seq
      ? `${named(performance)} after ${end.type}`
      : undefined;
  },

  A1: ({ performance, facts, shown }) => {
    if (!performance.guarded) return undefined;
    const { approved, denied } = facts.call(performance.call);
    if (denied) return `${named(performance)}, though it was denied`;
    if (approved === undefined) return `${named(performance)}, and nobody has approved it`;
    if (performance.approvers !== undefined && !performance.approvers.includes(approved.by))
      return `${named(performance)}, approved by ${approved.by}, who may not`;
    if (shown === undefined) return `${named(performance)}, and nobody has said that it may`;
    if (shown !== JSON.stringify(performance.input))
      return `${named(performance)} with ${JSON.stringify(performance.input)}; ${shown} was approved`;
    return undefined;
  },

  /** Law 2: the gate asks whether the run is paused. */
  pause: ({ performance, facts }) => {
    const { process, call, effect } = performance;
    const { pausedAt } = facts;
    if (pausedAt === undefined || facts.owner !== process || (facts.known.get(process) ?? 0) < pausedAt)
      return undefined;
    const intent = facts.call(call).intents.at(-1);
    if (effect === 'irreversible' && (intent?.seq ?? 0) < pausedAt) return undefined;
    return intent !== undefined && intent.seq > pausedAt && intent.epoch === facts.last?.epoch
      ? undefined
      : `${named(performance)}, though its run is paused since entry ${pausedAt}`;
  },
};
