import { ValidationError } from '../protocol/errors.ts';
import type { KillSwitch, Width } from '../protocol/receipt.ts';
import { because, duration } from './render.ts';
import { flat } from './terminal.ts';

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

/** Who has thrown it, when and why. */
export const switchText = (thrown: KillSwitch, now: number): string =>
  flat(
    `killed: ${widthText(thrown)}, ${duration(now - thrown.at)} ago by ${thrown.by}${because(thrown.reason, 'killed')}; nothing of it begins`,
  );

export const liftCommand = (width: Width): string => `troupe lift ${widthOption(width)}`;

function widthOption(width: Width): string {
  if ('tenant' in width) return `--tenant ${width.tenant}`;
  return 'definition' in width ? `--definition ${width.definition}` : '--all';
}
