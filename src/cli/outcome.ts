import type { Summary } from '../summary.ts';
import type { Outcome } from './drive.ts';
import { EXIT, exitOfSummary, type ExitCode } from './exit.ts';
import { doubtLines, summaryLines } from './render.ts';
import type { Terminal } from './terminal.ts';

/** How a run stands now that its command is over, for people. */
export function outcomeLines({ summary, inDoubt, interrupted }: Outcome, terminal: Terminal): string[] {
  const lines = summaryLines(summary, terminal);
  if (summary.endedAt !== undefined) return lines;
  if (interrupted !== undefined) return [...lines, `let go of; to go on: troupe recover ${summary.run}`];
  if (inDoubt.length > 0) return [...lines, ...doubtLines(summary.run, inDoubt, terminal)];
  return [...lines, `it waits for a message; then: troupe recover ${summary.run}`];
}

export const outcomeData = ({ summary, ...rest }: Outcome): Summary & Omit<Outcome, 'summary'> => ({
  ...summary,
  ...rest,
});

export const exitOfOutcome = ({ summary, interrupted }: Outcome): ExitCode =>
  interrupted === undefined || summary.endedAt !== undefined ? exitOfSummary(summary) : EXIT.left;
