import type { Entry } from '../../protocol/entry.ts';
import { TroupeError } from '../../protocol/errors.ts';
import type { RunHandle } from '../../run.ts';
import type { Replay } from '../../options.ts';
import { traced, why } from '../../trace.ts';
import type { Troupe } from '../../troupe.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { errorData } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { causeLines, doubtLines, eventRow, summaryLines, table, totalsLine } from '../render.ts';

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
    const { inDoubt, actors } = folded instanceof TroupeError ? { inDoubt: null, actors: null } : folded;
    if (terminal.json) terminal.result({ summary, inDoubt, actors, entries });
    else {
      terminal.say(`${terminal.paint('bold', id)}  ${summary.definition}`);
      for (const line of summaryLines(summary, terminal)) terminal.say(line);
      terminal.say(totalsLine(summary));
      terminal.say('');
      const rows = Array.from(traced(entries), eventRow);
      for (const line of table([['SEQ', 'TIME', 'TYPE', 'TARGET', 'EVENT', 'TOOK', 'CAUSE'], ...rows]))
        terminal.say(line);
      for (const line of doubtLines(id, inDoubt ?? [], terminal)) terminal.say(line);
    }
    if (folded instanceof TroupeError)
      terminal.note(`troupe: which calls are in doubt cannot be told: ${errorData(folded).message}`);
    return EXIT.completed;
  });
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
