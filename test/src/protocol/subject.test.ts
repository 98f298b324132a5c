import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ValidationError } from '../../../src/protocol/errors.ts';
import { DEFAULT_TENANT, isId, runId, tenantId, type RunId, type TenantId } from '../../../src/protocol/ids.ts';
import {
  ALL_INBOXES,
  ALL_KILLS,
  inboxSubject,
  killSubject,
  matches,
  parseSubject,
  subjectPattern,
  type Pattern,
  type Subject,
} from '../../../src/protocol/subject.ts';

const run = runId('order-42');
const acme = tenantId('acme');

test('names are for life', () => {
  expect(inboxSubject(DEFAULT_TENANT, run)).toBe('troupe.default.inbox.order-42');
  expect(killSubject(acme, run)).toBe('troupe.acme.kill.order-42');
  expect([ALL_INBOXES, ALL_KILLS]).toEqual(['troupe.*.inbox.*', 'troupe.*.kill.*']);
  expect(subjectPattern({ tenant: acme, run })).toBe('troupe.acme.*.order-42');
});

test('what a subject was made of', () => {
  expect(parseSubject(inboxSubject(acme, run))).toEqual({ tenant: 'acme', kind: 'inbox', run: 'order-42' });
  expect(parseSubject(killSubject(acme, run))).toEqual({ tenant: 'acme', kind: 'kill', run: 'order-42' });
});

test.each([
  '',
  'troupe',
  'troupe.acme.inbox',
  'troupe.acme.inbox.',
  'troupe..inbox.a',
  'troupe.acme.inbox.a.b',
  'troupe.acme.inbox.a.',
  '.troupe.acme.inbox.a',
  'troupe.acme.inbox.*',
  'troupe.*.inbox.a',
  'troupe.acme.inbox.>',
  'troupe.acme.*.a',
  'troupe.acme.toString.a',
  'troupe.acme.INBOX.a',
  'Troupe.acme.inbox.a',
  'troupe.acme.inbox.a b',
  'troupe.acme.inbox.a\n',
  'troupe.acme.inbox.__proto__',
  '_INBOX.acme.inbox.a',
  '$JS.acme.inbox.a',
])('%j is no subject of ours', (text) => {
  expect(parseSubject(text)).toBeUndefined();
});

