import { failure } from '../../src/protocol/exit.ts';
import type { FieldSource, StepScope, StepSpec } from '../../src/protocol/spec.ts';

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;

function resolve(source: FieldSource, scope: StepScope, item: unknown): unknown {
  if ('value' in source) return source.value;
  if ('item' in source) return field(item, source.item);
  const output = scope[source.step];
  return source.field === undefined ? output : field(output, source.field);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw failure('ValidationError', 'VALIDATION', `${what} is no list: each makes one call per item of one.`);
}

/** The input of a step's call, or the list of inputs of its calls. */
export function argumentsOf({ arguments: args }: StepSpec, scope: StepScope): unknown {
  switch (args.form) {
    case 'function':
      return args.input(scope);
    case 'list':
      return list(args.each(scope), 'each');
    case 'fields': {
      const one = (item: unknown): unknown =>
        Object.fromEntries(Object.entries(args.fields).map(([name, source]) => [name, resolve(source, scope, item)]));
      if (args.each === null) return one(undefined);
      return list(scope[args.each], `the output of step ${args.each}`).map(one);
    }
  }
}

export const fansOut = ({ arguments: args }: StepSpec): boolean =>
  args.form === 'list' || (args.form === 'fields' && args.each !== null);
