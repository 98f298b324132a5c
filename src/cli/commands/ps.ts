import { DEFAULT_TENANT } from '../../protocol/ids.ts';
import type { RunStatus } from '../../protocol/lifecycle.ts';
import type { RunInfo } from '../../options.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { family, indented } from '../family.ts';
import { now } from '../now.ts';
import { open, type CommonOptions } from '../open.ts';
import { count, duration, table } from '../render.ts';
import { standings } from '../standing.ts';
import { waitsText, whatToDo } from '../waits.ts';
import { liftCommand, switchText } from '../width.ts';

export interface PsOptions extends CommonOptions {
  status?: RunStatus;
  tenant?: string;
}

export function ps(options: PsOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const { status, tenant } = options;
    const runs = await troupe.runs({
      ...(status !== undefined && { status }),
      ...(tenant !== undefined && { tenant }),
    });
    const looked = await standings(troupe, runs);
    const switches = await troupe.switches();
    const at = now();
    if (terminal.json)
      terminal.result({
        runs: runs.map((info) => ({
          ...info,
          durationMs: lasted(info, at),
          waitsFor: looked.get(info.run)?.waits ?? null,
        })),
        switches,
      });
    else {
      const tenants = runs.some((info) => info.tenant !== DEFAULT_TENANT && info.tenant !== '');
      const rows = family(runs).map(({ info, depth }) => [
        indented(info.run, depth),
        info.definition,
        ...(tenants ? [info.tenant] : []),
        info.status,
        ownedOf(info),
        duration(at - info.createdAt),
        duration(lasted(info, at)),
        waitsText(looked.get(info.run)?.waits ?? null, info.definition, at),
      ]);
      const heads = ['RUN', 'DEFINITION', ...(tenants ? ['TENANT'] : []), 'STATUS', 'OWNED', 'AGE', 'DURATION'];
      for (const line of table([[...heads, 'WAITS FOR'], ...rows])) terminal.say(line);
    }
    const orphans = runs.filter((info) => ownedOf(info) === 'no');
    const needs = new Map(orphans.map(({ run }) => [run, whatToDo(run, looked.get(run)?.waits ?? null)]));
    const left = orphans.filter(({ run }) => needs.get(run) === undefined).length;
    if (left > 0) terminal.note(`${count(left, 'run')} nobody owns; to go on: troupe recover`);
    const asked = new Set([...needs.values()].filter((need) => need !== undefined));
    for (const need of asked) terminal.note(`it is somebody's turn: ${need}`);
    for (const thrown of switches) terminal.note(`${switchText(thrown, at)} until: ${liftCommand(thrown)}`);
    return EXIT.completed;
  });
}

const lasted = ({ createdAt, endedAt }: RunInfo, at: number): number => (endedAt ?? at) - createdAt;

const ownedOf = ({ endedAt, owned }: RunInfo): string => {
  if (endedAt !== undefined) return '-';
  return owned ? 'yes' : 'no';
};
