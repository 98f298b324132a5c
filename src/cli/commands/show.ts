import type { Entry } from '../../protocol/entry.ts';
import { TroupeError } from '../../protocol/errors.ts';
import type { RunHandle } from '../../run.ts';
import type { Replay } from '../../replay.ts';
import { traced, why } from '../../trace.ts';
import type { Troupe } from '../../troupe.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { errorData } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { Facts } from '../facts.ts';
import {
  approvalLines,
  because,
  causeLines,
  doubtLines,
  eventRow,
  summaryLines,
  table,
  totalsLine,
  unknownLines,
} from '../render.ts';
import { spentText } from '../spent.ts';
import { flat } from '../terminal.ts';

export interface ShowOptions extends CommonOptions {
  why?: number;
}

export function show(id: string, options: ShowOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const run = await troupe.attach(id);
    const summary = await run.summary();
    const entries = await recorded(run, summary.entries);
    if (options.why !== undefined) {
      const chain = why(entries, options.why);
      for (const line of causeLines(chain)) terminal.say(line);
      terminal.result(chain);
      return EXIT.completed;
    }
    const folded = await fold(troupe, id);
    const unknown = folded instanceof TroupeError;
    const { inDoubt, actors } = unknown ? { inDoubt: null, actors: null } : folded;
    const approvals = unknown ? null : await run.approvals();
    const facts = new Facts();
    for (const entry of entries) facts.note(entry);
    const { spent, limits, children, checkpoints, paused = null } = facts;
    // Of a run that goes on the calls in doubt are told, which somebody may decide about.
    const outcomesUnknown = summary.endedAt === undefined ? [] : facts.outcomesUnknown;
    if (terminal.json)
      terminal.result({
        summary,
        paused,
        spent,
        limits,
        children,
        checkpoints,
        inDoubt,
        outcomesUnknown,
        approvals,
        actors,
        entries,
      });
    else {
      terminal.say(`${terminal.paint('bold', id)}  ${summary.definition}`);
      for (const line of summaryLines(summary, terminal)) terminal.say(line);
      terminal.say(totalsLine(summary));
      for (const line of factLines(facts)) terminal.say(line);
      terminal.say('');
      const rows = Array.from(traced(entries), eventRow);
      for (const line of table([['SEQ', 'TIME', 'TYPE', 'TARGET', 'EVENT', 'TOOK', 'CAUSE'], ...rows]))
        terminal.say(line);
      for (const line of approvalLines(id, approvals ?? [], terminal)) terminal.say(line);
      for (const line of unknownLines(outcomesUnknown, terminal)) terminal.say(line);
      for (const line of doubtLines(id, inDoubt ?? [], terminal)) terminal.say(line);
    }
    if (unknown) terminal.note(`troupe: which calls are in doubt cannot be told: ${errorData(folded).message}`);
    return EXIT.completed;
  });
}

function factLines({ spent, limits, paused, children, checkpoints }: Facts): string[] {
  const lines = [];
  const spends = spentText(limits, spent);
  if (spends !== '') lines.push(`spent: ${spends}`);
  if (paused !== undefined)
    lines.push(flat(`paused${paused.by === null ? '' : ` by ${paused.by}`}${because(paused.reason, 'paused')}`));
  for (const { run, definition } of children) lines.push(`began run ${run} (${definition})`);
  for (const { label, at } of checkpoints) lines.push(`checkpoint ${label} (entry ${at + 1}): all up to entry ${at}`);
  return lines;
}

/** A run that goes on would never stop telling. */
async function recorded(run: RunHandle, count: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of run.entries()) {
    entries.push(entry);
    if (entry.seq >= count) break;
  }
  return entries;
}

/** Without its definition a run can be read, but not folded. */
async function fold(troupe: Troupe, id: string): Promise<Replay | TroupeError> {
  try {
    return await troupe.replay(id);
  } catch (error) {
    if (error instanceof TroupeError) return error;
    throw error;
  }
}
