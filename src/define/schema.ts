import type { z } from 'zod';
import { zod } from './zod.ts';

type Asked = z.ZodSafeParseResult<unknown>;

/**
 * What a schema says of a value, asked once: a promise only where it has to wait, which may reject. `safeParse` begins what is asynchronous in a
 * schema and drops it: where that rejects, nobody hears of it but the process. Throws what a check of it throws.
 */
export function ask(schema: z.core.$ZodType, value: unknown): Asked | Promise<Asked> {
  const made = schema._zod.run({ value, issues: [] }, { async: true });
  return made instanceof Promise ? made.then(said) : said(made);
}

/** As `ask`, where nobody can wait: undefined for a schema that has to, or whose check throws. */
export function askNow(schema: z.core.$ZodType, value: unknown): Asked | undefined {
  try {
    const answer = ask(schema, value);
    if (!(answer instanceof Promise)) return answer;
    answer.catch(() => {});
  } catch {
    // Whoever asks in earnest hears of it.
  }
  return undefined;
}

/**
 * Whether a schema could have given this, as far as that can be told: of one that has to wait nobody waits for the answer, and one that makes
 * something else of what it takes may refuse its own work.
 */
export const accepts = (schema: z.core.$ZodType | undefined, output: unknown): boolean =>
  schema === undefined || makes(schema) || askNow(schema, output)?.success !== false;

/** Any codec is a pipe. What is custom may ask for an instance of a class, which data that has travelled is no more. */
const MAKERS: ReadonlySet<string> = new Set(['transform', 'pipe', 'catch', 'custom', 'success']);

function makes(schema: z.core.$ZodType): boolean {
  let found = false;
  try {
    // The one walk through the parts of a schema that zod offers.
    zod().toJSONSchema(schema, {
      unrepresentable: 'any',
      override: ({ zodSchema }) => {
        const { def } = zodSchema._zod;
        found ||= MAKERS.has(def.type);
        // A string that is trimmed, for one.
        found ||= def.checks?.some((check) => check._zod.def.check === 'overwrite') === true;
        // It is given as it is, though the schema would refuse it.
        found ||= def.type === 'default' && !accepts(def.innerType, def.defaultValue);
      },
    });
  } catch {
    return true;
  }
  return found;
}

/** Issues get their words from a schema that raises them. */
function said({ value, issues }: z.core.ParsePayload): Asked {
  if (issues.length === 0) return { success: true, data: value };
  return zod()
    .unknown()
    .check((all) => void all.issues.push(...issues))
    .safeParse(value);
}
