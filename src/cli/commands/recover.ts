import { drive } from '../drive.ts';
import { driving } from '../driving.ts';
import { EXIT, exitOfError, gravest, type ExitCode } from '../exit.ts';
import { errorData } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { exitOfOutcome, outcomeData, outcomeLines } from '../outcome.ts';
import { Progress } from '../progress.ts';

export function recover(id: string | undefined, options: CommonOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const letGo = driving.begin();
    if (id !== undefined) driving.runs.add(id);
    const { recovered, left } = await troupe.recover(id);
    for (const { run, error } of left) {
      terminal.note(`left ${run} as it is`);
      terminal.error(error);
    }
    // One that was asked for and has ended has an end to tell.
    const runs = id === undefined || left.length > 0 ? recovered : [id];
    for (const run of runs) driving.runs.add(run);
    const outcomes = await Promise.all(
      runs.map(async (run) => {
        const handle = await troupe.attach(run);
        return drive(
          handle,
          new Progress(handle, terminal, { among: runs.length, from: (await handle.summary()).entries }),
          letGo,
        );
      }),
    );
    for (const outcome of outcomes) {
      const [first = '', ...rest] = outcomeLines(outcome, terminal);
      for (const line of [`${outcome.summary.run} ${first}`, ...rest]) terminal.say(line);
    }
    if (runs.length === 0 && left.length === 0) terminal.say('nothing to recover');
    terminal.result({
      runs: outcomes.map(outcomeData),
      left: left.map(({ run, error }) => ({ run, error: errorData(error) })),
    });
    const unlike = left.map(({ error }) => (id === undefined ? EXIT.failed : exitOfError(error)));
    return gravest([...unlike, ...outcomes.map(exitOfOutcome)]);
  });
}
