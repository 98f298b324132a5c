import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closest } from '../../../src/define/closest.ts';

const TOOLS = ['mail.send', 'mail.list', 'contacts.list', 'clock'];

test.each([
  ['mail.sent', ['mail.send', 'mail.list']],
  ['MAIL.SEND', ['mail.send', 'mail.list']],
  ['send', ['mail.send']],
  ['maillist', ['mail.list']],
  ['clck', ['clock']],
  ['weather.today', []],
])('who wrote %s meant %j', (written, meant) => {
  expect(closest(written, TOOLS)).toEqual(meant);
});

test('at most three, all of them known, and one that is there comes first', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ maxLength: 12 })), fc.string({ maxLength: 12 }), (names, name) => {
      const near = closest(name, names);
      assert(near.length <= 3 && near.every((one) => names.includes(one)));
      if (names.includes(name)) assert.equal(near[0]?.toLowerCase(), name.toLowerCase());
    }),
  );
});
