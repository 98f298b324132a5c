import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { doubtLines, summaryLines } from '../render.ts';

export function replay(id: string, options: CommonOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const replayed = await troupe.replay(id);
    const { summary, entries, inDoubt } = replayed;
    terminal.say(`replayed ${entries} entries of ${id}: equal, nothing executed`);
    for (const line of [...summaryLines(summary, terminal), ...doubtLines(id, inDoubt, terminal)]) terminal.say(line);
    terminal.result(replayed);
    return EXIT.completed;
  });
}
