import { isId } from '../protocol/ids.ts';
import type { Computed, FieldSpec, Module, PlanSpec, StepSpec } from '../protocol/spec.ts';
import { adopted, CONCURRENCY, MAX_STEPS, RESERVED, TOO_MANY } from './build.ts';
import { near } from './closest.ts';
import { conditionOf } from './condition.ts';
import { checkFilling, type Callee, type Written } from './fill.ts';
import { FIELD_TYPES, inputSchemaOf } from './input.ts';
import { refuserOf, type Refuse, type Word } from './line.ts';
import { templateOf, type Reference } from './reference.ts';
import { rulesOf, STEP_FIELDS, waitsOf, type StepFields } from './rules.ts';
import { asCount, asMap, asText, atDoor, either, fieldsOf } from './shapes.ts';
import type { AnyPlan } from './steps.ts';
import type { Toolbox } from './toolbox.ts';
import { readYaml, type Field, type Value } from './yaml.ts';

/** A plan as a document, in YAML or JSON. */

export interface DocumentRules {
  file: string | undefined;
  json: boolean;
  /** Where the text gives none. */
  name: string;
  version: string;
  tools: Toolbox;
  /** Qualified ids. */
  grants: readonly string[];
  module: Module | undefined;
  plans: ReadonlyMap<string, AnyPlan>;
}

export interface Document {
  readonly spec: Omit<PlanSpec, 'grants'>;
  /** With those of the plans it calls. */
  readonly tools: Toolbox;
}

/** @throws PlanError naming file, line and column */
export function parseDocument(text: string, rules: DocumentRules): Document {
  const refuse = refuserOf(rules.file);
  const reader = new Reader(rules, refuse);
  return { spec: reader.plan(readYaml(text, refuse, rules.json), rules.name, rules.version), tools: reader.tools };
}

const PLAN_FIELDS = ['name', 'version', 'input', 'concurrency', 'steps', 'output'] as const;
/** A step that has been read, and where its parts stand. */
interface Step extends Written {
  line: { name: Word; needs: readonly Word[] };
  spec: StepSpec;
}

class Reader {
  tools: Toolbox;
  readonly #rules: DocumentRules;
  readonly #refuse: Refuse;
  #steps = 0;

  constructor(rules: DocumentRules, refuse: Refuse) {
    this.#rules = rules;
    this.#refuse = refuse;
    this.tools = rules.tools;
  }

  plan(value: Value, name: string, version: string): Omit<PlanSpec, 'grants'> {
    const refuse = this.#refuse;
    const fields = fieldsOf(value, PLAN_FIELDS, 'A plan', refuse);
    if (fields.steps === undefined) throw refuse(value, 'A plan has steps: a map of them by name.');
    const named = fields.name === undefined ? name : asText(fields.name.value, 'name', refuse);
    if (!isId(named))
      throw refuse(fields.name?.value ?? value, `A name is 1 to 128 characters of A-Z, a-z, 0-9, _ and -.`);
    const input = fields.input === undefined ? null : this.#input(fields.input.value);
    const entries = asMap(fields.steps.value, 'steps', refuse);
    if (entries.length === 0)
      throw refuse(fields.steps.value, 'The plan has no step; write one as name: { tool: id }.');
    const names = new Set(entries.map(({ key }) => key));
    const steps = entries.map((entry) => this.#step(entry, names, input));
    checkFilling(steps, refuse);
    return {
      kind: 'plan',
      name: named,
      version: fields.version === undefined ? version : asText(fields.version.value, 'version', refuse),
      input,
      steps: steps.map(({ spec }) => spec),
      concurrency:
        fields.concurrency === undefined ? CONCURRENCY : asCount(fields.concurrency.value, 'concurrency', refuse),
      output: fields.output === undefined ? null : this.#output(fields.output.value, names, input),
    };
  }

  /** `limit: number?` */
  #input(value: Value): Record<string, FieldSpec> {
    const fields = asMap(value, 'input', this.#refuse).map(({ key, value: type }): [string, FieldSpec] => {
      const text = asText(type, `The type of ${key}`, this.#refuse);
      const required = !text.endsWith('?');
      const found = FIELD_TYPES.find((known) => known === (required ? text : text.slice(0, -1)));
      if (found !== undefined) return [key, { type: found, required }];
      throw this.#refuse(type, `The type of ${key} is ${either(FIELD_TYPES)}, with a ? where it may be left out.`);
    });
    return Object.fromEntries(fields);
  }

  #output(value: Value, names: ReadonlySet<string>, input: PlanSpec['input']): Computed {
    return templateOf(value, this.#refuse, (reference) => this.#mustKnow(reference, names, input));
  }

