import type { Template } from '../protocol/spec.ts';
import type { Refuse, Word } from './line.ts';
import type { Value } from './yaml.ts';

/** A reference as it is written, and what it means. */
export interface Reference {
  /** With `text` as it is written. */
  readonly word: Word;
  readonly from: string;
  readonly path: readonly (string | number)[];
}
/** Told of each reference that is read; it may refuse it. */
export type Found = (reference: Reference) => void;

const REFERENCE = /\$\$\{|\$\{((?:[^}"]|"(?:[^"\\]|\\.)*")*)\}?/g;
const NAME = /^[A-Za-z0-9_-]+/;
const STEP = /^(?:\.([A-Za-z0-9_-]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\])/;
const HOW = 'write ${step.field[0]}, ${input.field} or ${a.b ?? c.d}; $${ stands for the two signs themselves';

/** A value with what its texts refer to: a text that is one reference is what it refers to, any other stays a text. @throws PlanError */
export function templateOf(value: Value, refuse: Refuse, found: Found): Template {
  switch (value.kind) {
    case 'list': {
      const list = value.items.map((item) => templateOf(item, refuse, found));
      return list.every(isLiteral) ? { value: list.map((item) => item.value) } : { list };
    }
    case 'map': {
      const fields = value.fields.map(({ key, value: field }) => [key, templateOf(field, refuse, found)] as const);
      const literal = fields.flatMap(([key, field]) => (isLiteral(field) ? [[key, field.value] as const] : []));
      if (literal.length === fields.length) return { value: Object.fromEntries(literal) };
      return { fields: Object.fromEntries(fields) };
    }
    case 'scalar':
      return typeof value.value === 'string' ? textOf(value.value, value, refuse, found) : { value: value.value };
  }
}

const isLiteral = (template: Template): template is { value: unknown } => 'value' in template;

function textOf(text: string, { placeOf }: Extract<Value, { kind: 'scalar' }>, refuse: Refuse, found: Found): Template {
  const parts: Template[] = [];
  let plain = '';
  let end = 0;
  for (const match of text.matchAll(REFERENCE)) {
    const [written, inside] = match;
    plain += text.slice(end, match.index);
    end = match.index + written.length;
    if (inside === undefined) {
      plain += '${';
      continue;
    }
    const word = { text: written, ...placeOf(written) };
    const choices = written.endsWith('}') ? choicesOf(inside) : undefined;
    if (choices === undefined) throw refuse(word, `${written.slice(0, 60)} is no reference; ${HOW}.`);
    for (const choice of choices) if ('from' in choice) found({ word, ...choice });
    if (plain !== '') parts.push({ value: plain });
    plain = '';
    const [only, ...others] = choices;
    parts.push(others.length === 0 ? only : { first: choices });
  }
  plain += text.slice(end);
  if (parts.length === 0) return { value: plain };
  if (plain !== '') parts.push({ value: plain });
  const [only, ...more] = parts;
  return only !== undefined && more.length === 0 ? only : { text: parts };
}

type Choice = Pick<Reference, 'from' | 'path'> | { value: unknown };

/** `long.text ?? short.text ?? "neither"` */
function choicesOf(written: string): [Choice, ...Choice[]] | undefined {
  const [first = '', ...others] = written.match(/(?:"(?:[^"\\]|\\.)*"|\?(?!\?)|[^?])+|\?\?/g) ?? [];
  const start = pathOf(first.trim());
  if (start === undefined) return undefined;
  const choices: [Choice, ...Choice[]] = [start];
  for (let index = 0; index < others.length; index += 2) {
    const choice = others[index] === '??' ? choiceOf(others[index + 1]?.trim() ?? '') : undefined;
    if (choice === undefined) return undefined;
    choices.push(choice);
  }
  return choices;
}

/** A value in JSON, or a reference. */
function choiceOf(written: string): Choice | undefined {
  const value = fromJson(written);
  return value === undefined ? pathOf(written) : { value };
}

/** `contacts[0].email` */
export function pathOf(written: string): Pick<Reference, 'from' | 'path'> | undefined {
  const [from] = NAME.exec(written) ?? [];
  if (from === undefined) return undefined;
  const path: (string | number)[] = [];
  for (let rest = written.slice(from.length); rest !== '';) {
    const [step, name, index, quoted] = STEP.exec(rest) ?? [];
    if (step === undefined) return undefined;
    const key: unknown = quoted === undefined ? (index === undefined ? name : Number(index)) : fromJson(quoted);
    if (typeof key !== 'string' && typeof key !== 'number') return undefined;
    path.push(key);
    rest = rest.slice(step.length);
  }
  return { from, path };
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
