import { toFailure, type CallEnd, type Failure } from '../../src/protocol/exit.ts';
import type { BreakerSpec } from '../../src/protocol/spec.ts';
import { kindOf } from './retry.ts';

/** What a call's end says of the service behind it. */
export type Reach = 'answered' | 'unreachable' | 'unknown';

/** A call that failed otherwise than for want of a connection or an answer has reached it, as far as anybody can tell. */
export function reachOf(ended: CallEnd): Reach {
  if (ended.status === 'succeeded') return 'answered';
  if (ended.status === 'abandoned') return 'unknown';
  const kind = kindOf(toFailure(ended.error));
  // What becomes of a process of ours says nothing of the service.
  if (kind === 'aborted' || kind === 'crashed' || kind === 'outOfMemory') return 'unknown';
  return kind === 'network' || kind === 'timeout' ? 'unreachable' : 'answered';
}

/** What is known of a service. Times are in ms and come in with the events. */
export interface Health {
  /** In a row: calls that did not reach it, or starts that failed. */
  failures: number;
  /** Of the last of these. */
  error: Failure | undefined;
  /** Until then nothing is tried, once there are too many. */
  coolsUntil: number;
}

export const HEALTHY: Health = { failures: 0, error: undefined, coolsUntil: -Infinity };

export function noted(health: Health, ended: CallEnd): Health {
  switch (reachOf(ended)) {
    case 'answered':
      return HEALTHY;
    case 'unreachable':
      return failedOnce(health, 'error' in ended ? ended.error : undefined);
    case 'unknown':
      return health;
  }
}

export const failedOnce = (health: Health, error: unknown): Health => ({
  ...health,
  failures: health.failures + 1,
  error: toFailure(error),
});

/** From now on nothing is tried for a while. */
export const tripped = (health: Health, breaker: BreakerSpec | undefined, now: number): Health => ({
  ...health,
  coolsUntil: now + (breaker?.cooldownMs ?? 0),
});

/** Without a breaker there are never too many. */
export const isTooMany = ({ failures }: Health, breaker: BreakerSpec | undefined): boolean =>
  breaker !== undefined && failures >= breaker.failures;

export const cools = (health: Health, breaker: BreakerSpec | undefined, now: number): boolean =>
  isTooMany(health, breaker) && now < health.coolsUntil;
