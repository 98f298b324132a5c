import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import type { Place, Refuse } from './line.ts';

/** A text in YAML, of which JSON is a part, as values that know their places. */

export type Value = Place & {
  /** Of its nodes, with those that aliases repeat. */
  readonly size: number;
} & (
    | { readonly kind: 'map'; readonly fields: readonly Field[] }
    | { readonly kind: 'list'; readonly items: readonly Value[] }
    | { readonly kind: 'scalar'; readonly value: string | number | boolean | null; readonly placeOf: PlaceOf }
  );
export interface Field {
  readonly key: string;
  readonly at: Place;
  readonly value: Value;
}
/** Where a part of a text stands, as it is written. */
type PlaceOf = (part: string) => Place;

const MAX_BYTES = 1_000_000;
const MAX_NODES = 250_000;
const MAX_DEPTH = 64;
const START: Place = { line: 1, column: 1 };

/** `json`: the text must be JSON too. @throws PlanError */
export function readYaml(text: string, refuse: Refuse, json: boolean): Value {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) throw refuse(START, `The plan has ${bytes} bytes; at most ${MAX_BYTES} are read. Split it.`);
  // Most runs never need it, and it is loaded at once where a plan is read.
  const yaml = createRequire(import.meta.url)('yaml') as typeof Yaml;
  const lines = new yaml.LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const document = parsed(yaml, text, lines, refuse);
  const [wrong] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  if (wrong !== undefined) throw refuse(place(wrong.pos[0]), complaint(wrong, text));
  if (document.contents === null) throw refuse(START, 'The plan is empty; it is a map with steps.');
  const value = new Reader(yaml, text, place, refuse, json).value(document.contents, 0);
  if (json) mustBeJson(text, place, refuse);
  return value;
}

/** What the reader has let pass, such as a comment. V8 names the place only of some. */
function mustBeJson(text: string, place: (offset: number) => Place, refuse: Refuse): void {
  try {
    JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const { message } = error as Error;
    const [, position] = /position (\d+)/.exec(message) ?? [];
    throw refuse(
      position === undefined ? START : place(Number(position)),
      `This is YAML, but no JSON: ${message}. Name the file .yaml, or mend it.`,
    );
  }
}

function parsed(yaml: typeof Yaml, text: string, lines: Yaml.LineCounter, refuse: Refuse): Yaml.Document.Parsed {
  try {
    // Unique keys are looked after below: the package compares each with each.
    return yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false });
  } catch (error) {
    throw refuse(START, `The plan cannot be read: ${String(error)}.`);
  }
}

function complaint({ code, message, pos }: Yaml.YAMLError, text: string): string {
  if (code === 'MULTIPLE_DOCS') return 'A file holds one plan; what follows --- belongs into another.';
  if (code === 'TAG_RESOLVE_FAILED')
    return `${message}: a plan has no tags; write plain text, numbers, lists and maps.`;
  if (/call stack|stack overflow/i.test(message)) return 'This is nested too deep to be read.';
  if (text[pos[0]] === '{' && text[pos[0] - 1] === '$')
    return 'A reference within { } or [ ] stands in quotes: "${…}".';
  return `${message.replace(/\.$/, '')}.`;
}

/** Turns the package's nodes into values, at most so many and so deep. */
class Reader {
  readonly #yaml: typeof Yaml;
  readonly #text: string;
  readonly #place: (offset: number) => Place;
  readonly #refuse: Refuse;
  readonly #json: boolean;
  readonly #anchors = new Map<string, Value>();
  #nodes = 0;

  constructor(yaml: typeof Yaml, text: string, place: (offset: number) => Place, refuse: Refuse, json: boolean) {
    this.#yaml = yaml;
    this.#text = text;
    this.#place = place;
    this.#refuse = refuse;
    this.#json = json;
  }

