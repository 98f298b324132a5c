import { ValidationError } from '../../protocol/errors.ts';
import type { Duration } from '../../protocol/duration.ts';
import type { Receipt, Width } from '../../protocol/receipt.ts';
import type { Troupe } from '../../troupe.ts';
import { confirmed } from '../confirm.ts';
import { EXIT, exitOfError, gravest, type ExitCode } from '../exit.ts';
import { errorData, shortened } from '../json.ts';
import { open, type CommonOptions, type Session } from '../open.ts';
import { receiptLines } from '../receipt.ts';
import { count } from '../render.ts';
import { liftCommand, widthOf, widthText, type WidthFlags } from '../width.ts';

export interface KillOptions extends CommonOptions, WidthFlags {
  reason?: string;
  /** The API says what it may be. */
  grace?: Duration;
  agent?: string;
  yes?: boolean;
}

export function kill(ids: readonly string[], options: KillOptions): Promise<ExitCode> {
  return open(options, async (session) => {
    const { agent, definition = agent } = options;
    const width = widthOf({ ...options, ...(definition !== undefined && { definition }) });
    if ((width === undefined) === (ids.length === 0))
      throw new ValidationError('Name the runs to kill, or give one of --tenant, --definition and --all.', {
        runs: ids.length,
      });
    if (width === undefined) return killEach(ids, session, options);
    if ('definition' in width && !(await isKnown(width.definition, session)))
      session.terminal.note(
        `troupe: neither the config nor any run has a definition ${shortened(width.definition)}; is it spelled as it is there?`,
      );
    if (options.yes !== true && !(await confirmed(await question(session.troupe, width)))) {
      session.terminal.say('nothing was killed');
      return EXIT.failed;
    }
    return killWide(width, session, options);
  });
}

const isKnown = async (definition: string, { troupe, config }: Session): Promise<boolean> =>
  config.definitions.some(({ name }) => name === definition) ||
  (await troupe.runs()).some((run) => run.definition === definition);

async function question(troupe: Troupe, width: Width): Promise<string> {
  const runs = await troupe.runs({ unfinished: true, ...('tenant' in width && { tenant: width.tenant }) });
  const reached = runs.filter(({ definition }) => !('definition' in width) || definition === width.definition);
  return `Kill ${widthText(width)}: ${count(reached.length, 'run')} now, and nothing of it begins until it is lifted?`;
}

const asOf = ({ grace }: KillOptions): { grace?: Duration } => ({ ...(grace !== undefined && { grace }) });

async function killWide(width: Width, { troupe, terminal }: Session, options: KillOptions): Promise<ExitCode> {
  const receipt = await troupe.kill(width, options.reason, asOf(options));
  for (const line of receiptLines(receipt, terminal)) terminal.say(line);
  terminal.say(`nothing of ${widthText(width)} begins until: ${liftCommand(width)}`);
  terminal.result({ receipts: [receipt], errors: [] });
  return exitOfReceipt(receipt);
}

async function killEach(
  ids: readonly string[],
  { troupe, terminal }: Session,
  options: KillOptions,
): Promise<ExitCode> {
  const receipts: Receipt[] = [];
  const failures: { run: string; error: unknown }[] = [];
  for (const run of ids)
    try {
      const receipt = await troupe.kill(run, options.reason, asOf(options));
      receipts.push(receipt);
      for (const line of receiptLines(receipt, terminal)) terminal.say(line);
    } catch (error) {
      failures.push({ run, error });
      terminal.error(error);
    }
  terminal.result({
    receipts,
    errors: failures.map(({ run, error }) => ({ run: shortened(run), error: errorData(error) })),
  });
  return gravest([...failures.map(({ error }) => exitOfError(error)), ...receipts.map(exitOfReceipt)]);
}

/** Not everything has stopped that was told to. */
const exitOfReceipt = ({ left, unanswered }: Receipt): ExitCode =>
  left.length + unanswered.length > 0 ? EXIT.failed : EXIT.completed;
