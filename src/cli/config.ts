import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import type { AnyDefinition } from '../define/definition.ts';
import type { BackendFactory } from '../backend.ts';
import { BACKEND, DEFINITION, MODULE, TOOL, type Expected } from '../define/expected.ts';
import { ValidationError } from '../protocol/errors.ts';
import type { AnyTool, Module } from '../protocol/spec.ts';
import { orNever } from './idle.ts';
import { errorData } from './json.ts';

/** What `troupe.config.ts` exports by default. */
export interface Config {
  backend: BackendFactory;
  definitions: readonly AnyDefinition[];
  tools: readonly (AnyTool | Module)[];
  /** On whose behalf plans in words are run. */
  module: Module | undefined;
}

const NAMES = ['troupe.config.ts', 'troupe.config.js', 'troupe.config.mjs'];
const EXAMPLE = "export default { backend: embedded({ dir: '.troupe' }), definitions: [], tools: [] }";

const expected = <T>({ is, what }: Expected): z.ZodType<T> => z.custom<T>(is, `must be ${what}`);

export const definitionSchema = expected<AnyDefinition>(DEFINITION);

const schema = z.strictObject({
  backend: expected<BackendFactory>(BACKEND),
  definitions: z.array(definitionSchema).default([]),
  tools: z.array(expected<AnyTool | Module>(TOOL)).default([]),
  module: expected<Module>(MODULE).optional(),
});

/** The named file, or the one in the working folder. */
export const findConfig = (named: string | undefined): string | undefined =>
  named ?? NAMES.find((name) => existsSync(name));

/** @throws ValidationError */
export async function loadConfig(named: string | undefined): Promise<Config> {
  const file = findConfig(named);
  if (file === undefined)
    throw new ValidationError(
      `There is no ${NAMES.join(', ')} in ${process.cwd()}. Write one (${EXAMPLE}), or name it with --config.`,
      { folder: process.cwd() },
    );
  const exported = (await importFile(file, 'the config'))['default'];
  const checked = schema.safeParse(exported);
  if (!checked.success) {
    const issues = checked.error.issues.map(
      ({ path, message }) => `${path.map(String).join('.') || 'default export'}: ${message}`,
    );
    throw new ValidationError(`${file} is not a config: ${issues.join('; ')}. As in: ${EXAMPLE}`, { file, issues });
  }
  const { backend, definitions, tools, module } = checked.data;
  // What a plan was parsed with must be there when it is recovered.
  const all = module === undefined || tools.includes(module) ? tools : [...tools, module];
  return { backend, definitions, tools: all, module };
}

/** A file of the user's, as a module. @throws ValidationError */
export async function importFile(file: string, what: string): Promise<Readonly<Record<string, unknown>>> {
  const path = resolve(file);
  if (!existsSync(path)) throw new ValidationError(`Cannot read ${what}: there is no file ${path}.`, { file: path });
  try {
    return await orNever(import(pathToFileURL(path).href) as Promise<Record<string, unknown>>);
  } catch (error) {
    const { code, message } = errorData(error);
    const hint = code === 'ERR_UNKNOWN_FILE_EXTENSION' ? unread(path) : message;
    throw new ValidationError(`Cannot load ${what}, ${file}: ${hint}`, { file: path }, error);
  }
}

const unread = (path: string): string =>
  /\.[cm]?tsx?$/.test(path)
    ? `Node ${process.versions.node} does not read TypeScript; use Node 22.18 or newer, or JavaScript`
    : 'its name does not end in .ts, .js, .mts, .mjs, .cts or .cjs: it is no module';
