import type { Effect } from '../../src/protocol/entry.ts';
import type { Failure } from '../../src/protocol/exit.ts';

/** What is done about a failed attempt of a tool call. One table. */
export type Verdict = { do: 'retry'; delayMs: number; timeoutFactor: number } | { do: 'fail' } | { do: 'doubt' };

export interface Attempt {
  /** From 1. */
  attempt: number;
  attempts: number;
  effect: Effect;
}

type Kind = 'timeout' | 'rateLimit' | 'invalidInput' | 'notAllowed' | 'auth' | 'network' | 'aborted' | 'other';

const KINDS: Readonly<Record<string, Kind>> = {
  TOOL_TIMEOUT: 'timeout',
  ETIMEDOUT: 'timeout',
  RATE_LIMIT: 'rateLimit',
  VALIDATION: 'invalidInput',
  NOT_ALLOWED: 'notAllowed',
  TOOL_NOT_FOUND: 'notAllowed',
  AUTH: 'auth',
  EAUTH: 'auth',
  NETWORK: 'network',
  ECONNREFUSED: 'network',
  ECONNRESET: 'network',
  ECONNECTION: 'network',
  ESOCKET: 'network',
  EPIPE: 'network',
  ENOTFOUND: 'network',
  EAI_AGAIN: 'network',
  ECONNABORTED: 'network',
  EHOSTUNREACH: 'network',
  EHOSTDOWN: 'network',
  ENETUNREACH: 'network',
  ENETDOWN: 'network',
  UND_ERR_SOCKET: 'network',
  UND_ERR_CLOSED: 'network',
  UND_ERR_DESTROYED: 'network',
  UND_ERR_CONNECT_TIMEOUT: 'network',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  ABORT_ERR: 'aborted',
};

const NAMES: Readonly<Record<string, Kind>> = {
  AbortError: 'aborted',
  TimeoutError: 'timeout',
  ZodError: 'invalidInput',
};

const known = (kinds: Readonly<Record<string, Kind>>, key: unknown): Kind | undefined =>
  typeof key === 'string' && Object.hasOwn(kinds, key) ? kinds[key] : undefined;

/** By its code, its name, or those of what caused it: a `fetch` that lost its connection says so only there. */
export const kindOf = ({ code, name, cause }: Failure, depth = 0): Kind =>
  known(KINDS, code) ??
  known(NAMES, name) ??
  (typeof cause === 'object' && cause !== null && depth < 5 ? kindOf(cause as Failure, depth + 1) : 'other');

const FAIL: Verdict = { do: 'fail' };
const DOUBT: Verdict = { do: 'doubt' };
const backoffMs = (baseMs: number, attempt: number): number => baseMs * 2 ** (attempt - 1);

const retryAfterMs = ({ data }: Failure): number | undefined => {
  const asked = typeof data === 'object' && data !== null && 'retryAfterMs' in data ? data.retryAfterMs : undefined;
  return typeof asked === 'number' && Number.isFinite(asked) && asked >= 0 ? asked : undefined;
};

/** An irreversible attempt is tried again only when its error proves that it did not happen. */
export function judge(failure: Failure, { attempt, attempts, effect }: Attempt): Verdict {
  const kind = kindOf(failure);
  const again = (delayMs: number, timeoutFactor = 1): Verdict =>
    attempt < attempts ? { do: 'retry', delayMs, timeoutFactor } : FAIL;
  const irreversible = effect === 'irreversible' && failure.notPerformed !== true;
  switch (kind) {
    case 'invalidInput':
    case 'notAllowed':
    case 'auth':
      return FAIL;
    case 'rateLimit':
      return again(retryAfterMs(failure) ?? backoffMs(1_000, attempt));
    case 'timeout':
      return irreversible ? DOUBT : again(0, 2);
    case 'network':
    case 'aborted':
      return irreversible ? DOUBT : again(backoffMs(500, attempt));
    case 'other':
      return irreversible ? FAIL : again(backoffMs(500, attempt));
  }
}
