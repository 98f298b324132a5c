import { basename, extname } from 'node:path';
import type { AnyDefinition } from '../define/definition.ts';
import { plan } from '../define/plan.ts';
import { ValidationError } from '../protocol/errors.ts';
import { definitionSchema, importFile, type Config } from './config.ts';
import { readText } from './json.ts';

const CODE = /^(.+\.[cm]?[jt]s)(?:#([^#]*))?$/;

/** `plan.txt`, a plan in words, `plan.yaml` or `plan.json`, or `file.ts#export`, a definition in code. @throws PlanError, ValidationError */
export async function readDefinition(source: string, config: Config): Promise<AnyDefinition> {
  return isCode(source) ? checked(await readExport(source), source) : parsePlan(source, config);
}

export const isCode = (source: string): boolean => CODE.test(source);

export async function parsePlan(file: string, { definitions, tools, module }: Config): Promise<AnyDefinition> {
  const text = await readText(file, 'the plan');
  const name =
    basename(file, extname(file))
      .replaceAll(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 128) || 'plan';
  const plans = definitions.filter((definition) => definition.kind === 'plan');
  return plan.parse(text, { tools, plans, file, name, ...(module && { module }) });
}

/** What `file.ts#export` is; without a name the default export. @throws ValidationError */
export async function readExport(source: string): Promise<unknown> {
  const [, file = source, name = 'default'] = CODE.exec(source) ?? [];
  const exported = await importFile(file, 'the definition');
  if (Object.hasOwn(exported, name)) return exported[name];
  throw new ValidationError(
    `${file} exports no ${name}; it exports ${Object.keys(exported).join(', ') || 'nothing'}. Name one: ${file}#name`,
    { file, export: name, exports: Object.keys(exported) },
  );
}

/** @throws ValidationError */
export function checked(value: unknown, source: string): AnyDefinition {
  const definition = definitionSchema.safeParse(value);
  if (definition.success) return definition.data;
  throw new ValidationError(`${source} ${definition.error.issues[0]?.message ?? 'is no definition'}.`, {
    definition: source,
  });
}
