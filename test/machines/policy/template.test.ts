import { expect, test } from 'vitest';
import { compute, shown } from '../../../machines/policy/template.ts';
import type { Template } from '../../../src/protocol/spec.ts';

const scope = {
  input: { who: 'ana' },
  contacts: [{ to: 'a', tags: ['x', 'y'] }, { to: 'b' }],
  message: { body: 'Hello', at: new Date(0), n: 7, big: 2n ** 60n, none: null },
};
const from = (name: string, ...path: (string | number)[]): Template => ({ from: name, path });

test('a reference keeps the type of what it refers to', () => {
  expect(compute(from('contacts'), scope)).toBe(scope.contacts);
  expect(compute(from('contacts', 0, 'tags', 1), scope)).toBe('y');
  expect(compute(from('message', 'at'), scope)).toEqual(new Date(0));
  expect(compute(from('contacts', 'length'), scope)).toBe(2);
});

test('fields, lists and values are what they hold', () => {
  const template: Template = {
    fields: { a: { value: { b: 1 } }, c: { list: [from('message', 'n'), { value: 'x' }] }, d: { value: undefined } },
  };
  expect(compute(template, scope)).toStrictEqual({ a: { b: 1 }, c: [7, 'x'], d: undefined });
});

test('of several the first that is there', () => {
  const first = (...choices: Template[]): unknown => compute({ first: choices }, scope);
  expect(first(from('message', 'none'), from('gone'), from('message', 'n'), from('contacts'))).toBe(7);
  expect(first(from('gone'), { value: 0 }, { value: 1 })).toBe(0);
  expect(first(from('gone'))).toBeUndefined();
});

test('within a text a reference becomes text', () => {
  const text = (...parts: Template[]): unknown => compute({ text: parts }, scope);
  expect(text({ value: 'To ' }, from('input', 'who'), { value: ': ' }, from('message', 'n'))).toBe('To ana: 7');
  expect(text(from('message', 'at'), { value: ' ' }, from('message', 'big'))).toBe(
    '1970-01-01T00:00:00.000Z 1152921504606846976',
  );
  expect(text({ value: 'all: ' }, from('contacts', 0))).toBe('all: {"to":"a","tags":["x","y"]}');
});

test('nothing is no text', () => {
  for (const reference of [from('message', 'none'), from('message', 'gone'), from('gone')])
    expect(() => compute({ text: [{ value: 'a' }, reference] }, scope)).toThrow(
      expect.objectContaining({ code: 'VALIDATION', message: expect.stringContaining('${') as string }) as Error,
    );
});

test('what is not there is undefined, for the schema to refuse', () => {
  for (const reference of [from('gone'), from('gone', 'x'), from('message', 'x', 'y'), from('contacts', 9)])
    expect(compute(reference, scope)).toBeUndefined();
});

test('only own fields are read', () => {
  for (const key of ['constructor', '__proto__', 'toString'])
    expect(compute(from('message', key), scope)).toBeUndefined();
  expect(compute(from('constructor'), scope)).toBeUndefined();
});

test('is shown as it is written', () => {
  expect(shown({ from: 'a', path: ['b', 0, 'c d'] })).toBe('${a.b[0]["c d"]}');
});
