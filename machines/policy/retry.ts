import type { Effect } from '../../src/protocol/entry.ts';
import type { Failure } from '../../src/protocol/exit.ts';
import { httpSays } from '../../src/protocol/http.ts';
import type { RetrySpec } from '../../src/protocol/spec.ts';
import { spread, spreadAfter } from './jitter.ts';

/** What is done about a failed attempt of a tool call. One table. */
export type Verdict =
  | { do: 'retry'; delayMs: number; timeoutFactor: number }
  /** `error`: what the call fails with. */
  | { do: 'fail'; error: Failure }
  | { do: 'doubt' };

export interface Attempt {
  /** From 1. */
  attempt: number;
  retry: RetrySpec;
  effect: Effect;
  /** In [0, 1): where within its spread a wait falls. */
  chance: number;
}

export type Kind =
  | 'timeout'
  | 'rateLimit'
  | 'invalidInput'
  | 'notAllowed'
  | 'auth'
  | 'network'
  | 'crashed'
  | 'outOfMemory'
  | 'aborted'
  | 'other';

const CODES: Readonly<Record<string, Kind>> = {
  TOOL_TIMEOUT: 'timeout',
  ETIMEDOUT: 'timeout',
  RATE_LIMIT: 'rateLimit',
  OVERLOADED: 'rateLimit',
  VALIDATION: 'invalidInput',
  NOT_ALLOWED: 'notAllowed',
  TOOL_NOT_FOUND: 'notAllowed',
  AUTH: 'auth',
  EAUTH: 'auth',
  NETWORK: 'network',
  UNREACHABLE: 'network',
  ECONNREFUSED: 'network',
  ECONNRESET: 'network',
  ECONNECTION: 'network',
  ESOCKET: 'network',
  EDNS: 'network',
  EPIPE: 'network',
  ENOTFOUND: 'network',
  EAI_AGAIN: 'network',
  ECONNABORTED: 'network',
  EHOSTUNREACH: 'network',
  EHOSTDOWN: 'network',
  ENETUNREACH: 'network',
  ENETDOWN: 'network',
  ERR_NETWORK: 'network',
  UND_ERR_SOCKET: 'network',
  UND_ERR_CLOSED: 'network',
  UND_ERR_DESTROYED: 'network',
  UND_ERR_CONNECT_TIMEOUT: 'network',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  PROCESS_EXIT: 'crashed',
  MEMORY_LIMIT: 'outOfMemory',
  ABORT_ERR: 'aborted',
  ERR_CANCELED: 'aborted',
};

const NAMES: Readonly<Record<string, Kind>> = {
  AbortError: 'aborted',
  TimeoutError: 'timeout',
  ZodError: 'invalidInput',
};

/** Only 429 and 425 say that the request was not acted on; a 503 or 504 may come from a proxy whose service had begun. */
const STATUSES: Readonly<Record<number, Kind>> = {
  401: 'auth',
  403: 'auth',
  407: 'auth',
  408: 'network',
  425: 'rateLimit',
  429: 'rateLimit',
  501: 'invalidInput',
  505: 'invalidInput',
};

function byStatus(status: number | undefined): Kind | undefined {
  if (status === undefined || status < 400) return undefined;
  return STATUSES[status] ?? (status < 500 ? 'invalidInput' : 'network');
}

const known = (kinds: Readonly<Record<string, Kind>>, key: unknown): Kind | undefined =>
  typeof key === 'string' && Object.hasOwn(kinds, key) ? kinds[key] : undefined;

/** By its code, its HTTP status, its name, or those of what caused it: a `fetch` that lost its connection says so only there. */
export const kindOf = (failure: Failure, depth = 0): Kind =>
  known(CODES, failure.code) ??
  byStatus(httpSays(failure).status) ??
  known(NAMES, failure.name) ??
  (typeof failure.cause === 'object' && failure.cause !== null && depth < 5
    ? kindOf(failure.cause as Failure, depth + 1)
    : 'other');

/** A service that asks for more than this is not waited for. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const TIMEOUT_FACTOR = 2;
const DOUBT: Verdict = { do: 'doubt' };

/** An irreversible attempt is tried again only when its error proves that it did not happen. */
export function judge(failure: Failure, { attempt, retry, effect, chance }: Attempt): Verdict {
  const fail: Verdict = { do: 'fail', error: failure };
  const again = (delayMs: number, timeoutFactor = 1): Verdict =>
    attempt < retry.attempts ? { do: 'retry', delayMs, timeoutFactor } : fail;
  const backoff = (baseMs: number): Verdict => {
    const askedMs = httpSays(failure).retryAfterMs;
    if (askedMs === undefined) return again(spread(Math.min(baseMs * 2 ** (attempt - 1), retry.maxDelayMs), chance));
    return askedMs <= MAX_RETRY_AFTER_MS ? again(spreadAfter(askedMs, chance)) : tooLong(failure, askedMs);
  };
  const irreversible = effect === 'irreversible' && failure.notPerformed !== true;
  const kind = kindOf(failure);
  switch (kind) {
    case 'invalidInput':
    case 'notAllowed':
    case 'auth':
      return fail;
    case 'rateLimit':
      return backoff(2 * retry.delayMs);
    case 'timeout':
      return irreversible ? DOUBT : again(0, TIMEOUT_FACTOR);
    case 'outOfMemory':
      return irreversible ? DOUBT : fail;
    case 'network':
    case 'crashed':
    case 'aborted':
      return irreversible ? DOUBT : backoff(retry.delayMs);
    case 'other':
      return irreversible ? fail : backoff(retry.delayMs);
  }
}

const tooLong = (failure: Failure, askedMs: number): Verdict => ({
  do: 'fail',
  error: {
    ...failure,
    message: `${failure.message} (asked to wait ${Math.ceil(askedMs / 60_000)} minutes, which is more than ${MAX_RETRY_AFTER_MS / 60_000}: call it again then)`,
  },
});
