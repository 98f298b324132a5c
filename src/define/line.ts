import { PlanError, type Context } from '../protocol/errors.ts';

/** Where something stands in a text, counted from 1 in UTF-16 units, as editors do. */
export interface Place {
  line: number;
  column: number;
}
export interface Word extends Place {
  text: string;
}
/** The error that says what is wrong at a place; for the caller to throw. */
export type Refuse = (place: Place, message: string, context?: Context) => PlanError;

export const refuserOf =
  (file: string | undefined): Refuse =>
  ({ line, column }, message, context = {}) =>
    new PlanError(`${file ?? 'plan'}:${line}:${column}: ${message}`, {
      ...(file === undefined ? {} : { file }),
      line,
      column,
      ...context,
    });

/** A step as it is written. */
export interface Line {
  /** Lower-cased. */
  name: Word;
  phrase: Word;
  quoted: Word | undefined;
  /** Lower-cased, each once. */
  needs: readonly Word[];
}

const NAME = /^[a-z][a-z0-9_-]{0,31}$/;
const CLOSING: Readonly<Record<string, string>> = { '"': '"', '“': '”' };

/** `c. Send emails "text" (requires steps a and b)` */
export function readLine(text: string, line: number, refuse: Refuse): Line {
  const at = (index: number): Place => ({ line, column: index + 1 });
  const first = after(text, 0);
  const stop = text.indexOf('.', first);
  const name = stop === -1 ? '' : text.slice(first, stop).toLowerCase();
  if (!NAME.test(name))
    throw refuse(
      at(first),
      'A step begins with its letter (or a short id that begins with a letter; no number) and a full stop, as in: a. Get all contacts',
    );
  const begin = after(text, stop + 1);
  const end = begin + indexOrEnd(text.slice(begin), /["“(]/);
  const phrase = { text: text.slice(begin, end), ...at(begin) };
  if (phrase.text.trim() === '')
    throw refuse(phrase, `Step ${name} says nothing; write what it does, in a tool's words.`);

  let next = end;
  let quoted: Word | undefined;
  if (CLOSING[text[next] ?? ''] !== undefined) {
    const { words, close } = unquote(text, next);
    if (close === -1) throw refuse(at(next), `The quoted text of step ${name} is not closed on this line.`);
    quoted = { text: words, ...at(next) };
    next = after(text, close + 1);
  }
  let needs: readonly Word[] = [];
  if (text[next] === '(') {
    const close = text.indexOf(')', next);
    if (close === -1) throw refuse(at(next), `The parenthesis of step ${name} is not closed on this line.`);
    needs = readNeeds(text.slice(next + 1, close), at(next + 1), refuse);
    next = after(text, close + 1);
  }
  if (next < text.length)
    throw refuse(
      at(next),
      `Step ${name} goes on after its end; the order is: phrase, one quoted text, one parenthesis.`,
    );
  return { name: { text: name, ...at(first) }, phrase, quoted, needs };
}

/** Where the next word begins. */
const after = (text: string, index: number): number => index + indexOrEnd(text.slice(index), /\S/);

function indexOrEnd(text: string, what: RegExp): number {
  const index = text.search(what);
  return index === -1 ? text.length : index;
}

/** The text between the quotes, in which `\"` and `\\` stand for `"` and `\`. */
function unquote(text: string, open: number): { words: string; close: number } {
  const closing = CLOSING[text[open] ?? ''];
  let words = '';
  for (let index = open + 1; index < text.length; index += 1) {
    const letter = text[index];
    if (letter === closing) return { words, close: index };
    const escaped = text[index + 1];
    if (letter === '\\' && (escaped === closing || escaped === '\\')) index += 1;
    words += text[index] ?? '';
  }
  return { words, close: -1 };
}

/** `requires step a`, `requires steps a, b and c`, `after a` */
function readNeeds(text: string, place: Place, refuse: Refuse): Word[] {
  const words = [...text.matchAll(/,|[^\s,]+/g)].map((match) => ({
    text: match[0].toLowerCase(),
    line: place.line,
    column: place.column + match.index,
  }));
  const [verb, ...rest] = words;
  if (verb === undefined || (verb.text !== 'requires' && verb.text !== 'after'))
    throw refuse(verb ?? place, 'A parenthesis says which steps come before: (requires steps a and b), or (after a).');
  if (rest[0]?.text === 'step' || rest[0]?.text === 'steps') rest.shift();

  const needs = new Map<string, Word>();
  let separated = true;
  let last = verb;
  for (const word of rest) {
    if (word.text === ',' || word.text === 'and') {
      // "a, b, and c" has two in a row
      if (needs.size === 0 || (separated && !(last.text === ',' && word.text === 'and'))) throw misplaced(word, refuse);
      separated = true;
    } else {
      if (!separated) throw misplaced(word, refuse);
      if (!needs.has(word.text)) needs.set(word.text, word);
      separated = false;
    }
    last = word;
  }
  if (separated) throw refuse(last, `A step's letter is missing after "${last.text}".`);
  return [...needs.values()];
}

const misplaced = (word: Word, refuse: Refuse): PlanError =>
  refuse(word, `"${word.text.slice(0, 40)}" is not expected here; write (requires steps a, b and c).`);
