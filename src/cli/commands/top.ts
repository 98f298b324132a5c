import { systemClock } from '../../clock.ts';
import type { Troupe } from '../../troupe.ts';
import { driving } from '../driving.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { family, indented } from '../family.ts';
import { now } from '../now.ts';
import { open, type CommonOptions } from '../open.ts';
import { count, duration, table } from '../render.ts';
import { spentText } from '../spent.ts';
import { standings, type Standing } from '../standing.ts';
import { waitsText } from '../waits.ts';

export interface TopOptions extends CommonOptions {
  tenant?: string;
  once?: boolean;
}

const EVERY_MS = 1_000;

/** Unfinished runs: once, or on a terminal again and again until it is left. */
export function top(options: TopOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const first = await look(troupe, options);
    if (options.once === true || terminal.json || !terminal.redraws) {
      for (const line of linesOf(first)) terminal.say(line);
      terminal.result(dataOf(first));
      return EXIT.completed;
    }
    const left = driving.left();
    for (let snapshot = first; ; snapshot = await look(troupe, options)) {
      // The last line is the terminal's own.
      terminal.draw(linesOf(snapshot).slice(0, terminal.rows - 2));
      if ((await Promise.race([left, second()])) !== undefined) break;
    }
    terminal.keep();
    return EXIT.left;
  });
}

const second = (): Promise<void> =>
  new Promise((resolve) => {
    systemClock().setTimeout(resolve, EVERY_MS);
  });

interface Snapshot {
  at: number;
  runs: Standing[];
}

async function look(troupe: Troupe, { tenant }: TopOptions): Promise<Snapshot> {
  const runs = await troupe.runs({ unfinished: true, ...(tenant !== undefined && { tenant }) });
  return { at: now(), runs: [...(await standings(troupe, runs)).values()] };
}

function linesOf({ at, runs }: Snapshot): string[] {
  const byRun = new Map(runs.map((standing) => [standing.info.run as string, standing]));
  const rows = family(runs.map(({ info }) => info)).map(({ info, depth }) => {
    const { run, definition, status, owned, createdAt, entries } = info;
    const standing = byRun.get(run);
    const { facts, waits } = standing ?? {};
    return [
      indented(run, depth),
      definition,
      owned ? status : `${status}, not owned`,
      duration(at - createdAt),
      String(entries),
      String(facts?.spent.steps ?? 0),
      (facts && spentText(facts.limits, facts.spent)) || '-',
      waitsText(waits ?? null, definition, at),
    ];
  });
  const heads = ['RUN', 'DEFINITION', 'STATUS', 'AGE', 'ENTRIES', 'STEPS', 'SPENT', 'WAITS FOR'];
  return [`${new Date(at).toISOString()}  ${count(runs.length, 'unfinished run')}`, ...table([heads, ...rows])];
}

const dataOf = ({ at, runs }: Snapshot): unknown => ({
  at,
  runs: runs.map(({ info, facts, waits }) => ({
    ...info,
    ageMs: at - info.createdAt,
    spent: facts.spent,
    limits: facts.limits,
    waitsFor: waits,
  })),
});
