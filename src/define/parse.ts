import type { StepSpec } from '../protocol/spec.ts';
import type { Toolbox } from './toolbox.ts';

export function parseSteps(_text: string, _options: { file: string | undefined; tools: Toolbox; grants: readonly string[] }): StepSpec[] {
  return [];
}
