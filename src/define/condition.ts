import { TESTS, type Condition, type Template } from '../protocol/spec.ts';
import type { Refuse } from './line.ts';
import { pathOf, templateOf, type Found } from './reference.ts';
import { asList, asText, fieldsOf } from './shapes.ts';
import type { Field, Value } from './yaml.ts';

const SUBJECTS = ['step', 'field', 'input'] as const;
const FIELDS = ['all', 'any', ...SUBJECTS, ...TESTS] as const;
const HOW = 'a condition is { step: name, field: path, above: 0 }, or has all or any with a list of conditions';

/** `{ step: contacts, field: count, above: 0 }`, `{ input: urgent, equals: true }`, `{ all: […] }`, `{ any: […] }`. @throws PlanError */
export function conditionOf(value: Value, refuse: Refuse, found: Found): Condition {
  const fields = fieldsOf(value, FIELDS, 'when', refuse);
  const given = Object.keys(fields);
  const { all, any } = fields;
  const several = all ?? any;
  if (several !== undefined) {
    if (given.length > 1) throw refuse(several.at, `${several.key} stands alone in a condition; ${HOW}.`);
    const conditions = asList(several.value, several.key, refuse).map((one) => conditionOf(one, refuse, found));
    return all === undefined ? { any: conditions } : { all: conditions };
  }
  const [test, ...others] = TESTS.filter((name) => fields[name] !== undefined);
  if (test === undefined || others.length > 0)
    throw refuse(value, `A condition has one test (${TESTS.join(', ')}); ${HOW}.`);
  return {
    of: subjectOf(fields, value, refuse, found),
    test,
    operand: operandOf(test, fields[test] as Field, refuse, found),
  };
}

function subjectOf(
  { step, field, input }: Partial<Record<(typeof SUBJECTS)[number], Field>>,
  value: Value,
  refuse: Refuse,
  found: Found,
): Template {
  if ((step === undefined) === (input === undefined) || (input !== undefined && field !== undefined))
    throw refuse(value, `A condition is about the output of a step, or about a field of the input; ${HOW}.`);
  const start = step === undefined ? 'input' : asText(step.value, 'step', refuse);
  const rest = field ?? input;
  const written = rest === undefined ? '' : asText(rest.value, rest.key, refuse);
  const path = pathOf(`${start}${written === '' || written.startsWith('[') ? '' : '.'}${written}`);
  if (path === undefined)
    throw refuse(rest?.value ?? value, `${written.slice(0, 60)} is no path; write one such as items[0].name.`);
  const at = (step ?? input)?.value ?? value;
  found({ word: { text: start, line: at.line, column: at.column }, ...path });
  return path;
}

function operandOf(test: (typeof TESTS)[number], { value }: Field, refuse: Refuse, found: Found): Template {
  const operand = templateOf(value, refuse, found);
  if (!('value' in operand)) return operand;
  if (test === 'exists' && typeof operand.value !== 'boolean') throw refuse(value, 'exists is true or false.');
  if (test === 'in' && !Array.isArray(operand.value)) throw refuse(value, 'in is a list of what it may equal.');
  if (['above', 'atLeast', 'below', 'atMost'].includes(test) && !['number', 'string'].includes(typeof operand.value))
    throw refuse(value, `${test} is a number, or a text to compare with.`);
  return operand;
}
