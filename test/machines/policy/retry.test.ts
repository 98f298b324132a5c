import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judge, kindOf, type Attempt, type Verdict } from '../../../machines/policy/retry.ts';
import type { Effect } from '../../../src/protocol/entry.ts';
import type { Failure } from '../../../src/protocol/exit.ts';
import type { RetrySpec } from '../../../src/protocol/spec.ts';

const EFFECTS: readonly Effect[] = ['read', 'idempotent', 'irreversible'];
const RETRY: RetrySpec = { attempts: 3, delayMs: 500, maxDelayMs: 30_000 };
const HOUR = 3_600_000;

const at = (attempt: number, more: Partial<Attempt> = {}): Attempt => ({
  attempt,
  retry: RETRY,
  effect: 'read',
  chance: 0,
  ...more,
});
const coded = (code: string): Failure => ({ name: 'Error', message: 'it broke', code });
const named = (name: string): Failure => ({ name, message: 'it broke' });
const answered = (status: number): Failure => ({ ...named('HttpError'), data: { status } });

/** Every way an attempt fails, as its thrower shows it. */
const KINDS: Record<string, readonly Failure[]> = {
  timeout: [coded('TOOL_TIMEOUT'), coded('ETIMEDOUT'), coded('UND_ERR_HEADERS_TIMEOUT'), named('TimeoutError')],
  rateLimit: [coded('RATE_LIMIT'), coded('OVERLOADED'), answered(429), answered(425)],
  invalidInput: [coded('VALIDATION'), named('ZodError'), ...[400, 404, 409, 422, 501].map(answered)],
  notAllowed: [coded('NOT_ALLOWED'), coded('TOOL_NOT_FOUND')],
  auth: [coded('AUTH'), coded('EAUTH'), ...[401, 403, 407].map(answered)],
  network: [
    ...['NETWORK', 'UNREACHABLE', 'ECONNREFUSED', 'ECONNRESET', 'ECONNECTION', 'ECONNABORTED', 'ESOCKET'].map(coded),
    ...['EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EDNS', 'EHOSTUNREACH', 'ENETUNREACH', 'ERR_NETWORK'].map(coded),
    ...['UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT'].map(coded),
    ...[408, 500, 502, 503, 504, 599].map(answered),
  ],
  crashed: [coded('PROCESS_EXIT')],
  outOfMemory: [coded('MEMORY_LIMIT')],
  aborted: [coded('ABORT_ERR'), coded('ERR_CANCELED'), named('AbortError')],
  other: [coded('E_STRANGE'), named('Error'), { ...named('Error'), code: 404 }, answered(200), answered(304)],
};

const retry = (delayMs: number, timeoutFactor = 1): Verdict => ({ do: 'retry', delayMs, timeoutFactor });
const doubt: Verdict = { do: 'doubt' };
const fail = 'fail';

/** DESIGN 5: what is done after attempt 1, 2 and 3 of 3, where chance takes away all it may. */
const TABLE: Record<string, { again: readonly unknown[]; irreversible: readonly unknown[] }> = {
  timeout: { again: [retry(0, 2), retry(0, 2), fail], irreversible: [doubt, doubt, doubt] },
  rateLimit: { again: [retry(500), retry(1_000), fail], irreversible: [retry(500), retry(1_000), fail] },
  invalidInput: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  notAllowed: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  auth: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  network: { again: [retry(250), retry(500), fail], irreversible: [doubt, doubt, doubt] },
  crashed: { again: [retry(250), retry(500), fail], irreversible: [doubt, doubt, doubt] },
  outOfMemory: { again: [fail, fail, fail], irreversible: [doubt, doubt, doubt] },
  aborted: { again: [retry(250), retry(500), fail], irreversible: [doubt, doubt, doubt] },
  other: { again: [retry(250), retry(500), fail], irreversible: [fail, fail, fail] },
};
const expected = (verdict: unknown, error: Failure): unknown => (verdict === fail ? { do: 'fail', error } : verdict);