  value(node: unknown, depth: number): Value {
    if (!this.#yaml.isNode(node)) throw this.#refuse(START, 'The plan holds something that is no value.');
    const at = this.#place(node.range?.[0] ?? 0);
    if (depth > MAX_DEPTH)
      throw this.#refuse(at, `This is nested deeper than ${MAX_DEPTH} levels; make it a plan of its own.`);
    if (this.#yaml.isAlias(node)) return this.#alias(node.source, at);
    const value = this.#plain(node, at, depth);
    this.#count(1, at);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, value);
    return value;
  }

  #plain(node: Yaml.Node, at: Place, depth: number): Value {
    if (this.#json && this.#yaml.isCollection(node) && node.flow !== true)
      throw this.#refuse(at, 'In JSON a map stands in { } and a list in [ ].');
    if (this.#yaml.isMap(node)) {
      const fields = this.#fields(node, depth);
      return { kind: 'map', fields, ...at, size: sizeOf(fields.map(({ value }) => value)) };
    }
    if (this.#yaml.isSeq(node)) {
      const items = node.items.map((item) => this.value(item, depth + 1));
      return { kind: 'list', items, ...at, size: sizeOf(items) };
    }
    return this.#scalar(node as Yaml.Scalar, at);
  }

  #fields(map: Yaml.YAMLMap, depth: number): Field[] {
    const fields = new Map<string, Field>();
    for (const { key: name, value: node } of map.items) {
      const key = String((name as Yaml.Scalar).value);
      const at = this.#place((name as Yaml.Scalar).range?.[0] ?? 0);
      if (key === '__proto__') throw this.#refuse(at, 'A field cannot be named __proto__.');
      const before = fields.get(key);
      if (before !== undefined)
        throw this.#refuse(
          at,
          `There is a ${key.slice(0, 40)} in line ${before.at.line} already; take one of them out.`,
        );
      const value: Value =
        node === null
          ? { kind: 'scalar', value: null, placeOf: () => at, ...at, size: 1 }
          : this.value(node, depth + 1);
      fields.set(key, { key, at, value });
    }
    return [...fields.values()];
  }

  #scalar({ value, range, type, source }: Yaml.Scalar, at: Place): Value {
    const [start, end] = [range?.[0] ?? 0, range?.[1] ?? 0];
    if (this.#json && typeof value === 'string' && type !== 'QUOTE_DOUBLE')
      throw this.#refuse(at, 'In JSON a text stands in double quotes.');
    if (typeof value === 'string' && !value.isWellFormed())
      throw this.#refuse(at, 'This text holds half a surrogate pair, which cannot be kept; save the plan as UTF-8.');
    if (typeof value === 'number' && isInexact(value, source ?? ''))
      throw this.#refuse(at, 'This number is too large to be exact; write it in quotes.');
    const placeOf = (part: string): Place => {
      const offset = this.#text.slice(start, end).indexOf(part);
      return offset === -1 ? at : this.#place(start + offset);
    };
    return { kind: 'scalar', value: value as string | number | boolean | null, placeOf, ...at, size: 1 };
  }

  #alias(name: string, at: Place): Value {
    const value = this.#anchors.get(name);
    if (value === undefined)
      throw this.#refuse(at, `There is no &${name.slice(0, 40)} before this *${name.slice(0, 40)}.`);
    this.#count(value.size, at);
    return value;
  }

  #count(nodes: number, at: Place): void {
    this.#nodes += nodes;
    if (this.#nodes > MAX_NODES)
      throw this.#refuse(at, `The plan has more than ${MAX_NODES} values, with what its aliases repeat; split it.`);
  }
}

const sizeOf = (values: readonly Value[]): number => values.reduce((size, value) => size + value.size, 1);

/** Written with more digits than a number keeps. */
const isInexact = (value: number, source: string): boolean =>
  /^[-+]?\d+$/.test(source) && !Number.isSafeInteger(value) && String(value) !== source.replace('+', '');
