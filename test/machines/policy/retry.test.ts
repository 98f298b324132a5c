import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judge, kindOf, type Verdict } from '../../../machines/policy/retry.ts';
import type { Effect } from '../../../src/protocol/entry.ts';
import type { Failure } from '../../../src/protocol/exit.ts';

const EFFECTS: readonly Effect[] = ['read', 'idempotent', 'irreversible'];
const ATTEMPTS = 3;

const coded = (code: string): Failure => ({ name: 'Error', message: 'it broke', code });
const named = (name: string): Failure => ({ name, message: 'it broke' });

/** Every way an attempt fails, as its thrower shows it. */
const KINDS: Record<string, readonly Failure[]> = {
  timeout: [coded('TOOL_TIMEOUT'), coded('ETIMEDOUT'), named('TimeoutError')],
  rateLimit: [coded('RATE_LIMIT')],
  invalidInput: [coded('VALIDATION'), named('ZodError')],
  notAllowed: [coded('NOT_ALLOWED'), coded('TOOL_NOT_FOUND')],
  auth: [coded('AUTH'), coded('EAUTH')],
  network: ['NETWORK', 'ECONNREFUSED', 'ECONNRESET', 'ECONNECTION', 'ESOCKET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN'].map(
    coded,
  ),
  aborted: [coded('ABORT_ERR'), named('AbortError')],
  other: [coded('E_STRANGE'), named('Error'), { ...named('Error'), code: 404 }],
};

const retry = (delayMs: number, timeoutFactor = 1): Verdict => ({ do: 'retry', delayMs, timeoutFactor });
const fail: Verdict = { do: 'fail' };
const doubt: Verdict = { do: 'doubt' };

/** DESIGN 5: what is done after attempt 1, 2 and 3 of 3, for what may be done again and for what may not. */
const TABLE: Record<string, { again: readonly Verdict[]; irreversible: readonly Verdict[] }> = {
  timeout: { again: [retry(0, 2), retry(0, 2), fail], irreversible: [doubt, doubt, doubt] },
  rateLimit: { again: [retry(1_000), retry(2_000), fail], irreversible: [retry(1_000), retry(2_000), fail] },
  invalidInput: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  notAllowed: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  auth: { again: [fail, fail, fail], irreversible: [fail, fail, fail] },
  network: { again: [retry(500), retry(1_000), fail], irreversible: [doubt, doubt, doubt] },
  aborted: { again: [retry(500), retry(1_000), fail], irreversible: [doubt, doubt, doubt] },
  other: { again: [retry(500), retry(1_000), fail], irreversible: [fail, fail, fail] },
};

describe('the table of R47-R52', () => {
  for (const [kind, failures] of Object.entries(KINDS))
    for (const effect of EFFECTS)
      test(`${kind}, ${effect}`, () => {
        const expected = TABLE[kind]?.[effect === 'irreversible' ? 'irreversible' : 'again'];
        for (const failure of failures) {
          expect(kindOf(failure)).toBe(kind);
          const verdicts = [1, 2, 3].map((attempt) => judge(failure, { attempt, attempts: ATTEMPTS, effect }));
          expect(verdicts, JSON.stringify(failure)).toEqual(expected);
        }
      });

  test('an irreversible attempt that was not performed is as good as one that can be repeated', () => {
    for (const [kind, failures] of Object.entries(KINDS))
      for (const failure of failures)
        for (const attempt of [1, 2, 3])
          expect(
            judge({ ...failure, notPerformed: true }, { attempt, attempts: ATTEMPTS, effect: 'irreversible' }),
          ).toEqual(TABLE[kind]?.again[attempt - 1]);
  });
});

