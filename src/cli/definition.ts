import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { closest } from '../define/closest.ts';
import type { AnyDefinition } from '../define/definition.ts';
import { plan } from '../define/plan.ts';
import { toolbox } from '../define/toolbox.ts';
import { NotFoundError, ValidationError } from '../protocol/errors.ts';
import { definitionSchema, importFile, type Config } from './config.ts';
import { readText, shortened } from './json.ts';

const CODE = /^(.+\.[cm]?[jt]s)(?:#([^#]*))?$/;

/**
 * `plan.txt`, a plan in words, `plan.yaml` or `plan.json`, `file.ts#export`, a definition in code, or what the config calls by this name.
 * @throws PlanError, ValidationError, NotFoundError
 */
export async function readDefinition(source: string, config: Config): Promise<AnyDefinition> {
  return isCode(source) ? checked(await readExport(source), source) : namedOrPlan(source, config);
}

/** A name of the config comes before a file. @throws PlanError, ValidationError, NotFoundError */
export async function namedOrPlan(source: string, config: Config): Promise<AnyDefinition> {
  const tools = toolbox(config.tools);
  const definition = config.definitions.find(({ name }) => name === source) ?? tools.get(source)?.tool;
  if (definition !== undefined) return definition;
  if (existsSync(source)) return parsePlan(source, config);
  const names = [...config.definitions.map(({ name }) => name), ...tools.keys()];
  const near = closest(source, names);
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `the config has ${names.join(', ') || 'none'}.`;
  throw new NotFoundError(`There is no definition, tool or file '${shortened(source)}'; ${hint}`, {
    source: shortened(source),
    closest: near,
  });
}

export const isCode = (source: string): boolean => CODE.test(source);

async function parsePlan(file: string, { definitions, tools, module }: Config): Promise<AnyDefinition> {
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
