import { randomBytes } from 'node:crypto';
import type { AnyDefinition } from '../../define/definition.ts';
import { NotFoundError } from '../../protocol/errors.ts';
import type { RunHandle } from '../../run.ts';
import { budgetOf, type BudgetFlags } from '../budget.ts';
import { readDefinition } from '../definition.ts';
import { drive } from '../drive.ts';
import { driving } from '../driving.ts';
import type { ExitCode } from '../exit.ts';
import { readInput } from '../json.ts';
import { killAtInterrupt } from '../interrupt.ts';
import { open, type CommonOptions, type Session } from '../open.ts';
import { exitOfOutcome, outcomeData, outcomeLines } from '../outcome.ts';
import { Progress } from '../progress.ts';

export interface RunOptions extends CommonOptions, BudgetFlags {
  input?: string;
  id?: string;
  tenant?: string;
}

export function run(source: string, options: RunOptions): Promise<ExitCode> {
  return open(options, async (session) => {
    const { troupe, config, terminal } = session;
    const input = options.input === undefined ? undefined : await readInput(options.input, '--input');
    const definition = await readDefinition(source, config);
    const budget = budgetOf(options);
    const { id = madeUp(), tenant } = options;
    const ignored = options.id === undefined ? [] : await ignoredOf(options.id, options, session);
    driving.active = true;
    driving.begins = true;
    driving.runs.add(id);
    const handle: RunHandle = await troupe.start(definition, input as never, {
      id,
      ...(budget !== undefined && { budget }),
      ...(tenant !== undefined && { tenant }),
    });
    terminal.say(`run ${handle.id}`);
    if (ignored.length > 0)
      terminal.note(
        `troupe: run ${handle.id} exists already and is gone on with as it was begun: ${ignored.join(', ')} said nothing to it; another --id begins another run.`,
      );
    if (!isKept(definition, session))
      terminal.note(
        `${definition.name} is not among the definitions of the config: no other command can go on with this run.`,
      );
    const letGo = killAtInterrupt(handle, session);
    // An id that exists may be nobody's.
    await troupe.recover(handle.id);
    const spec = definition.kind === 'plan' ? definition.spec.steps.map(({ name }) => name) : [];
    const outcome = await drive(handle, new Progress(handle, terminal, { steps: spec }), letGo);
    for (const line of outcomeLines(outcome, terminal)) terminal.say(line);
    terminal.result(outcomeData(outcome));
    return exitOfOutcome(outcome);
  });
}

/** Known before the run is, so that a process cut short can say which it was. One that begins with '-' would be an option. */
const madeUp = (): string => randomBytes(12).toString('base64url').replace(/^-/, '_');

const OF_A_NEW_ONE = { input: '--input', budget: '--budget', steps: '--steps', onExhausted: '--on-exhausted' } as const;

/** What was said of how a run begins that is there already. */
async function ignoredOf(id: string, options: RunOptions, { troupe }: Session): Promise<string[]> {
  const names = Object.keys(OF_A_NEW_ONE) as (keyof typeof OF_A_NEW_ONE)[];
  const said = names.filter((name) => options[name] !== undefined).map((name) => OF_A_NEW_ONE[name]);
  if (said.length === 0) return said;
  try {
    await troupe.attach(id);
    return said;
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
}

const isKept = (definition: AnyDefinition, { config }: Session): boolean =>
  config.definitions.includes(definition) || (definition.kind === 'plan' && definition.parsed);
