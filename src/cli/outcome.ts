import type { Summary } from '../summary.ts';
import type { Outcome } from './drive.ts';
import { doubtLines, summaryLines } from './render.ts';
import type { Terminal } from './terminal.ts';

/** How a run stands now that its command is over, for people. */
export function outcomeLines({ summary, inDoubt }: Outcome, terminal: Terminal): string[] {
  const lines = summaryLines(summary, terminal);
  if (summary.endedAt !== undefined) return lines;
  if (inDoubt.length > 0) return [...lines, ...doubtLines(summary.run, inDoubt, terminal)];
  return [...lines, `it waits for a message; then: troupe recover ${summary.run}`];
}

export const outcomeData = ({ summary, inDoubt }: Outcome): Summary & Pick<Outcome, 'inDoubt'> => ({
  ...summary,
  inDoubt,
});