describe('the table of R47-R52', () => {
  for (const [kind, failures] of Object.entries(KINDS))
    for (const effect of EFFECTS)
      test(`${kind}, ${effect}`, () => {
        const row = TABLE[kind]?.[effect === 'irreversible' ? 'irreversible' : 'again'] ?? [];
        for (const failure of failures) {
          expect(kindOf(failure), JSON.stringify(failure)).toBe(kind);
          const verdicts = [1, 2, 3].map((attempt) => judge(failure, at(attempt, { effect })));
          expect(verdicts, JSON.stringify(failure)).toEqual(row.map((verdict) => expected(verdict, failure)));
        }
      });

  test('an irreversible attempt that was not performed is as good as one that can be repeated', () => {
    for (const [kind, failures] of Object.entries(KINDS))
      for (const failure of failures)
        for (const attempt of [1, 2, 3]) {
          const proven: Failure = { ...failure, notPerformed: true };
          expect(judge(proven, at(attempt, { effect: 'irreversible' }))).toEqual(
            expected(TABLE[kind]?.again[attempt - 1], proven),
          );
        }
  });

  test('what caused an error says what it is, where it does not itself', () => {
    const fetchFailed: Failure = { name: 'TypeError', message: 'fetch failed', cause: coded('ECONNRESET') };
    expect(judge(fetchFailed, at(1, { effect: 'irreversible' }))).toEqual(doubt);
    expect(kindOf({ ...named('Error'), cause: { ...named('Error'), cause: answered(401) } })).toBe('auth');
    expect(kindOf({ ...coded('VALIDATION'), cause: coded('ECONNRESET') })).toBe('invalidInput');
    expect(kindOf({ ...coded('ECONNRESET'), data: { status: 401 } })).toBe('network');
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('a code or name %s is no kind', (word) => {
    expect([kindOf(coded(word)), kindOf(named(word))]).toEqual(['other', 'other']);
  });
});

describe('backoff', () => {
  const waits = (failure: Failure, more: Partial<Attempt> = {}): number[] =>
    [1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => {
      const verdict = judge(failure, at(attempt, more));
      return verdict.do === 'retry' ? verdict.delayMs : NaN;
    });
  const spec = (retrySpec: Partial<RetrySpec>): Partial<Attempt> => ({
    retry: { ...RETRY, attempts: 9, ...retrySpec },
    chance: 1 - Number.EPSILON,
  });

  test('doubles up to its bound', () => {
    expect(waits(coded('NETWORK'), spec({}))).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(waits(coded('RATE_LIMIT'), spec({}))).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(waits(coded('NETWORK'), spec({ delayMs: 10, maxDelayMs: 50 }))).toEqual([10, 20, 40, 50, 50, 50, 50, 50]);
    expect(waits(coded('NETWORK'), spec({ delayMs: 100, maxDelayMs: 50 }))).toEqual(Array(8).fill(50));
  });

  test('chance takes away up to half of it', () => {
    const delay = (chance: number): number => waits(coded('NETWORK'), { chance })[0] ?? NaN;
    expect([delay(0), delay(0.5), delay(1 - Number.EPSILON)]).toEqual([250, 375, 500]);
  });
});

describe('retry-after', () => {
  const asked = (retryAfterMs: unknown, more: Partial<Attempt> = {}, code = 'RATE_LIMIT'): Verdict =>
    judge({ ...coded(code), data: { retryAfterMs } }, at(2, more));

  test('is honoured, zero too, and beyond the bound of backoff', () => {
    expect([asked(7_000), asked(0), asked(HOUR)]).toEqual([retry(7_000), retry(0), retry(HOUR)]);
  });

  test('chance adds at most a tenth, and takes nothing away', () => {
    expect([asked(1_000, { chance: 0.5 }), asked(1_000, { chance: 1 - Number.EPSILON })]).toEqual([
      retry(1_050),
      retry(1_100),
    ]);
  });

  test('of more than an hour is not waited for: the call fails and says so', () => {
    const verdict = asked(HOUR + 1);
    assert(verdict.do === 'fail');
    expect(verdict.error).toMatchObject({
      code: 'RATE_LIMIT',
      data: { retryAfterMs: HOUR + 1 },
      message: 'it broke (asked to wait 61 minutes, which is more than 60: call it again then)',
    });
  });

  test.each([-1, NaN, Infinity, '7000', null, undefined])('%s is no time to wait: backoff', (ms) => {
    expect(asked(ms)).toEqual(retry(1_000));
  });

  test('counts for a service that is not there, too', () => {
    expect(asked(9_000, {}, 'NETWORK')).toEqual(retry(9_000));
    expect(judge({ ...answered(503), data: { status: 503, retryAfterMs: 9_000 } }, at(1))).toEqual(retry(9_000));
  });

  test('is no proof: an irreversible call is in doubt with it as without', () => {
    expect(asked(9_000, { effect: 'irreversible' }, 'NETWORK')).toEqual(doubt);
  });

  test('does not buy another attempt', () => {
    expect(judge({ ...coded('RATE_LIMIT'), data: { retryAfterMs: 1 } }, at(3)).do).toBe('fail');
  });

  test('is looked for in any data', () => {
    for (const data of [null, 'soon', 5, [], {}])
      expect(judge({ ...coded('RATE_LIMIT'), data }, at(1))).toEqual(retry(500));
  });
});

describe('for any failure', () => {
  const anyFailure = fc.record({
    name: fc.oneof(fc.constantFrom('Error', 'AbortError', 'TimeoutError', 'ZodError'), fc.base64String()),
    message: fc.string(),
    code: fc.constantFrom(...Object.values(KINDS).flatMap((all) => all.map(({ code }) => code ?? 'E_STRANGE'))),
    data: fc.oneof(
      fc.constant(undefined),
      fc.record({ retryAfterMs: fc.anything() }),
      fc.record({ status: fc.integer({ min: 0, max: 700 }) }),
    ),
  });
  const anyAttempt = fc.record({
    attempt: fc.integer({ min: 1, max: 12 }),
    retry: fc.record({
      attempts: fc.integer({ min: 1, max: 10 }),
      delayMs: fc.nat(100_000),
      maxDelayMs: fc.nat(100_000),
    }),
    effect: fc.constantFrom(...EFFECTS),
    chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });

  test('attempts never exceed the limit', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, (failure, attempt) => {
        const verdict = judge(failure, attempt);
        assert(verdict.do !== 'retry' || attempt.attempt < attempt.retry.attempts);
      }),
    );
  });

  test('an irreversible attempt is retried only on proof; nothing else is ever in doubt', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, fc.boolean(), (failure, attempt, notPerformed) => {
        const verdict = judge({ ...failure, ...(notPerformed && { notPerformed }) }, attempt);
        const proof = notPerformed || kindOf(failure) === 'rateLimit';
        if (attempt.effect === 'irreversible' && !proof) assert.notEqual(verdict.do, 'retry');
        if (attempt.effect !== 'irreversible' || proof) assert.notEqual(verdict.do, 'doubt');
      }),
    );
  });

  test('a wait is a whole number of milliseconds, bounded, and never goes down but by chance', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, (failure, attempt) => {
        const [first, second] = [attempt.attempt, attempt.attempt + 1].map((now) =>
          judge(failure, { ...attempt, attempt: now, retry: { ...attempt.retry, attempts: 100 } }),
        );
        if (first?.do !== 'retry' || second?.do !== 'retry') return;
        assert(Number.isInteger(first.delayMs) && first.delayMs >= 0 && first.delayMs <= HOUR * 1.1);
        assert(second.delayMs >= first.delayMs);
      }),
    );
  });
});
