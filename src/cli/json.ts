import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { TroupeError, ValidationError } from '../protocol/errors.ts';

/** One line of JSON. What JSON has no word for: a bigint becomes its digits, bytes become base64. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, function (this: Record<string, unknown>, key: string, item: unknown) {
    const own = this[key];
    if (own instanceof Uint8Array) return Buffer.from(own).toString('base64');
    if (own instanceof Error) return errorData(own);
    return typeof item === 'bigint' ? String(item) : item;
  }) ?? 'null';

export interface ErrorData {
  code: string;
  message: string;
  context?: unknown;
}

/** What `--json` says of an error, or of whatever else was thrown. */
export function errorData(error: unknown): ErrorData {
  if (error instanceof TroupeError) return { code: error.code, message: error.message, context: error.context };
  try {
    const { code, message } = Object(error) as { code?: unknown; message?: unknown };
    return {
      code: typeof code === 'string' ? code : 'UNEXPECTED',
      message: typeof message === 'string' ? message : wordsOf(error),
    };
  } catch {
    return { code: 'UNEXPECTED', message: 'something was thrown that cannot be read' };
  }
}

const wordsOf = (thrown: unknown): string => (typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 1 }));

const LONG = 80;

/** Something a user gave, short enough to be told back. */
export const shortened = (text: string): string =>
  text.length > LONG ? `${text.slice(0, LONG)}… (${text.length} characters)` : text;

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
