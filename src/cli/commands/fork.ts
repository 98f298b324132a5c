import type { RunHandle } from '../../run.ts';
import { budgetOf, type BudgetFlags } from '../budget.ts';
import { drive } from '../drive.ts';
import { driving } from '../driving.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { killAtInterrupt } from '../interrupt.ts';
import { open, type CommonOptions } from '../open.ts';
import { exitOfOutcome, outcomeData, outcomeLines } from '../outcome.ts';
import { placeOf } from '../place.ts';
import { Progress } from '../progress.ts';

export interface ForkFlags extends CommonOptions, BudgetFlags {
  at?: string;
  id?: string;
  detach?: boolean;
}

export function fork(id: string, options: ForkFlags): Promise<ExitCode> {
  return open(options, async (session) => {
    const { troupe, terminal } = session;
    const budget = budgetOf(options);
    const { at, id: wanted, detach } = options;
    driving.active = true;
    driving.begins = true;
    if (wanted !== undefined) driving.runs.add(wanted);
    const run: RunHandle = await troupe.fork(id, {
      ...(at !== undefined && { at: placeOf(at) }),
      ...(wanted !== undefined && { id: wanted }),
      ...(budget !== undefined && { budget }),
    });
    driving.runs.add(run.id);
    terminal.say(`run ${run.id}, a fork of ${id}`);
    if (detach === true) {
      terminal.say(`let go of; a service goes on with it, or: troupe recover ${run.id}`);
      terminal.result({ ...(await run.summary()), forkOf: id });
      return EXIT.completed;
    }
    const { entries: from } = await run.summary();
    const letGo = killAtInterrupt(run, session);
    const outcome = await drive(run, new Progress(run, terminal, { from }), letGo);
    for (const line of outcomeLines(outcome, terminal)) terminal.say(line);
    terminal.result({ ...outcomeData(outcome), forkOf: id });
    return exitOfOutcome(outcome);
  });
}
