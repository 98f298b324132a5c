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

/** The input of a step's call, or the list of inputs of its calls. */
export function argumentsOf({ arguments: args }: StepSpec, scope: StepScope): unknown {
  switch (args.form) {
    case 'function':
      return args.input(scope);
    case 'list':
      return args.each(scope);
    case 'fields': {
      const one = (item: unknown): unknown =>
        Object.fromEntries(Object.entries(args.fields).map(([name, source]) => [name, resolve(source, scope, item)]));
      if (args.each === null) return one(undefined);
      const items = scope[args.each];
      return Array.isArray(items) ? items.map(one) : [];
    }
  }
}

export const fansOut = ({ arguments: args }: StepSpec): boolean =>
  args.form === 'list' || (args.form === 'fields' && args.each !== null);
