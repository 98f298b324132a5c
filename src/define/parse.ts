import type { StepSpec } from '../protocol/spec.ts';
import { MAX_STEPS, RESERVED, TOO_MANY } from './build.ts';
import { closest } from './closest.ts';
import { readLine, refuserOf, type Line, type Refuse, type Word } from './line.ts';
import type { Toolbox } from './toolbox.ts';
import { wire, type Step } from './wire.ts';

const MAX_BYTES = 1_000_000;
/** Those after the first are words of `(requires steps a and b)`. */
const NO_NAMES = [...RESERVED, 'and', 'step', 'steps'];

export interface ParseRules {
  file: string | undefined;
  tools: Toolbox;
  /** Qualified ids. */
  grants: readonly string[];
}

/** The steps of a plan in words, in the order of its lines. @throws PlanError naming file, line and column */
export function parseSteps(text: string, { file, tools, grants }: ParseRules): StepSpec[] {
  const refuse = refuserOf(file);
  const phrases = phrasesOf(tools);
  return wire(
    linesOf(text, refuse).map((line) => ({ line, ...match(line.phrase, phrases, { file, tools, grants }, refuse) })),
    refuse,
  );
}

function linesOf(text: string, refuse: Refuse): Line[] {
  const start = { line: 1, column: 1 };
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES) throw refuse(start, `The plan has ${bytes} bytes; at most ${MAX_BYTES} are read. Split it.`);
  const steps = new Map<string, Line>();
  for (const [index, written] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .entries()) {
    const words = written.trim();
    if (words === '' || words.startsWith('#')) continue;
    const line = readLine(written, index + 1, refuse);
    const { name } = line;
    if (!written.isWellFormed())
      throw refuse(
        name,
        `Step ${name.text} holds half a surrogate pair, which cannot be kept; save the plan as UTF-8.`,
      );
    if (NO_NAMES.includes(name.text)) throw refuse(name, `No step can be named ${name.text}; choose another letter.`);
    const before = steps.get(name.text);
    if (before !== undefined)
      throw refuse(name, `There is a step ${name.text} in line ${before.name.line} already; choose another letter.`);
    if (steps.size === MAX_STEPS) throw refuse(name, TOO_MANY, { limit: MAX_STEPS });
    steps.set(name.text, line);
  }
  if (steps.size === 0) throw refuse(start, 'The plan has no step; write one per line, as in: a. Get all contacts');
  return [...steps.values()];
}

type Phrases = ReadonlyMap<string, readonly string[]>;

/** As phrases are compared: small letters, single spaces, no colon at the end. */
function plain(phrase: string): string {
  const words = phrase.normalize('NFC').toLowerCase().trim().split(/\s+/).join(' ');
  return words.endsWith(':') ? words.slice(0, -1).trimEnd() : words;
}

/** The ids of the tools that go by each phrase. A tool's own id is one, so that a phrase of two tools can be told apart. */
function phrasesOf(tools: Toolbox): Phrases {
  const phrases = new Map<string, string[]>();
  for (const [id, { tool }] of tools)
    for (const phrase of new Set([id, tool.name, tool.name.replaceAll('_', ' '), ...tool.phrases].map(plain)))
      phrases.set(phrase, [...(phrases.get(phrase) ?? []), id]);
  return phrases;
}

function match(phrase: Word, phrases: Phrases, { tools, grants }: ParseRules, refuse: Refuse): Omit<Step, 'line'> {
  const words = plain(phrase.text);
  const [id, ...others] = phrases.get(words) ?? [];
  const entry = id === undefined ? undefined : tools.get(id);
  // the distance to every phrase is worth it for something as short as one
  const start = words.slice(0, 100);
  if (id === undefined || entry === undefined) {
    const near = closest(start, [...phrases.keys()]);
    throw refuse(
      phrase,
      `No tool goes by "${start}"; closest: ${near.map((known) => `"${known}"`).join(', ') || 'none'}.`,
      {
        phrase: start,
        closest: near,
      },
    );
  }
  if (others.length > 0) {
    const candidates = [id, ...others];
    throw refuse(phrase, `"${start}" could be ${candidates.join(' or ')}; write the id of the one that is meant.`, {
      phrase: start,
      candidates,
    });
  }
  if (!grants.includes(id))
    throw refuse(
      phrase,
      `This plan may not call ${id}; allowed: ${grants.join(', ') || 'nothing'}. Add it to the module's allowlist.`,
      { tool: id, allowed: grants },
    );
  return { id, tool: entry.tool };
}
