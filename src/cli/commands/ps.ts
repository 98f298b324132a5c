import { systemClock } from '../../clock.ts';
import type { RunStatus } from '../../summary.ts';
import type { RunInfo } from '../../options.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { count, duration, table } from '../render.ts';

export interface PsOptions extends CommonOptions {
  status?: RunStatus;
}

export function ps(options: PsOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const { status } = options;
    const runs = await troupe.runs(status === undefined ? {} : { status });
    const now = systemClock().now();
    if (terminal.json) terminal.result({ runs: runs.map((info) => ({ ...info, durationMs: lasted(info, now) })) });
    else {
      const rows = runs.map((info) => [
        info.run,
        info.definition,
        info.status,
        ownedOf(info),
        duration(now - info.createdAt),
        duration(lasted(info, now)),
      ]);
      for (const line of table([['RUN', 'DEFINITION', 'STATUS', 'OWNED', 'AGE', 'DURATION'], ...rows]))
        terminal.say(line);
    }
    const orphans = runs.filter((info) => ownedOf(info) === 'no').length;
    if (orphans > 0) terminal.note(`${count(orphans, 'run')} nobody owns; to go on: troupe recover`);
    return EXIT.completed;
  });
}

const lasted = ({ createdAt, endedAt }: RunInfo, now: number): number => (endedAt ?? now) - createdAt;

const ownedOf = ({ endedAt, owned }: RunInfo): string => {
  if (endedAt !== undefined) return '-';
  return owned ? 'yes' : 'no';
};
