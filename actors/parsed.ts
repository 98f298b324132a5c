import type { z } from 'zod';
import { ask } from '../src/define/schema.ts';
import { ValidationError } from '../src/protocol/errors.ts';

/** What a schema makes of a value: it may have defaults, transforms and refinements that are not pure, so each time something else. @throws ValidationError */
export async function parsed(schema: z.ZodType, value: unknown, what: string, tool: string): Promise<unknown> {
  return taken(await schema.safeParseAsync(value), what, tool);
}

/** As `parsed`, at once where the schema need not wait. It is asked once. */
export function parsedOnce(
  schema: z.ZodType,
  value: unknown,
  what: string,
  tool: string,
): { made: unknown } | Promise<{ made: unknown }> {
  const answer = ask(schema, value);
  if (answer instanceof Promise) return answer.then((result) => ({ made: taken(result, what, tool) }));
  return { made: taken(answer, what, tool) };
}

function taken(result: z.ZodSafeParseResult<unknown>, what: string, tool: string): unknown {
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'value'}: ${message}`);
  throw new ValidationError(`Invalid ${what}: ${issues.join('; ')}`, { tool, issues });
}
