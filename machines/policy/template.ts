import { failure } from '../../src/protocol/exit.ts';
import { forsake } from '../../src/protocol/forsaken.ts';
import type { Computed, StepScope, Template } from '../../src/protocol/spec.ts';

/** What a function gives, or a template with its references filled in. Throws a `Failure` for a promise, and where text would be made of nothing. */
export const compute = <T>(what: Computed<T>, scope: StepScope): unknown =>
  typeof what === 'function' ? atOnce(what(scope)) : valueOf(what, scope);

/** What a function of a plan gives: nothing there waits, and a promise is neither a no nor data. Throws a `Failure`. */
export function atOnce<T>(given: T): T {
  if (!isPromise(given)) return given;
  forsake(given);
  throw failure('ValidationError', 'VALIDATION', IS_PROMISE);
}

const IS_PROMISE = 'it gives a promise, for which nothing waits: use a plain function, and await in a step.';
const isPromise = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';

function valueOf(template: Template, scope: StepScope): unknown {
  if ('value' in template) return template.value;
  if ('from' in template) return [template.from, ...template.path].reduce<unknown>(own, scope);
  if ('first' in template) {
    // One after the other: what comes after is not looked at.
    for (const choice of template.first) {
      const value = valueOf(choice, scope);
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }
  if ('list' in template) return template.list.map((item) => valueOf(item, scope));
  if ('text' in template) return template.text.map((part) => textOf(valueOf(part, scope), part)).join('');
  return Object.fromEntries(Object.entries(template.fields).map(([name, value]) => [name, valueOf(value, scope)]));
}

/** Only what is a value's own: a reference leads to no prototype. */
const own = (value: unknown, key: string | number): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;

function textOf(value: unknown, part: Template): string {
  if (value === undefined || value === null)
    throw failure(
      'ValidationError',
      'VALIDATION',
      `${'from' in part ? shown(part) : 'A reference'} is empty, and stands within a text.`,
    );
  if (typeof value !== 'object') return String(value as string | number | boolean | bigint);
  return (
    dateText(value) ?? JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? String(item) : item))
  );
}

/** Of a date, its ISO text; a date is the only data with methods of its own. */
export const dateText = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'toISOString' in value && typeof value.toISOString === 'function'
    ? (value as { toISOString(): string }).toISOString()
    : undefined;

const NAME = /^[A-Za-z_][\w-]*$/;

/** A reference as it is written: `${contacts[0].email}`. */
export const shown = ({ from, path }: { from: string; path: readonly (string | number)[] }): string =>
  `\${${from}${path
    .map((key) => (typeof key === 'number' ? `[${key}]` : NAME.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`))
    .join('')}}`;
