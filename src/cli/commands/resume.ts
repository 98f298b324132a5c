import { askAll } from '../askAll.ts';
import { budgetOf, type BudgetFlags } from '../budget.ts';
import type { ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';

export interface ResumeOptions extends CommonOptions, BudgetFlags {}

export function resume(ids: readonly string[], options: ResumeOptions): Promise<ExitCode> {
  return open(options, (session) => {
    const budget = budgetOf(options);
    const ask = { ...(budget !== undefined && { budget }) };
    return askAll(session, ids, { command: 'resume', says: 'resumed', ask: (run) => run.resume(ask) });
  });
}
