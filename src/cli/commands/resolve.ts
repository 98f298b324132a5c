import { InvalidStateTransitionError, NotFoundError, ValidationError } from '../../protocol/errors.ts';
import type { Decision } from '../../handle.ts';
import type { Troupe } from '../../troupe.ts';
import { drive } from '../drive.ts';
import { driving } from '../driving.ts';
import type { ExitCode } from '../exit.ts';
import { killAtInterrupt } from '../interrupt.ts';
import { readInput, shortened } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { exitOfOutcome, outcomeData, outcomeLines } from '../outcome.ts';
import { Progress } from '../progress.ts';

export interface ResolveOptions extends CommonOptions {
  output?: string;
  error?: string;
  retry?: boolean;
}

export function resolve(id: string, call: string, options: ResolveOptions): Promise<ExitCode> {
  return open(options, async (session) => {
    const { troupe, terminal } = session;
    const decision = await decisionOf(options);
    const run = await troupe.attach(id);
    await mustBeInDoubt(troupe, id, call);
    driving.active = true;
    driving.runs.add(run.id);
    const letGo = killAtInterrupt(run, session);
    const { seq } = await run.resolve(call, decision);
    terminal.say(`resolved ${call} of ${id}`);
    const outcome = await drive(run, new Progress(run, terminal, { from: seq }), letGo);
    for (const line of outcomeLines(outcome, terminal)) terminal.say(line);
    terminal.result(outcomeData(outcome));
    return exitOfOutcome(outcome);
  });
}

async function decisionOf({ output, error, retry }: ResolveOptions): Promise<Decision> {
  const decisions: Decision[] = [];
  if (output !== undefined) decisions.push({ output: await readInput(output, '--output') });
  if (error !== undefined) decisions.push({ error: new Error(error) });
  if (retry === true) decisions.push({ retry: true });
  const [decision] = decisions;
  if (decision !== undefined && decisions.length === 1) return decision;
  throw new ValidationError('Say one of --output JSON, --error MESSAGE and --retry.', { given: decisions.length });
}

/** Before the run is taken over: a call misspelt must not begin anything. */
async function mustBeInDoubt(troupe: Troupe, run: string, call: string): Promise<void> {
  const { inDoubt, summary } = await troupe.replay(run);
  if (summary.endedAt !== undefined)
    throw new InvalidStateTransitionError(`Run ${run} is ${summary.status}: there is nothing left to resolve.`, {
      run,
      state: summary.status,
      event: 'resolve',
      allowed: [],
    });
  const calls = inDoubt.map((known) => known.call);
  if (!calls.includes(call))
    throw new NotFoundError(
      `Run ${run} has no call '${shortened(call)}' in doubt; in doubt: ${calls.join(', ') || 'none'}.`,
      {
        run,
        call: shortened(call),
        inDoubt: calls,
      },
    );
}
