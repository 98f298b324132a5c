import { InvalidStateTransitionError, NotFoundError, ValidationError } from '../../protocol/errors.ts';
import { callInDoubt } from '../../deciding.ts';
import type { Decision } from '../../handle.ts';
import type { RunHandle } from '../../run.ts';
import type { Troupe } from '../../troupe.ts';
import { settledBelow } from '../below.ts';
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
    const whose = await mustBeInDoubt(troupe, run, call);
    const isBelow = whose !== run.id;
    driving.active = true;
    driving.runs.add(run.id);
    const letGo = killAtInterrupt(run, session);
    // The one that waits for it goes on with it.
    if (isBelow) await troupe.recover(run.id);
    const { entries } = await run.summary();
    const { seq } = await run.resolve(call, decision);
    terminal.say(`resolved ${call} of ${whose}`);
    const progress = new Progress(run, terminal, { from: isBelow ? entries + 1 : seq });
    const outcome = await drive(run, progress, letGo, isBelow ? settledBelow(troupe, whose, run) : undefined);
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

/** Whose call it is, before the run is taken over: a call misspelt must not begin anything. */
async function mustBeInDoubt(troupe: Troupe, run: RunHandle, call: string): Promise<string> {
  const { id } = run;
  const { status, endedAt } = await run.summary();
  if (endedAt !== undefined)
    throw new InvalidStateTransitionError(`Run ${id} is ${status}: there is nothing left to resolve.`, {
      run: id,
      state: status,
      event: 'resolve',
      allowed: [],
    });
  const inDoubt = await run.inDoubt();
  if (inDoubt.some((known) => known.call === call))
    return (await callInDoubt(id, call, { pending: async (of) => (await troupe.attach(of)).pending() })).run;
  const calls = inDoubt.map((known) => (known.run === id ? known.call : `${known.call} of run ${known.run}`));
  throw new NotFoundError(
    `Run ${id} has no call '${shortened(call)}' in doubt; in doubt: ${calls.join(', ') || 'none'}.`,
    { run: id, call: shortened(call), inDoubt: calls },
  );
}