describe('retry-after', () => {
  const asked = (retryAfterMs: unknown): Verdict =>
    judge({ ...coded('RATE_LIMIT'), data: { retryAfterMs } }, { attempt: 2, attempts: 3, effect: 'read' });

  test('is honoured, zero too', () => {
    expect([asked(7_000), asked(0)]).toEqual([retry(7_000), retry(0)]);
  });

  test.each([-1, NaN, Infinity, '7000', null, undefined])('%s is no time to wait: backoff', (ms) => {
    expect(asked(ms)).toEqual(retry(2_000));
  });

  test('counts for rate limits only, and is looked for in any data', () => {
    const at = { attempt: 1, attempts: 3, effect: 'read' } as const;
    expect(judge({ ...coded('NETWORK'), data: { retryAfterMs: 9 } }, at)).toEqual(retry(500));
    for (const data of [null, 'soon', 5, [], {}])
      expect(judge({ ...coded('RATE_LIMIT'), data }, at)).toEqual(retry(1_000));
  });

  test('does not buy another attempt', () => {
    const at = { attempt: 3, attempts: 3, effect: 'read' } as const;
    expect(judge({ ...coded('RATE_LIMIT'), data: { retryAfterMs: 1 } }, at)).toEqual(fail);
  });
});

describe('for any failure', () => {
  const anyFailure = fc.record({
    name: fc.oneof(fc.constantFrom('Error', 'AbortError', 'TimeoutError', 'ZodError'), fc.base64String()),
    message: fc.string(),
    code: fc.constantFrom(...Object.values(KINDS).flatMap((all) => all.map(({ code }) => code ?? 'E_STRANGE'))),
    data: fc.oneof(fc.constant(undefined), fc.record({ retryAfterMs: fc.anything() })),
  });
  const anyAttempt = fc.record({
    attempt: fc.integer({ min: 1, max: 12 }),
    attempts: fc.integer({ min: 1, max: 10 }),
    effect: fc.constantFrom(...EFFECTS),
  });

  test('attempts never exceed the limit', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, (failure, at) => {
        const verdict = judge(failure, at);
        assert(verdict.do !== 'retry' || at.attempt < at.attempts);
      }),
    );
  });

  test('an irreversible attempt is retried only on proof; nothing else is ever in doubt', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, fc.boolean(), (failure, at, notPerformed) => {
        const verdict = judge({ ...failure, ...(notPerformed && { notPerformed }) }, at);
        const proof = notPerformed || failure.code === 'RATE_LIMIT';
        if (at.effect === 'irreversible' && !proof) assert.notEqual(verdict.do, 'retry');
        if (at.effect !== 'irreversible' || proof) assert.notEqual(verdict.do, 'doubt');
      }),
    );
  });

  test('a wait is a finite time that never goes down from attempt to attempt', () => {
    fc.assert(
      fc.property(anyFailure, anyAttempt, (failure, { attempt }) => {
        const waits = [attempt, attempt + 1].map((now) =>
          judge(failure, { attempt: now, attempts: 100, effect: 'read' }),
        );
        const [first, second] = waits.map((verdict) => (verdict.do === 'retry' ? verdict.delayMs : 0));
        assert(Number.isFinite(first) && first !== undefined && first >= 0 && (second ?? 0) >= first);
      }),
    );
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('a code or name %s is no kind', (word) => {
    const at = { attempt: 1, attempts: 3, effect: 'read' } as const;
    expect([judge(coded(word), at), judge(named(word), at)]).toEqual([retry(500), retry(500)]);
  });

  test.each(['ECONNABORTED', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT'])(
    'a connection lost as %s leaves an irreversible call in doubt',
    (code) => {
      expect(judge(coded(code), { attempt: 1, attempts: 3, effect: 'irreversible' })).toEqual(doubt);
    },
  );

  test('a fetch that lost its connection leaves an irreversible call in doubt', () => {
    const error: Failure = { name: 'TypeError', message: 'fetch failed', cause: coded('ECONNRESET') };
    expect(judge(error, { attempt: 1, attempts: 3, effect: 'irreversible' })).toEqual(doubt);
  });
});
