import { expect, test } from 'vitest';
import { argumentsOf } from '../../../machines/policy/arguments.ts';
import type { Template } from '../../../src/protocol/spec.ts';

const scope = { input: { who: 'ana' }, contacts: [{ to: 'a' }, { to: 'b' }], message: { body: 'Hello' } };
const to: Template = { fields: { to: { from: 'item', path: ['to'] }, body: { from: 'message', path: ['body'] } } };

test('a function is given the scope and nothing else', () => {
  expect(argumentsOf({ input: (given) => ({ given }) }, scope)).toEqual({ given: scope });
});

test('a list gives its items, each of them an input', () => {
  expect(argumentsOf({ each: ({ contacts }) => contacts }, scope)).toEqual(scope.contacts);
});

test('or one input for each item, in their order', () => {
  expect(argumentsOf({ each: { from: 'contacts', path: [] }, input: to }, scope)).toEqual([
    { to: 'a', body: 'Hello' },
    { to: 'b', body: 'Hello' },
  ]);
});

test('what is no list is refused', () => {
  const refused = expect.objectContaining({
    code: 'VALIDATION',
    message: expect.stringContaining('no list') as string,
  }) as Error;
  for (const each of [{ from: 'message', path: [] }, () => 5])
    expect(() => argumentsOf({ each, input: to }, scope)).toThrow(refused);
});
