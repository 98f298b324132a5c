import { mustDecide } from '../../deciding.ts';
import { NotFoundError, ValidationError } from '../../protocol/errors.ts';
import type { Approval } from '../../protocol/spec.ts';
import type { RunHandle } from '../../run.ts';
import { userName } from '../../settings.ts';
import { askOne } from '../ask.ts';
import type { ExitCode } from '../exit.ts';
import { shortened } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { approvalLines } from '../render.ts';

export interface DecideOptions extends CommonOptions {
  hash?: string;
  reason?: string;
}

export const approve = (id: string, call: string | undefined, options: DecideOptions): Promise<ExitCode> =>
  decide('approve', id, call, options);

export const deny = (id: string, call: string | undefined, options: DecideOptions): Promise<ExitCode> =>
  decide('deny', id, call, options);

function decide(
  command: 'approve' | 'deny',
  id: string,
  named: string | undefined,
  options: DecideOptions,
): Promise<ExitCode> {
  return open(options, async (session) => {
    const { troupe, terminal } = session;
    const { hash, reason } = options;
    const waiting = await (await troupe.attach(id)).approvals();
    const called = waiting.filter((one) => (named ?? one.call) === one.call);
    const exact = called.filter((one) => (hash ?? one.hash) === one.hash);
    // With the hash of something else it is for the run to refuse it.
    const meant = exact.length > 0 ? exact : called;
    const [approval] = meant;
    // Which one is not ours to guess.
    if (approval === undefined || meant.length > 1) {
      for (const line of approvalLines(id, waiting, terminal)) terminal.say(line);
      throw undecided(id, named, waiting);
    }
    const { call, run: of } = approval;
    const given = { hash: hash ?? approval.hash };
    const ask = (run: RunHandle): Promise<{ seq: number }> =>
      command === 'approve'
        ? run.approve(call, given)
        : run.deny(call, { ...given, ...(reason !== undefined && { reason }) });
    try {
      mustDecide(approval, { hash: given.hash, by: options.by ?? userName() });
    } catch {
      // The run is not taken over for a decision that it refuses.
      await ask(await troupe.attach(id));
    }
    return askOne(session, id, {
      command,
      of,
      says: `${command === 'approve' ? 'approved' : 'denied'} ${call} of`,
      ask,
    });
  });
}

function undecided(run: string, named: string | undefined, waiting: readonly Approval[]): Error {
  const calls = waiting.map(({ call }) => call);
  const about = { run, waiting: waiting.map(({ call, hash, tool }) => ({ call, hash, tool })) };
  if (waiting.length > 1 && (named === undefined || calls.includes(named)))
    return new ValidationError(
      `${waiting.length} calls of run ${run} wait for approval: ${calls.join(', ')}; name one, or its --hash.`,
      about,
    );
  const which = named === undefined ? 'no call' : `no call '${shortened(named)}'`;
  return new NotFoundError(
    `Run ${run} has ${which} that waits for approval; waiting: ${calls.join(', ') || 'none'}.`,
    about,
  );
}
