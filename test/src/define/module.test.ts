import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { module, tool } from '../../../src/index.ts';

const named = (name: string) => tool({ name, description: 'd', inputSchema: z.object({}), execute: () => 1 });
const bare = { name: 'mail', tools: [named('send')] };

describe('what is not said', () => {
  test('is four calls at once, no rate limit, no breaker, and nothing of others', () => {
    expect(module(bare)).toMatchObject({ concurrency: 4, rateLimit: undefined, breaker: undefined, allow: [] });
  });

  test('of a breaker is five failures and half a minute', () => {
    expect(module({ ...bare, breaker: {} }).breaker).toEqual({ failures: 5, cooldownMs: 30_000 });
    expect(module({ ...bare, breaker: { failures: 2 } }).breaker).toEqual({ failures: 2, cooldownMs: 30_000 });
  });
});

test('a rate limit is kept in milliseconds', () => {
  expect(module({ ...bare, rateLimit: { limit: 10, per: '1m' } }).rateLimit).toEqual({ limit: 10, perMs: 60_000 });
});

test.each<[object, RegExp]>([
  [{ name: 'my mail' }, /module name "my mail" is not an id/],
  [{ tools: [named('send'), named('send')] }, /two tools named send/],
  [{ tools: [named('s'.repeat(60))] }, /longer than 64 characters/],
  [{ allow: ['mail.*'] }, /"mail.\*", which is not a tool's id/],
  [{ concurrency: 0 }, /concurrency of module mail is 0/],
  [{ rateLimit: { limit: 0, per: '1s' } }, /rateLimit.limit of module mail is 0/],
  [{ rateLimit: { limit: 10_001, per: '1s' } }, /10001 per 1000ms is not kept; use at most 10000/],
  [{ rateLimit: { limit: 1, per: 0 } }, /1 per 0ms is not kept/],
  [{ rateLimit: { limit: 1, per: 'day' } }, /rateLimit.per of module mail "day" is not a duration/],
  [{ breaker: { failures: 0 } }, /breaker.failures of module mail is 0/],
  [{ breaker: { cooldown: 'long' } }, /breaker.cooldown of module mail "long" is not a duration/],
])('%j is refused', (wrong, message) => {
  expect(() => module({ ...bare, ...wrong })).toThrow(
    expect.objectContaining({ code: 'VALIDATION', message: expect.stringMatching(message) as string }),
  );
});
