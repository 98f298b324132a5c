import type { z } from 'zod';
import { zod } from './zod.ts';

type Asked = z.ZodSafeParseResult<unknown>;

/**
 * What a schema says of a value, asked once: a promise only where it has to wait, which may reject. `safeParse` begins what is asynchronous in a
 * schema and drops it: where that rejects, nobody hears of it but the process. Throws what a check of it throws.
 */
export function ask(schema: z.ZodType, value: unknown): Asked | Promise<Asked> {
  const made = schema._zod.run({ value, issues: [] }, { async: true });
  return made instanceof Promise ? made.then(said) : said(made);
}

/** As `ask`, where nobody can wait: undefined for a schema that has to, or whose check throws. */
export function askNow(schema: z.ZodType, value: unknown): Asked | undefined {
  try {
    const answer = ask(schema, value);
    if (!(answer instanceof Promise)) return answer;
    answer.catch(() => {});
  } catch {
    // Whoever asks in earnest hears of it.
  }
  return undefined;
}

/** For all that can be told at once: of a schema that has to wait nobody waits for the answer. */
export const accepts = (schema: z.ZodType | undefined, value: unknown): boolean =>
  schema === undefined || askNow(schema, value)?.success !== false;

/** Issues get their words from a schema that raises them. */
function said({ value, issues }: z.core.ParsePayload): Asked {
  if (issues.length === 0) return { success: true, data: value };
  return zod()
    .unknown()
    .check((all) => void all.issues.push(...issues))
    .safeParse(value);
}
