import { basename, extname } from 'node:path';
import type { AnyDefinition } from '../define/definition.ts';
import { plan } from '../define/plan.ts';
import { ValidationError } from '../protocol/errors.ts';
import { definitionSchema, importFile, type Config } from './config.ts';
import { readText } from './json.ts';

const CODE = /^(.+\.[cm]?[jt]s)(?:#([^#]*))?$/;

/** `plan.txt`, a plan in words, or `file.ts#export`, a definition in code. @throws PlanError, ValidationError */
export async function readDefinition(source: string, config: Config): Promise<AnyDefinition> {
  const [, file, name] = CODE.exec(source) ?? [];
  return file === undefined ? parsePlan(source, config) : importDefinition(file, name ?? 'default');
}

async function parsePlan(file: string, { tools, module }: Config): Promise<AnyDefinition> {
  const text = await readText(file, 'the plan');
  const name =
    basename(file, extname(file))
      .replaceAll(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 128) || 'plan';
  return plan.parse(text, { tools, file, name, ...(module && { module }) });
}

async function importDefinition(file: string, name: string): Promise<AnyDefinition> {
  const exported = await importFile(file, 'the definition');
  if (!Object.hasOwn(exported, name))
    throw new ValidationError(
      `${file} exports no ${name}; it exports ${Object.keys(exported).join(', ') || 'nothing'}. Name one: ${file}#name`,
      { file, export: name, exports: Object.keys(exported) },
    );
  const checked = definitionSchema.safeParse(exported[name]);
  if (checked.success) return checked.data;
  throw new ValidationError(`${file}#${name} ${checked.error.issues[0]?.message ?? 'is no definition'}.`, {
    file,
    export: name,
  });
}
