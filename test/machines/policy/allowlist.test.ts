import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allowed } from '../../../machines/policy/allowlist.ts';

test('an empty list allows nothing', () => {
  fc.assert(fc.property(fc.string(), (tool) => assert(!allowed([], tool))));
});

test('an exact id is allowed, wherever it stands in the list', () => {
  const grants = ['mail.send', 'contacts.list', 'clock'];
  expect(grants.map((id) => allowed(grants, id))).toEqual([true, true, true]);
});

test.each([
  'mail',
  'mail.',
  'mail.*',
  'mail.sen',
  'mail.send2',
  'MAIL.send',
  ' mail.send',
  'mail.send\n',
  'mail__send',
  'ｍail.send',
  'maіl.send',
  'x.mail.send',
  '__proto__',
  'length',
  '0',
])('%j is not mail.send', (tool) => {
  expect(allowed(['mail.send'], tool)).toBe(false);
});

test('a granted wildcard is a name like any other', () => {
  expect(['*', '>', 'mail.*'].map((grant) => allowed([grant], 'mail.send'))).toEqual([false, false, false]);
});

test('nothing but what is in the list', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.string(), (grants, tool) => {
      assert.equal(allowed(grants, tool), new Set(grants).has(tool));
    }),
  );
});
