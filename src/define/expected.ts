import { isPlainObject } from './options.ts';

/** What may be given for something, as far as can be seen before it is used. */
export interface Expected {
  readonly is: (value: unknown) => boolean;
  /** As a message says it: must be `what`. */
  readonly what: string;
}

const ofType = (type: 'boolean' | 'function' | 'string', what: string): Expected => ({
  what,
  is: (value) => typeof value === type,
});

/** Of a run's journal. */
export const PLACE: Expected = {
  what: 'the seq of an entry, or the label of a checkpoint',
  is: (value) => typeof value === 'number' || typeof value === 'string',
};

/** An object with these methods, of whatever class or realm. */
const having = (methods: readonly string[], what: string): Expected => ({
  what,
  is: (value) =>
    typeof value === 'object' &&
    value !== null &&
    methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function'),
});

const made = (kinds: readonly string[], what: string): Expected => ({
  what,
  is: (value) =>
    typeof value === 'object' && value !== null && kinds.includes((value as { kind?: unknown }).kind as string),
});

export const BOOLEAN = ofType('boolean', 'true or false');
export const FUNCTION = ofType('function', 'a function');
export const TEXT = ofType('string', 'a text');
export const PLAIN_OBJECT: Expected = { is: isPlainObject, what: 'an object' };

export const DEFINITION = made(['durable', 'plan', 'tool'], 'a definition: what durable(), plan() or tool() gives');
export const TOOL = made(['tool', 'module'], 'a tool or a module: what tool() or module() gives');
export const MODULE = made(['module'], 'a module: what module() gives');

export const BACKEND = having(['open'], "a backend, such as embedded({ dir: '.troupe' })");
export const CLOCK = having(['now', 'setTimeout', 'clearTimeout', 'immediate'], 'a Clock');
export const SIGNAL = having(['throwIfAborted', 'addEventListener', 'removeEventListener'], 'an AbortSignal');

export const oneOf = (texts: readonly string[]): Expected => ({
  what: `one of ${texts.join(', ')}`,
  is: (value) => texts.includes(value as string),
});

export const listOf = (one: Expected): Expected => ({
  what: `an array, each of it ${one.what}`,
  is: (value) => Array.isArray(value) && value.every((item) => one.is(item)),
});
