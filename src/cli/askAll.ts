import { asked, seeThrough, type Ask, type Told } from './ask.ts';
import { EXIT, exitOfError, gravest, type ExitCode } from './exit.ts';
import { errorData, shortened } from './json.ts';
import type { Session } from './open.ts';
import { exitOfOutcome, outcomeData } from './outcome.ts';

/** Asks several runs the same, and goes on to the next after one that refuses. `well`: what is no failure for whoever asks this. */
export async function askAll(
  session: Session,
  ids: readonly string[],
  what: Ask,
  well: readonly ExitCode[] = [],
): Promise<ExitCode> {
  const { terminal } = session;
  const told: Told[] = [];
  const failures: { run: string; error: unknown }[] = [];
  for (const id of ids)
    try {
      told.push(await asked(session, id, what));
    } catch (error) {
      failures.push({ run: id, error });
      terminal.error(error);
    }
  const outcomes = await seeThrough(session, told);
  terminal.result({
    runs: told.map(({ done }) => {
      const outcome = outcomes.find(({ summary }) => summary.run === done.run);
      return { ...done, outcome: outcome === undefined ? null : outcomeData(outcome) };
    }),
    errors: failures.map(({ run, error }) => ({ run: shortened(run), error: errorData(error) })),
  });
  const codes = outcomes.map(exitOfOutcome).map((code) => (well.includes(code) ? EXIT.completed : code));
  return gravest([...failures.map(({ error }) => exitOfError(error)), ...codes]);
}
