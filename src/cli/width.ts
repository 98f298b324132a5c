import { ValidationError } from '../protocol/errors.ts';
import type { Width } from '../protocol/receipt.ts';

/** What a kill reaches besides the runs that are named, as on a command line. */
export interface WidthFlags {
  tenant?: string;
  definition?: string;
  all?: boolean;
}

/** Undefined where none is given. @throws ValidationError for more than one */
export function widthOf({ tenant, definition, all }: WidthFlags): Width | undefined {
  const widths: Width[] = [];
  if (tenant !== undefined) widths.push({ tenant });
  if (definition !== undefined) widths.push({ definition });
  if (all === true) widths.push({ all });
  if (widths.length <= 1) return widths[0];
  throw new ValidationError('Give one of --tenant, --definition and --all, not several.', { given: widths.length });
}

export function widthText(width: Width): string {
  if ('tenant' in width) return `tenant ${width.tenant}`;
  return 'definition' in width ? `definition ${width.definition}` : 'everything';
}

export function widthOption(width: Width): string {
  if ('tenant' in width) return `--tenant ${width.tenant}`;
  return 'definition' in width ? `--definition ${width.definition}` : '--all';
}