describe('matching is that of NATS', () => {
  test.each<[string, string, boolean]>([
    ['a.b', 'a.b', true],
    ['a.b', 'a.c', false],
    ['a.b', 'a.bc', false],
    ['a.bc', 'a.b', false],
    ['a.b', 'a.b.c', false],
    ['a.b.c', 'a.b', false],
    ['*', 'a', true],
    ['*', 'a.b', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.', false],
    ['a.*', 'a.b.c', false],
    ['*.b', 'a.b', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*.c', 'a..c', false],
    ['a.*.c', 'a.b.d', false],
    ['*.*', 'a.b', true],
    ['>', 'a', true],
    ['>', 'a.b.c', true],
    ['a.>', 'a.b', true],
    ['a.>', 'a.b.c', true],
    ['a.>', 'a', false],
    ['a.>', 'b.a', false],
    ['a.>', 'a.', false],
    ['>', '', false],
    ['*.>', 'a.b', true],
    ['*.>', 'a', false],
    ['a.*.>', 'a.b.c.d', true],
    // letters like any other
    ['a*', 'ab', false],
    ['a*', 'a*', true],
    ['*a', 'ba', false],
    ['a>', 'ab', false],
    ['>.a', 'b.a', false],
    ['a.>.b', 'a.c.b', false],
    ['a.b*.c', 'a.bb.c', false],
  ])('%s  %s  %s', (pattern, subject, expected) => {
    expect(matches(pattern as Pattern, subject as Subject)).toBe(expected);
  });

  test('as read from its own words', () => {
    const slow = (pattern: string[], subject: string[]): boolean => {
      const [token, ...others] = pattern;
      const [given, ...more] = subject;
      if (token === undefined || given === undefined) return token === given;
      if (token === '>' && others.length === 0) return true;
      return (token === '*' || token === given) && slow(others, more);
    };
    const tokens = (...all: string[]): fc.Arbitrary<string[]> =>
      fc.array(fc.constantFrom(...all), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(tokens('a', 'b', 'ab', '*', '>', 'a*', '>b'), tokens('a', 'b', 'ab', 'a*'), (pattern, subject) => {
        const expected = slow(pattern, subject);
        assert.equal(matches(pattern.join('.') as Pattern, subject.join('.') as Subject), expected);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('nothing from outside crosses', () => {
  const count = Number(process.env['FUZZ_IDS'] ?? 50_000);
  const letters = 'ABCxyz019_-'.split('');
  const separators = ['.', '..', '*', '>', '.*', '.>', ' ', '\t', '\r\n', '\n', '\0', '/', '\\', '%2e', '&gt;'];
  const confusables = ['а', 'ａ', '․', '。', '．', '＊', '＞', 'ſ', '\u200b', '\u202e', '\ud800', '😀', '\u2028'];
  const names = ['$JS', '$JS.API.>', '_INBOX', '_INBOX.', 'inbox', 'kill', 'troupe', 'default', 'inbox.other'];
  const properties = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'];
  const lengths = ['', 'a'.repeat(128), 'a'.repeat(129), 'a'.repeat(4_096), '.a'.repeat(64)];

  const word = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 12 });
  const hostile = fc.constantFrom(...separators, ...confusables, ...names, ...properties, ...lengths);
  const mixed = fc.array(fc.oneof(word, hostile), { maxLength: 3 }).map((parts) => parts.join(''));
  const any = fc.oneof(word, hostile, mixed, mixed, fc.string({ unit: 'binary', maxLength: 20 }));
  const seen = { taken: 0, refused: 0 };

  const refused = (tenant: string, run: string): void => {
    const parts = { tenant: tenant as TenantId, run: run as RunId };
    assert.throws(() => inboxSubject(parts.tenant, parts.run), ValidationError);
    assert.throws(() => killSubject(parts.tenant, parts.run), ValidationError);
    assert.throws(() => subjectPattern(parts), ValidationError);
    assert.equal(parseSubject(`troupe.${tenant}.inbox.${run}`), undefined);
  };

  const alone = (tenant: TenantId, id: RunId, others: (readonly [string, string])[]): void => {
    const subject = inboxSubject(tenant, id);
    assert.deepEqual(parseSubject(subject), { tenant, kind: 'inbox', run: id });
    assert(matches(ALL_INBOXES, subject) && matches(subjectPattern({ tenant, run: id }), subject));
    assert(!matches(ALL_KILLS, subject) && !matches(subject, killSubject(tenant, id)));
    for (const [otherTenant, otherId] of others) {
      if (!isId(otherTenant) || !isId(otherId)) continue;
      const [theirs, other] = [tenantId(otherTenant), otherId as RunId];
      assert.equal(matches(subjectPattern({ tenant: theirs }), subject), theirs === tenant);
      assert.equal(matches(subjectPattern({ run: other }), subject), other === id);
      assert.equal(matches(inboxSubject(theirs, other), subject), theirs === tenant && other === id);
      assert(!matches(subjectPattern({ tenant: theirs, kind: 'kill' }), subject));
    }
  };

  test(`of ${count} ids each is refused, or is itself alone`, { timeout: 5_000 + count }, () => {
    const property = fc.property(any, any, any, any, (tenant, id, otherTenant, otherId) => {
      if (!isId(tenant) || !isId(id)) {
        seen.refused++;
        return refused(tenant, id);
      }
      seen.taken++;
      const near = [
        [id, tenant],
        [tenant, `${id}x`],
        [`${tenant}x`, id],
        [tenant, id.slice(1)],
      ] as const;
      alone(tenantId(tenant), id as RunId, [[otherTenant, otherId], ...near]);
    });
    fc.assert(property, { numRuns: count / 4, seed: 1 });
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(count / 40);
  });
});
