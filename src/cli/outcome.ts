import type { Summary } from '../summary.ts';
import type { Outcome } from './drive.ts';
import { EXIT, exitOfSummary, type ExitCode } from './exit.ts';
import { resuming } from './spent.ts';
import { approvalLines, doubtLines, summaryLines } from './render.ts';
import type { Terminal } from './terminal.ts';

/** How a run stands now that its command is over, for people. */
export function outcomeLines(
  { summary, inDoubt, approvals, exhausted, interrupted }: Outcome,
  terminal: Terminal,
): string[] {
  const lines = summaryLines(summary, terminal);
  const { run, status } = summary;
  if (summary.endedAt !== undefined) return lines;
  if (interrupted !== undefined) return [...lines, `let go of; to go on: troupe recover ${run}`];
  if (status === 'paused') lines.push(`to go on: ${resuming(run, exhausted)}`);
  lines.push(...approvalLines(run, approvals, terminal), ...doubtLines(run, inDoubt, terminal));
  if (status === 'paused' || inDoubt.length + approvals.length > 0) return lines;
  return [...lines, `it waits for a message: troupe send ${run} <type>`];
}

export const outcomeData = ({ summary, ...rest }: Outcome): Summary & Omit<Outcome, 'summary'> => ({
  ...summary,
  ...rest,
});

export const exitOfOutcome = ({ summary, interrupted }: Outcome): ExitCode =>
  interrupted === undefined || summary.endedAt !== undefined ? exitOfSummary(summary) : EXIT.left;
