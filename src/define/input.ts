import type { z } from 'zod';
import { ValidationError } from '../protocol/errors.ts';
import { text } from '../protocol/shown.ts';
import type { FieldSpec, PlanSpec } from '../protocol/spec.ts';
import { ask } from './schema.ts';
import { zod } from './zod.ts';

const TYPES: Record<FieldSpec['type'], () => z.ZodType> = {
  string: () => zod().string(),
  number: () => zod().number(),
  boolean: () => zod().boolean(),
  list: () => zod().array(zod().unknown()),
  map: () => zod().record(zod().string(), zod().unknown()),
  any: () => zod().unknown(),
};
export const FIELD_TYPES = Object.keys(TYPES) as FieldSpec['type'][];

/** What a parsed plan says of its input, as a schema. */
export const inputSchemaOf = (fields: NonNullable<PlanSpec['input']>): z.ZodType =>
  zod().strictObject(
    Object.fromEntries(
      Object.entries(fields).map(([name, { type, required }]) => {
        const schema = TYPES[type]();
        return [name, required ? schema : schema.optional()];
      }),
    ),
  );

/** As the schema gives it. @throws ValidationError: also where the schema has to wait, which a plan cannot, or throws */
export function checkedInput(name: string, schema: z.ZodType, input: unknown): unknown {
  const result = asked(name, schema, input);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'input'}: ${message}`);
  throw new ValidationError(`The input of ${name} is not what its schema asks for: ${issues.join('; ')}.`, {
    definition: name,
    issues,
  });
}

function asked(name: string, schema: z.ZodType, input: unknown): z.ZodSafeParseResult<unknown> {
  let answer: ReturnType<typeof ask>;
  try {
    answer = ask(schema, input);
  } catch (error) {
    throw new ValidationError(
      `The input schema of ${name} throws, so that nobody knows whether it takes this input: ${text(error)}.`,
      { definition: name },
      error,
    );
  }
  if (!(answer instanceof Promise)) return answer;
  answer.catch(() => {});
  throw new ValidationError(
    `The input schema of ${name} has to wait for something, which a plan cannot: its input is checked at once. Leave asynchronous refinements and transforms to the input schema of a tool in its first step.`,
    { definition: name },
  );
}
