import type { Effect } from '../protocol/entry.ts';
import { isReadable } from './options.ts';

/** What may be given for something, as far as can be seen before it is used. */
export interface Expected {
  readonly is: (value: unknown) => boolean;
  /** As a message says it: must be `what`. */
  readonly what: string;
  /** As an option it cannot be left out. */
  readonly isNeeded?: true;
}

export const needed = (expected: Expected): Expected => ({ ...expected, isNeeded: true });

const ofType = (type: 'boolean' | 'function' | 'string', what: string): Expected => ({
  what,
  is: (value) => typeof value === type,
});

/** Of a run's journal. */
export const PLACE: Expected = {
  what: 'the seq of an entry, or the label of a checkpoint',
  is: (value) => typeof value === 'number' || typeof value === 'string',
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** An object with these methods, of whatever class or realm. */
const having = (methods: readonly string[], what: string): Expected => ({
  what,
  is: (value) => isObject(value) && methods.every((name) => typeof value[name] === 'function'),
});

/** What each kind has besides its name: nothing else that says it is of that kind has it. */
const MADE_OF = { durable: 'machine', plan: 'spec', tool: 'inputSchema', module: 'tools' } as const;
type Kind = keyof typeof MADE_OF;

const made = (kinds: readonly Kind[], what: string): Expected => ({
  what,
  is: (value) => isObject(value) && kinds.some((kind) => value['kind'] === kind && isObject(value[MADE_OF[kind]])),
});

export const BOOLEAN = ofType('boolean', 'true or false');
export const TRUE: Expected = { what: 'true', is: (value) => value === true };
export const FUNCTION = ofType('function', 'a function');
export const TEXT = ofType('string', 'a text');
export const BYTES: Expected = { what: 'a Uint8Array', is: (value) => value instanceof Uint8Array };
export const LIST: Expected = { what: 'an array', is: Array.isArray };
export const PLAIN_OBJECT: Expected = { is: isReadable, what: 'an object' };
export const FILE: Expected = {
  what: "a URL, as in new URL('./file.ts', import.meta.url)",
  is: (value) => value instanceof URL,
};
export const SCHEMA: Expected = {
  what: 'a schema of Zod 4, such as z.object({})',
  is: (value) => isObject(value) && isObject(value['_zod']),
};
export const MACHINE: Expected = {
  what: 'a machine of XState: what createMachine() gives',
  is: (value) => isObject(value) && isObject(value['implementations']) && typeof value['transition'] === 'function',
};

export const DEFINITION = made(['durable', 'plan', 'tool'], 'a definition: what durable(), plan() or tool() gives');
export const DURABLE = made(['durable'], 'what durable() gives');
export const PLAN = made(['plan'], 'a plan: what plan() or plan.parse() gives');
export const ONE_TOOL = made(['tool'], 'a tool: what tool() gives');
export const TOOL = made(['tool', 'module'], 'a tool or a module: what tool() or module() gives');
export const MODULE = made(['module'], 'a module: what module() gives');

export const BACKEND = having(['open'], "a backend, such as embedded({ dir: '.troupe' })");
export const CLOCK = having(['now', 'setTimeout', 'clearTimeout', 'immediate'], 'a Clock');
export const SIGNAL = having(['throwIfAborted', 'addEventListener', 'removeEventListener'], 'an AbortSignal');

export const oneOf = (texts: readonly string[]): Expected => ({
  what: `one of ${texts.join(', ')}`,
  is: (value) => texts.includes(value as string),
});

export const EFFECT = oneOf(['read', 'idempotent', 'irreversible'] satisfies Effect[]);

/** An object with one field, which is called one of these. */
export const oneField = (names: readonly string[], what: string): Expected => ({
  what,
  is: (value) =>
    isReadable(value) && Object.keys(value).length === 1 && names.some((name) => Object.hasOwn(value, name)),
});

export const eitherOf = (one: Expected, other: Expected): Expected => ({
  what: `${one.what}, or ${other.what}`,
  is: (value) => one.is(value) || other.is(value),
});

export const listOf = (one: Expected): Expected => ({
  what: `an array, each of it ${one.what}`,
  is: (value) => Array.isArray(value) && value.every((item) => one.is(item)),
});
