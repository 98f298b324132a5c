import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ValidationError } from '../../../src/protocol/errors.ts';
import { checkedText, checkId, DEFAULT_TENANT, isId, ownerId, runId, tenantId } from '../../../src/protocol/ids.ts';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'.split('');
const letter = fc.constantFrom(...LETTERS);
/** What would part a subject, leave a folder, end a line, or look like a letter. */
const SEPARATORS = [
  '.',
  '*',
  '>',
  '/',
  '\\',
  ' ',
  '\t',
  '\r',
  '\n',
  '\0',
  '\u0085',
  '\u2028',
  '$',
  '%2e',
  '@',
  ':',
  '|',
  "'",
  '"',
];
const LOOKALIKES = ['а', 'е', 'ｘ', 'ı', 'ſ', 'é', '\u200b', '\u202e', '\ud800', '😀', '٣', '\u212a'];
const hostile = fc.constantFrom(...SEPARATORS, ...LOOKALIKES);

const HOSTILE = [
  '',
  'a.b',
  '*',
  '>',
  '.',
  '..',
  '../etc',
  '$JS.API.>',
  '_INBOX.x',
  'a b',
  'a\r\nb',
  'a\n',
  '\na',
  'a\0',
  'аdmin',
  'ｉd',
  'a'.repeat(129),
  'a'.repeat(4_096),
];

test('1 to 128 letters, digits, _ and - are an id', () => {
  for (const id of ['a', '0', '-', '_', 'order-42', 'A_z-9', 'a'.repeat(128)]) {
    expect(isId(id)).toBe(true);
    expect([checkId(id, 'id'), runId(id), ownerId(id), tenantId(id)]).toEqual([id, id, id, id]);
  }
  expect(DEFAULT_TENANT).toBe('default');
});

describe('refused', () => {
  test.each(HOSTILE)('%j', (id) => {
    expect(isId(id)).toBe(false);
    expect(() => runId(id)).toThrow(ValidationError);
    expect(() => ownerId(id)).toThrow(ValidationError);
    expect(() => tenantId(id)).toThrow(ValidationError);
  });

  test.each([undefined, null, 7, true, {}, ['a'], Symbol('a'), 7n, { toString: () => 'a' }, Object('a')])(
    '%o',
    (id) => {
      expect(isId(id)).toBe(false);
      expect(() => checkId(id, 'run id')).toThrow(ValidationError);
    },
  );

  test('__proto__', () => {
    expect(isId('__proto__')).toBe(false);
  });

  test('the message says what, shows the value and is short however long that is', () => {
    expect(() => checkId('a.b', 'step name')).toThrow(/^The step name "a\.b" is not an id: use 1 to 128 characters/);
    expect(() => checkId(7, 'run id')).toThrow(/^The run id number is not an id/);
    const thrown = (id: string): ValidationError => {
      try {
        checkId(id, 'run id');
      } catch (error) {
        return error as ValidationError;
      }
      throw new Error('it was taken');
    };
    const error = thrown('x'.repeat(4_096));
    assert(error.message.length < 250 && error.message.includes('4096 characters'));
    expect(JSON.stringify(error.context).length).toBeLessThan(250);
    expect(thrown('a\r\nb').message).not.toMatch(/[\r\n]/);
  });
});

test('of 50,000 made-up ids every one with a stranger in it is refused', () => {
  const part = fc.string({ unit: letter, maxLength: 12 });
  fc.assert(
    fc.property(part, hostile, part, (before, stranger, after) => {
      assert(!isId(before + stranger + after), JSON.stringify(before + stranger + after));
    }),
    { numRuns: 50_000 },
  );
});

test('of any text exactly that of the alphabet is an id', () => {
  const alphabet = new Set(LETTERS);
  const text = fc.oneof(fc.string({ unit: letter, maxLength: 140 }), fc.string({ unit: 'binary' }), fc.string());
  fc.assert(
    fc.property(text, (id) => {
      if (id === '__proto__') return;
      assert.equal(isId(id), id.length >= 1 && id.length <= 128 && id.split('').every((char) => alphabet.has(char)));
    }),
    { numRuns: 5_000 },
  );
});

test('what is said beside is any text of at most 10,000 characters, and of a longer one the length is named', () => {
  for (const text of ['', 'ä\n', 'x'.repeat(10_000)]) expect(checkedText(text, 'reason')).toBe(text);
  for (const other of ['x'.repeat(10_001), '\ud800', 7, undefined])
    expect(() => checkedText(other, 'reason')).toThrow(ValidationError);
  expect(() => checkedText('x'.repeat(10_001), 'reason')).toThrow('(10001 characters) cannot be recorded');
});
