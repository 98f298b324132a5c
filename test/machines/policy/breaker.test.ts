import { expect, test } from 'vitest';
import { reachOf } from '../../../machines/policy/breaker.ts';

const failed = (error: unknown) => reachOf({ status: 'failed', error });

test('a call that succeeded has reached its service, one that was abandoned says nothing', () => {
  expect([reachOf({ status: 'succeeded' }), reachOf({ status: 'abandoned' })]).toEqual(['answered', 'unknown']);
});

test.each([
  ['unreachable', { code: 'ECONNREFUSED' }],
  ['unreachable', { code: 'ETIMEDOUT' }],
  ['unreachable', { data: { status: 503 } }],
  ['unreachable', { cause: { name: 'Error', message: '', code: 'ECONNRESET' } }],
  ['answered', { data: { status: 429 } }],
  ['answered', { data: { status: 401 } }],
  ['answered', { code: 'VALIDATION' }],
  ['answered', {}],
  ['unknown', { name: 'AbortError' }],
  ['unknown', { code: 'PROCESS_EXIT' }],
  ['unknown', { code: 'MEMORY_LIMIT' }],
])('%s: %j', (reach, error) => {
  expect(failed({ name: 'Error', message: 'it broke', ...error })).toBe(reach);
});

test('what was thrown may be anything', () => {
  expect([null, undefined, 'text', 7].map(failed)).toEqual(Array(4).fill('answered'));
});
