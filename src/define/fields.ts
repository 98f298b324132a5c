import type { z } from 'zod';
import { askNow } from './schema.ts';

/** What a field may hold, in JSON Schema's words (`integer` read as `number`); empty: anything. */
export type Types = readonly string[];
interface Field {
  types: Types;
  required: boolean;
}

/** What a tool takes or gives, as far as a plan in words can know: the fields of an object, or of the items of a list. */
export interface Shape {
  types: Types;
  list: boolean;
  fields: ReadonlyMap<string, Field>;
  /** There may be fields besides these. */
  open: boolean;
}

type Schema = z.core.JSONSchema.BaseSchema;
type Node = Schema | boolean | undefined;

export const UNKNOWN: Shape = { types: [], list: false, fields: new Map(), open: true };

/** `io: 'input'`: before defaults and transforms; `'output'`: after them. */
export function shapeOf(schema: z.ZodType, io: 'input' | 'output'): Shape {
  const root: Schema = schema.toJSONSchema({ io, unrepresentable: 'any' });
  const node = target(root, root);
  const types = typesOf(node, root);
  if (!isOnly(types, 'array')) return { types, list: false, fields: fieldsOf(node, root), open: isOpen(node) };
  const item = target(Array.isArray(node.items) ? undefined : node.items, root);
  return { types, list: true, fields: fieldsOf(item, root), open: isOpen(item) };
}

const isOpen = ({ properties, additionalProperties = false }: Schema): boolean =>
  properties === undefined || additionalProperties !== false;

/** What a step that is called once per item gives. */
export const listOf = ({ list, fields, open }: Shape): Shape => ({
  types: ['array'],
  list: true,
  fields: list ? new Map() : fields,
  open: list || open,
});

/** Why a value cannot be that field of an object, as far as the field's own schema can say now. */
export function complaint(object: z.ZodType, field: string, value: unknown): string | undefined {
  const shape: unknown = 'shape' in object ? object.shape : undefined;
  const schema: unknown =
    typeof shape === 'object' && shape !== null && Object.hasOwn(shape, field) ? Reflect.get(shape, field) : undefined;
  if (typeof schema !== 'object' || schema === null || !('safeParse' in schema)) return undefined;
  // A check that is asynchronous, or throws: the call itself will say.
  return askNow(schema as z.ZodType, value)?.error?.issues[0]?.message;
}

/** Could a value of one be a value of the other? */
export const fits = (given: Types, taken: Types): boolean =>
  given.length === 0 || taken.length === 0 || given.some((type) => taken.includes(type));

const isOnly = (types: Types, type: string): boolean => types.length === 1 && types[0] === type;

export const shown = (types: Types): string => types.join(' or ') || 'anything';

const DEFINITIONS = '#/$defs/';

/** What a reference stands for. zod refers only to the root and its definitions. */
function target(node: Node, root: Schema): Schema {
  if (typeof node !== 'object') return {};
  if (node.$ref === undefined) return node;
  if (!node.$ref.startsWith(DEFINITIONS)) return root;
  const name = node.$ref.slice(DEFINITIONS.length);
  const defined = root.$defs;
  return defined !== undefined && Object.hasOwn(defined, name) ? (defined[name] ?? {}) : {};
}

function typesOf(node: Schema, root: Schema): string[] {
  const branches = node.anyOf ?? node.oneOf;
  if (branches !== undefined) {
    const each = branches.map((branch) => typesOf(target(branch, root), root));
    return each.some((types) => types.length === 0) ? [] : [...new Set(each.flat())];
  }
  const types: readonly string[] = node.type === undefined ? [] : [node.type].flat();
  return [...new Set(types.map((type) => (type === 'integer' ? 'number' : type)))];
}

function fieldsOf(node: Schema, root: Schema): Map<string, Field> {
  const required = new Set(node.required);
  return new Map(
    Object.entries(node.properties ?? {}).map(([name, field]) => [
      name,
      { types: typesOf(target(field, root), root), required: required.has(name) },
    ]),
  );
}
