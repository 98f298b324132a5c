import { writeFile } from 'node:fs/promises';
import type { AnyStateMachine } from 'xstate';
import { isMachine } from '../../../actors/durable.ts';
import { toolActor } from '../../../actors/tool.ts';
import type { AnyDefinition } from '../../define/definition.ts';
import { ValidationError } from '../../protocol/errors.ts';
import type { PlanSpec } from '../../protocol/spec.ts';
import { loadConfig } from '../config.ts';
import { checked, isCode, namedOrPlan, readExport } from '../definition.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { flowchart, stateDiagram } from '../draw/mermaid.ts';
import type { CommonOptions } from '../open.ts';
import { machineData, planData } from '../draw/stately.ts';
import { answer, reserve } from '../stdout.ts';
import { Terminal } from '../terminal.ts';

export interface DrawOptions extends CommonOptions {
  format?: 'mermaid' | 'stately';
  output?: string;
}

type Drawable = { kind: 'machine'; machine: AnyStateMachine } | { kind: 'plan'; spec: PlanSpec };

/** Nothing is opened, and nothing runs. */
export async function draw(source: string, options: DrawOptions): Promise<ExitCode> {
  const { format = 'mermaid', output } = options;
  const terminal = new Terminal(options);
  // What the user's own files print is no part of the drawing.
  reserve();
  const drawable = await drawableOf(source, options.config);
  const drawing = format === 'mermaid' ? mermaid(drawable) : stately(drawable);
  const text = typeof drawing === 'string' ? drawing : JSON.stringify(drawing, null, 2);
  if (output !== undefined) {
    await write(output, `${text}\n`);
    terminal.note(`drew ${output}`);
  }
  if (terminal.json) terminal.result({ format, ...(output === undefined ? { drawing } : { file: output }) });
  else if (output === undefined) answer(text);
  return EXIT.completed;
}

const mermaid = (drawable: Drawable): string =>
  (drawable.kind === 'plan' ? flowchart(drawable.spec) : stateDiagram(drawable.machine)).join('\n');

const stately = (drawable: Drawable): unknown =>
  drawable.kind === 'plan' ? planData(drawable.spec) : machineData(drawable.machine);

/** @throws NotFoundError, ValidationError, PlanError */
async function drawableOf(source: string, configFile: string | undefined): Promise<Drawable> {
  if (isCode(source)) {
    const value = await readExport(source);
    const isOne = typeof value === 'object' && value !== null && isMachine(value as AnyStateMachine);
    return isOne ? { kind: 'machine', machine: value as AnyStateMachine } : drawableIn(checked(value, source));
  }
  return drawableIn(await namedOrPlan(source, await loadConfig(configFile)));
}

function drawableIn(definition: AnyDefinition): Drawable {
  switch (definition.kind) {
    case 'durable':
      return { kind: 'machine', machine: definition.machine };
    case 'tool':
      return { kind: 'machine', machine: toolActor(definition) };
    case 'plan':
      return { kind: 'plan', spec: definition.spec };
  }
}

/** @throws ValidationError */
async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    throw new ValidationError(`Cannot write the drawing to ${file}: ${(error as Error).message}`, { file }, error);
  }
}