  #step({ key, at, value }: Field, names: ReadonlySet<string>, input: PlanSpec['input']): Step {
    const refuse = this.#refuse;
    const name = { text: key, ...at };
    if (!isId(key as unknown))
      throw refuse(at, `${key.slice(0, 40)} is no name for a step: use 1 to 128 characters of A-Z, a-z, 0-9, _ and -.`);
    if (RESERVED.includes(key)) throw refuse(at, `No step can be named ${key}; choose another name.`);
    this.#steps += 1;
    if (this.#steps > MAX_STEPS) throw refuse(at, TOO_MANY, { limit: MAX_STEPS });
    const fields: StepFields = fieldsOf(value, STEP_FIELDS, `Step ${key}`, refuse);
    const { call, callee } = this.#call(name, value, fields);

    const [needs, optional, anyOf] = [fields.needs, fields.optional, fields.anyOf].map((field) =>
      waitsOf(field, refuse),
    ) as [Word[], Word[], Word[]];
    const known = new Set([...needs, ...optional, ...anyOf].map(({ text }) => text));
    const references: Reference[] = [];
    const found = (reference: Reference): void => {
      references.push(reference);
      this.#mustKnow(reference, names, input);
      const { word, from } = reference;
      if (from === 'input' || known.has(from)) return;
      // What it refers to, it needs.
      known.add(from);
      needs.push({ ...word, text: from });
    };
    const withItem = (reference: Reference): void =>
      reference.from === 'item' && fields.each !== undefined ? void references.push(reference) : found(reference);

    const when = fields.when && conditionOf(fields.when.value, refuse, found);
    const each = fields.each && templateOf(fields.each.value, refuse, found);
    const given = fields.input && templateOf(fields.input.value, refuse, withItem);
    const spec: StepSpec = {
      name: key,
      call,
      needs: textsOf(needs),
      ...(optional.length > 0 && { optional: textsOf(optional) }),
      ...(anyOf.length > 0 && { anyOf: textsOf(anyOf) }),
      ...(when && { when }),
      ...(each && { each }),
      // Without an input of its own the call of an item is given the item.
      ...(given ? { input: given } : each ? {} : { input: { value: {} } }),
      ...rulesOf(fields, refuse),
    };
    return { line: { name, needs: [...needs, ...optional, ...anyOf] }, spec, callee, references, fields };
  }

  #call(name: Word, value: Value, { tool, plan }: StepFields): { call: StepSpec['call']; callee: Callee } {
    const refuse = this.#refuse;
    if (tool !== undefined && plan === undefined) {
      const id = asText(tool.value, 'tool', refuse);
      const entry = this.#rules.tools.get(id);
      if (entry === undefined)
        throw refuse(tool.value, `There is no tool ${id.slice(0, 80)}${near(id, [...this.#rules.tools.keys()])}.`, {
          tool: id,
        });
      const { grants } = this.#rules;
      if (!grants.includes(id))
        throw refuse(
          tool.value,
          `This plan may not call ${id}; allowed: ${grants.join(', ') || 'nothing'}. Add it to the module's allowlist.`,
          { tool: id, allowed: grants },
        );
      const { inputSchema, outputSchema } = entry.tool;
      return { call: { kind: 'tool', tool: id }, callee: { id, inputSchema, outputSchema } };
    }
    if (plan === undefined || tool !== undefined)
      throw refuse(tool === undefined ? value : name, `Step ${name.text} has either a tool or a plan.`);
    if (plan.value.kind === 'map') {
      const spec: PlanSpec = { ...this.plan(plan.value, name.text, '1'), grants: this.#rules.grants };
      return {
        call: { kind: 'plan', plan: spec },
        callee: {
          id: `plan ${spec.name}`,
          inputSchema: spec.input === null ? undefined : inputSchemaOf(spec.input),
          outputSchema: undefined,
        },
      };
    }
    const called = asText(plan.value, 'plan', refuse);
    const known = this.#rules.plans.get(called);
    if (known === undefined)
      throw refuse(
        plan.value,
        `There is no plan ${called.slice(0, 80)}${near(called, [...this.#rules.plans.keys()])}; give it in plans.`,
      );
    const { module, grants } = this.#rules;
    this.tools = atDoor(plan.value, refuse, () =>
      adopted({ name: this.#rules.name, tools: this.tools, module }, known, grants),
    );
    const callee = { id: `plan ${called}`, inputSchema: known.inputSchema, outputSchema: undefined };
    // One that is data travels with the run; any other is found again by its name.
    return { call: { kind: 'plan', plan: known.parsed ? known.spec : called }, callee };
  }

  #mustKnow({ word, from, path }: Reference, names: ReadonlySet<string>, input: PlanSpec['input']): void {
    if (names.has(from)) return;
    if (from === 'item') throw this.#refuse(word, 'item is there in the input of a step that has each.');
    if (from !== 'input') throw this.#refuse(word, `There is no step ${from.slice(0, 40)}${near(from, [...names])}.`);
    const [field] = path;
    if (input !== null && typeof field === 'string' && !Object.hasOwn(input, field))
      throw this.#refuse(
        word,
        `The input of this plan has no ${field.slice(0, 40)}${near(field, Object.keys(input))}.`,
      );
  }
}

const textsOf = (words: readonly Word[]): string[] => [...new Set(words.map(({ text }) => text))];
