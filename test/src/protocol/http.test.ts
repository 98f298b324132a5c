import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { httpSays } from '../../../src/protocol/http.ts';

const DATE = 'Wed, 21 Oct 2026 07:28:00 GMT';
const LATER = 'Wed, 21 Oct 2026 07:28:30 GMT';

describe('a status', () => {
  test.each<[string, unknown]>([
    ['of fetch wrappers', Object.assign(new Error(), { status: 429 })],
    ['of express', Object.assign(new Error(), { statusCode: 429 })],
    ['of axios', Object.assign(new Error(), { response: { status: 429 } })],
    ['of got', Object.assign(new Error(), { response: { statusCode: 429 } })],
    ['of a Response', { response: new Response(null, { status: 429 }) }],
    ['in the data of an error', { data: { status: 429 } }],
    ['in the context of one of ours', { context: { status: 429 } }],
    ['of what caused it', new Error('m', { cause: { response: { status: 429 } } })],
  ])('%s', (_, error) => {
    expect(httpSays(error)).toEqual({ status: 429 });
  });

  test.each([0, 99, 600, 429.5, '429', NaN, null, {}])('%j is none', (status) => {
    expect(httpSays({ status })).toEqual({});
  });

  test('the nearest has the last word', () => {
    const cause = { status: 500, retryAfter: 9 };
    expect(httpSays({ status: 429, response: { status: 502 }, cause })).toEqual({ status: 429, retryAfterMs: 9_000 });
  });
});

describe('retry-after', () => {
  const asked = (error: unknown): number | undefined => httpSays(error).retryAfterMs;

  test.each<[string, unknown]>([
    ['in ms', { retryAfterMs: 30_000 }],
    ['in ms, in data', { data: { retryAfterMs: 30_000 } }],
    ['in seconds', { retryAfter: 30 }],
    ['in seconds, as text', { retryAfter: '30' }],
    ['in Headers', { headers: new Headers({ 'Retry-After': '30' }) }],
    ['in headers of any case', { headers: { 'Retry-After': '30' } }],
    ['in headers of axios', { response: { status: 429, headers: { 'retry-after': '30' } } }],
    ['in headers with lists', { headers: { 'retry-after': ['30', '60'] } }],
    ['of a Response', { response: new Response(null, { headers: { 'retry-after': '30' } }) }],
    ['as a date, read against the date of the answer', { headers: { 'retry-after': LATER, date: DATE } }],
    ['of what caused it', { cause: { headers: new Map([['retry-after', '30']]) } }],
  ])('%s', (_, error) => {
    expect(asked(error)).toBe(30_000);
  });

  test('a date that has passed is now; parts of seconds count', () => {
    expect(asked({ headers: { 'retry-after': DATE, date: LATER } })).toBe(0);
    expect(asked({ headers: { 'retry-after': '0.5' } })).toBe(500);
  });

  test.each<[string, unknown]>([
    ['a date alone', { headers: { 'retry-after': LATER } }],
    ['words', { headers: { 'retry-after': 'soon 5', date: DATE } }],
    ['a negative number', { headers: { 'retry-after': '-5' } }],
    ['nothing', { headers: { 'retry-after': '' } }],
    ['no headers', { headers: 'retry-after: 5' }],
    ['no number', { retryAfter: {}, retryAfterMs: '7' }],
    ['Infinity', { retryAfter: Infinity }],
  ])('%s says nothing', (_, error) => {
    expect(asked(error)).toBeUndefined();
  });
});

test('whatever was thrown is read, and nothing throws', () => {
  const wild = {
    get status() {
      throw new Error('no');
    },
    headers: {
      get() {
        throw new Error('no');
      },
    },
  };
  const round: { cause?: unknown } = {};
  round.cause = round;
  for (const thrown of [wild, round, null, undefined, 'text', 7]) expect(httpSays(thrown)).toEqual({});
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withMap: true }), (thrown) => {
      const { status = 400, retryAfterMs = 0 } = httpSays(thrown);
      assert(status >= 100 && status < 600 && retryAfterMs >= 0);
    }),
  );
});
