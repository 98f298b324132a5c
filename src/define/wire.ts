import type { AnyTool, StepSpec, Template } from '../protocol/spec.ts';
import { complaint, fits, listOf, shapeOf, shown, UNKNOWN, type Shape } from './fields.ts';
import type { Line, Refuse, Word } from './line.ts';
import { inOrder } from './order.ts';

/** A line and the tool it means. */
export interface Step {
  line: Line;
  /** Qualified. */
  id: string;
  tool: AnyTool;
}

/** Each step with the source of every field of its tool's input, in the order they came. @throws PlanError */
export function wire(steps: readonly Step[], refuse: Refuse): StepSpec[] {
  const inputs = remembered(({ inputSchema }) => shapeOf(inputSchema, 'input'));
  const results = remembered(({ outputSchema }) =>
    outputSchema === undefined ? UNKNOWN : shapeOf(outputSchema, 'output'),
  );
  const outputs = new Map<string, Shape>();
  const specs = new Map<string, StepSpec>();
  for (const step of inOrder(steps, refuse)) {
    const { name, needs } = step.line;
    const { fields, each } = connect(step, inputs(step.tool), outputs, refuse);
    specs.set(name.text, {
      name: name.text,
      call: { kind: 'tool', tool: step.id },
      needs: needs.map(({ text }) => text),
      ...(each !== undefined && { each: { from: each, path: [] } }),
      input: { fields: Object.fromEntries(fields) },
    });
    const result = results(step.tool);
    outputs.set(name.text, each === undefined ? result : listOf(result));
  }
  return steps.flatMap(({ line }) => specs.get(line.name.text) ?? []);
}

type Wiring = { fields: ReadonlyMap<string, Template>; each: string | undefined };

/** By name: outputs of needs fill fields, then the quoted text fills the one that is left. */
function connect({ line, id, tool }: Step, input: Shape, outputs: ReadonlyMap<string, Shape>, refuse: Refuse): Wiring {
  const { name, phrase, quoted, needs } = line;
  if (!fits(input.types, ['object']))
    throw refuse(
      phrase,
      `${id} takes ${shown(input.types)}, and a plan in words can only fill the fields of an object.`,
    );
  const fields = new Map<string, Template>();
  const filledBy = new Map<string, Word>();
  let each: Word | undefined;
  for (const need of needs) {
    const output = outputs.get(need.text) ?? UNKNOWN;
    const common = [...output.fields].filter(([field]) => input.fields.has(field));
    if (output.list && common.length > 0) {
      if (each !== undefined)
        throw refuse(
          need,
          `Steps ${each.text} and ${need.text} both give ${id} a list; one call per item of one list only.`,
        );
      each = need;
    }
    for (const [field, { types }] of common) {
      const other = filledBy.get(field);
      const taken = input.fields.get(field)?.types ?? [];
      if (other !== undefined)
        throw refuse(
          need,
          `Steps ${other.text} and ${need.text} both fill the field ${field} of ${id}; require one of them.`,
        );
      if (!fits(types, taken))
        throw refuse(need, `Step ${need.text} gives ${field} as ${shown(types)}, but ${id} takes ${shown(taken)}.`);
      filledBy.set(field, need);
      fields.set(field, { from: output.list ? 'item' : need.text, path: [field] });
    }
  }
  const open = [...input.fields].filter(([field, { required }]) => required && !fields.has(field));
  if (quoted !== undefined) {
    const [only, ...more] = open.filter(([, { types }]) => types.includes('string')).map(([field]) => field);
    if (only === undefined)
      throw refuse(
        quoted,
        `The quoted text of step ${name.text} has no place to go: ${id} has no required string field left.`,
      );
    if (more.length > 0)
      throw refuse(quoted, `The quoted text of step ${name.text} could fill ${[only, ...more].join(' or ')} of ${id}.`);
    const why = complaint(tool.inputSchema, only, quoted.text);
    if (why !== undefined)
      throw refuse(quoted, `The quoted text of step ${name.text} is no ${only} for ${id}: ${why}.`);
    fields.set(only, { value: quoted.text });
  }
  const empty = open.filter(([field]) => !fields.has(field)).map(([field, { types }]) => `${field} (${shown(types)})`);
  if (empty.length > 0)
    throw refuse(
      phrase,
      `Nothing fills ${empty.join(', ')} of ${id} in step ${name.text}; require a step that gives it.`,
    );
  return { fields, each: each?.text };
}

/** A plan may call the same tool many times. */
function remembered(shape: (tool: AnyTool) => Shape): (tool: AnyTool) => Shape {
  const known = new Map<AnyTool, Shape>();
  return (tool) => {
    const found = known.get(tool) ?? shape(tool);
    known.set(tool, found);
    return found;
  };
}
