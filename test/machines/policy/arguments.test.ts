import { expect, test } from 'vitest';
import { argumentsOf, fansOut } from '../../../machines/policy/arguments.ts';
import type { FieldSource, StepArguments, StepSpec } from '../../../src/protocol/spec.ts';

const step = (args: StepArguments): StepSpec => ({ name: 'send', tool: 'mail.send', needs: [], arguments: args });
const fields = (sources: Record<string, FieldSource>, each: string | null = null): StepSpec =>
  step({ form: 'fields', fields: sources, each });

const scope = { input: { who: 'ana' }, contacts: [{ to: 'a' }, { to: 'b' }], message: { body: 'Hello' } };

test('a function is given the scope and nothing else', () => {
  expect(argumentsOf(step({ form: 'function', input: (given) => ({ given }) }), scope)).toEqual({ given: scope });
});

test('a list gives its items', () => {
  expect(argumentsOf(step({ form: 'list', each: ({ contacts }) => contacts as unknown[] }), scope)).toEqual(
    scope.contacts,
  );
});

test('fields come from values, whole outputs and fields of outputs', () => {
  const call = fields({
    subject: { value: 'Hi' },
    nothing: { value: undefined },
    body: { step: 'message', field: 'body' },
    all: { step: 'contacts' },
  });
  expect(argumentsOf(call, scope)).toStrictEqual({
    subject: 'Hi',
    nothing: undefined,
    body: 'Hello',
    all: scope.contacts,
  });
});

test('with each there is one input per item, in their order', () => {
  const call = fields({ to: { item: 'to' }, body: { step: 'message', field: 'body' } }, 'contacts');
  expect(argumentsOf(call, scope)).toEqual([
    { to: 'a', body: 'Hello' },
    { to: 'b', body: 'Hello' },
  ]);
});

test('what is not there is undefined, for the schema to refuse', () => {
  const call = fields({ a: { step: 'gone' }, b: { step: 'gone', field: 'x' }, c: { step: 'message', field: 'x' } });
  expect(argumentsOf(call, scope)).toStrictEqual({ a: undefined, b: undefined, c: undefined });
  expect(argumentsOf(fields({ to: { item: 'to' } }, 'contacts'), { contacts: [null, 'text', {}] })).toStrictEqual([
    { to: undefined },
    { to: undefined },
    { to: undefined },
  ]);
});

test('only own fields are read', () => {
  const call = fields({ a: { step: 'message', field: 'constructor' }, b: { step: 'message', field: '__proto__' } });
  expect(argumentsOf(call, scope)).toStrictEqual({ a: undefined, b: undefined });
});

test('a field named __proto__ is a field, not a prototype', () => {
  const made = argumentsOf(fields(Object.fromEntries([['__proto__', { value: { admin: true } }]])), scope);
  expect(Object.getPrototypeOf(made)).toBe(Object.prototype);
  expect((made as { admin?: boolean }).admin).toBeUndefined();
});

test('what is no list is refused by name', () => {
  const refused = expect.objectContaining({
    code: 'VALIDATION',
    message: expect.stringContaining('step message') as string,
  }) as Error;
  expect(() => argumentsOf(fields({ to: { item: 'to' } }, 'message'), scope)).toThrow(refused);
  expect(() => argumentsOf(step({ form: 'list', each: () => 5 as never }), scope)).toThrow('each is no list');
});

test('a step fans out when it has one call per item', () => {
  const forms = [
    step({ form: 'function', input: () => ({}) }),
    step({ form: 'list', each: () => [] }),
    fields({}),
    fields({}, 'contacts'),
  ];
  expect(forms.map(fansOut)).toEqual([false, true, false, true]);
});
