import { NotAllowedError, ToolNotFoundError, ValidationError } from '../protocol/errors.ts';
import { qualified, type AnyTool, type Module } from '../protocol/spec.ts';
import { closest } from './closest.ts';

/** The tools somebody knows, by qualified id. */
export type Toolbox = ReadonlyMap<string, { tool: AnyTool; module: Module | undefined }>;

/** @throws ValidationError when two tools have one id */
export function toolbox(items: readonly (AnyTool | Module)[]): Toolbox {
  const box = new Map<string, { tool: AnyTool; module: Module | undefined }>();
  const add = (tool: AnyTool, module: Module | undefined): void => {
    const id = qualified(module?.name, tool.name);
    const known = box.get(id);
    if (known?.tool !== tool || known.module !== module) mustBeFree(id, box);
    box.set(id, { tool, module });
  };
  for (const item of items) {
    if (item.kind === 'tool') add(item, undefined);
    else for (const tool of item.tools) add(tool, item);
  }
  return box;
}

/** @throws ValidationError */
export function mustBeFree(id: string, box: Toolbox): void {
  if (box.has(id))
    throw new ValidationError(`Two tools have the id ${id}; rename one, or put it in a module.`, { tool: id });
}

/** What whoever is given `module` may call: its own tools and what it allows. @throws ToolNotFoundError for an allowed id nobody knows */
export function grantsOf(module: Module, box: Toolbox): string[] {
  for (const id of module.allow)
    if (!box.has(id))
      throw new ToolNotFoundError(
        `Module ${module.name} allows ${id}, which is no tool known here; closest: ${closest(id, [...box.keys()]).join(', ') || 'none'}.`,
        { tool: id, closest: closest(id, [...box.keys()]), module: module.name },
      );
  return [...module.tools.map(({ name }) => qualified(module.name, name)), ...module.allow];
}

export function mustBeGranted(id: string, grants: readonly string[], by: string): void {
  if (!grants.includes(id))
    throw new NotAllowedError(
      `${by} may not call ${id}; allowed: ${grants.join(', ') || 'nothing'}. Add it to the module's allowlist.`,
      { tool: id, allowed: grants },
    );
}
