import { readFile } from 'node:fs/promises';
import { ValidationError } from '../protocol/errors.ts';

/** One line of JSON. What JSON has no word for: a bigint becomes its digits, bytes become base64. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, function (this: Record<string, unknown>, key: string, item: unknown) {
    const own = this[key];
    if (own instanceof Uint8Array) return Buffer.from(own).toString('base64');
    if (own instanceof Error) return errorData(own);
    return typeof item === 'bigint' ? String(item) : item;
  }) ?? 'null';

/** What `--json` says of an error. */
export function errorData(error: unknown): { code: string; message: string; context?: unknown } {
  const { code, message, context } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    message?: unknown;
    context?: unknown;
  };
  return {
    code: typeof code === 'string' ? code : 'UNEXPECTED',
    message: typeof message === 'string' ? message : String(error),
    ...(context === undefined ? {} : { context }),
  };
}

/** @throws ValidationError naming the option */
function parseJson(text: string, option: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new ValidationError(`${option} is not JSON: ${(error as Error).message}`, { option }, error);
  }
}

/** JSON itself, or with `@` the file that holds it. @throws ValidationError */
export async function readInput(given: string, option: string): Promise<unknown> {
  if (!given.startsWith('@')) return parseJson(given, option);
  const file = given.slice(1);
  return parseJson(await readText(file, `the file of ${option}`), `${option} ${file}`);
}

/** @throws ValidationError */
export async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ValidationError(`Cannot read ${what}, ${file}: ${(error as Error).message}`, { file }, error);
  }
}
