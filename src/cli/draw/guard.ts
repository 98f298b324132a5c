interface Composed {
  name: string;
  guards?: readonly unknown[];
  stateValue?: unknown;
}

/** A guard in words: its name, or what a function without one says. Undefined where there is none. */
export function guardText(guard: unknown): string | undefined {
  if (guard === undefined) return undefined;
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'object') return String((guard as { type?: unknown } | null)?.type);
  // What `and`, `or`, `not` and `stateIn` give are functions.
  const { name, guards = [], stateValue } = guard as Composed;
  if (guards.length > 0)
    return name === 'not' ? `!${part(guards[0])}` : guards.map(part).join(name === 'or' ? ' || ' : ' && ');
  if (stateValue !== undefined) return `in ${typeof stateValue === 'string' ? stateValue : JSON.stringify(stateValue)}`;
  const [, body] = /^\([^)]*\)\s*=>\s*([^{].*)$/s.exec((guard as () => boolean).toString()) ?? [];
  if (body === undefined) return name === '' ? 'guard' : name;
  return body
    .replaceAll(/\s+/g, ' ')
    .replaceAll(' )', ')')
    .replaceAll(/(?<!\w)\((\w+\.\w+)\)/g, '$1')
    .replaceAll(/\b(?:context|event)\./g, '');
}

const part = (guard: unknown): string => (typeof guard === 'string' ? guard : `(${guardText(guard)})`);
