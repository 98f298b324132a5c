import type { z } from 'zod';
import type { StepSpec, Template } from '../protocol/spec.ts';
import { near } from './closest.ts';
import { complaint, fits, listOf, shapeOf, shown, UNKNOWN, type Shape, type Types } from './fields.ts';
import type { Refuse, Word } from './line.ts';
import { inOrder } from './order.ts';
import type { Reference } from './reference.ts';
import type { Field } from './yaml.ts';

/** Do the inputs of a document's steps fit what they call, as far as schemas can say before anything runs? */

export interface Callee {
  id: string;
  inputSchema: z.ZodType | undefined;
  outputSchema: z.ZodType | undefined;
}

/** A step that has been read, and where its parts stand. */
export interface Written {
  line: { name: Word; needs: readonly Word[] };
  spec: StepSpec;
  callee: Callee;
  references: readonly Reference[];
  fields: { input?: Field; each?: Field };
}

/** @throws PlanError: a step that is not there, a cycle, a field that is not there, that nothing fills, or that holds what it cannot */
export function checkFilling(steps: readonly Written[], refuse: Refuse): void {
  const inputs = remembered('input');
  const results = remembered('output');
  const outputs = new Map<string, Shape>();
  for (const step of inOrder(steps, refuse)) {
    const { line, spec, callee, references } = step;
    const item = spec.each === undefined ? UNKNOWN : itemOf(step, outputs, refuse);
    const known = (from: string): Shape => (from === 'item' ? item : (outputs.get(from) ?? UNKNOWN));
    for (const reference of references) mustBeThere(reference, known(reference.from), refuse);
    checkInput(step, inputs(callee.inputSchema), known, refuse);
    const result = results(callee.outputSchema);
    outputs.set(line.name.text, spec.each === undefined ? result : listOf(result));
  }
}

/** What a step has one call for each of. */
function itemOf({ spec: { each }, fields }: Written, outputs: ReadonlyMap<string, Shape>, refuse: Refuse): Shape {
  const template = each as Template;
  const at = fields.each?.value ?? { line: 1, column: 1 };
  if ('value' in template && !Array.isArray(template.value)) throw refuse(at, 'each is a list, or a reference to one.');
  if (!('from' in template) || template.path.length > 0) return UNKNOWN;
  const { types, list, fields: itemFields, open } = outputs.get(template.from) ?? UNKNOWN;
  if (!fits(types, ['array'])) throw refuse(at, `each is a list, and ${template.from} gives ${shown(types)}.`);
  return list ? { types: [], list: false, fields: itemFields, open } : UNKNOWN;
}

function mustBeThere({ word, from, path }: Reference, { types, list, fields, open }: Shape, refuse: Refuse): void {
  const [first, second] = path;
  if (first === undefined || from === 'input') return;
  if (typeof first === 'number' && !fits(types, ['array']))
    throw refuse(word, `${from} gives ${shown(types)}, which has no item ${first}.`);
  if (typeof first === 'string' && list && first !== 'length')
    throw refuse(word, `${from} gives a list: write \${${from}[0].${first}}, or make one call for each of it.`);
  const name = list ? second : first;
  if (typeof name !== 'string' || name === 'length' || open || fields.has(name)) return;
  throw refuse(word, `${from} gives no ${name.slice(0, 40)}${near(name, [...fields.keys()])}.`);
}

function checkInput(
  { line: { name }, spec: { input }, callee, fields }: Written,
  taken: Shape,
  known: (from: string) => Shape,
  refuse: Refuse,
): void {
  if (taken.open || !fits(taken.types, ['object'])) return;
  const { id, inputSchema } = callee;
  const written = fields.input?.value;
  // A reference to a whole output, or with `each` the items themselves: the call will say.
  if (input === undefined || (written !== undefined && written.kind !== 'map')) return;
  const given = written?.kind === 'map' ? written.fields : [];
  for (const { key, at, value } of given) {
    const field = taken.fields.get(key);
    if (field === undefined)
      throw refuse(at, `${id} takes no ${key.slice(0, 40)}${near(key, [...taken.fields.keys()])}.`);
    const template = fieldOf(input as Template, key);
    const types = typesOf(template, known);
    if (!fits(types, field.types))
      throw refuse(value, `${key} is ${shown(types)} here, and ${id} takes ${shown(field.types)}.`);
    const why =
      'value' in template && inputSchema !== undefined ? complaint(inputSchema, key, template.value) : undefined;
    if (why !== undefined) throw refuse(value, `This is no ${key} for ${id}: ${why}.`);
  }
  const empty = [...taken.fields].filter(
    ([field, { required }]) => required && !given.some(({ key }) => key === field),
  );
  if (empty.length > 0)
    throw refuse(
      written ?? name,
      `Nothing fills ${empty.map(([field, { types }]) => `${field} (${shown(types)})`).join(', ')} of ${id} in step ${name.text}.`,
    );
}

const fieldOf = (input: Template, key: string): Template => {
  if ('fields' in input) return input.fields[key] ?? { value: undefined };
  return { value: 'value' in input ? (input.value as Record<string, unknown>)[key] : undefined };
};

/** Of a reference to a whole output or to a field of one; empty: anything. */
function typesOf(template: Template, known: (from: string) => Shape): Types {
  if ('text' in template) return ['string'];
  if ('list' in template) return ['array'];
  if ('fields' in template) return ['object'];
  if (!('from' in template)) return [];
  const [field, ...deeper] = template.path;
  const { types, list, fields } = known(template.from);
  if (field === undefined) return types;
  return typeof field === 'string' && !list && deeper.length === 0 ? (fields.get(field)?.types ?? []) : [];
}

/** A plan may call the same tool many times. */
function remembered(io: 'input' | 'output'): (schema: z.ZodType | undefined) => Shape {
  const known = new Map<z.ZodType, Shape>();
  return (schema) => {
    if (schema === undefined) return UNKNOWN;
    const found = known.get(schema) ?? shapeOf(schema, io);
    known.set(schema, found);
    return found;
  };
}
