import { systemClock } from '../../clock.ts';
import type { RunInfo } from '../../options.ts';
import { TroupeError } from '../../protocol/errors.ts';
import type { Troupe } from '../../troupe.ts';
import { errorData } from '../json.ts';
import { count, duration } from '../render.ts';
import { liftCommand, switchText } from '../width.ts';
import { fail, ok, some, warn, type Check } from './check.ts';

/** Every run is read, and each that has not ended is folded, as recovering it would; nothing is executed. */
export async function* runChecks(troupe: Troupe, reports: string[]): AsyncGenerator<Check> {
  const runs = await troupe.runs();
  const unreadable = runs.filter(({ status }) => status === 'unreadable');
  const unfinished = runs.filter(({ status, endedAt }) => status !== 'unreadable' && endedAt === undefined);
  yield ownedCheck(runs, unfinished);
  for (const thrown of await troupe.switches())
    yield warn('switches', switchText(thrown, systemClock().now()), `to let it begin again: ${liftCommand(thrown)}`);
  for (const { run, error } of unreadable) yield unreadableCheck(run, error);
  reports.length = 0;
  yield* foldChecks(troupe, unfinished);
  if (reports.length > 0) yield warn('journals', some(reports), 'split what lives long into several runs');
  yield clockCheck(runs, systemClock().now());
}

function ownedCheck(runs: readonly RunInfo[], unfinished: readonly RunInfo[]): Check {
  const orphans = unfinished.filter(({ owned }) => !owned).map(({ run }) => run);
  const says = `${count(runs.length, 'run')}, ${unfinished.length} unfinished`;
  if (orphans.length === 0) return ok('runs', says);
  return warn(
    'runs',
    `${says}; nobody alive owns ${some(orphans)}: they stand still`,
    'to go on with them: troupe recover',
  );
}

const unreadableCheck = (run: string, error: unknown): Check => {
  const { code, message } = errorData(error);
  return fail('journal', `run ${run}: ${code}: ${message}`, 'restore the store from a backup, or leave this run');
};

async function* foldChecks(troupe: Troupe, unfinished: readonly RunInfo[]): AsyncGenerator<Check> {
  const unknown = new Map<string, string[]>();
  const doubtful: string[] = [];
  const broken: Check[] = [];
  for (const { run, definition } of unfinished)
    try {
      if ((await troupe.replay(run)).inDoubt.length > 0) doubtful.push(run);
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      if (error.code === 'DEFINITION_CHANGED' || error.code === 'TOOL_NOT_FOUND')
        unknown.set(definition, [...(unknown.get(definition) ?? []), run]);
      // It ended a moment ago, or its store was cleared.
      else if (error.code !== 'NOT_FOUND')
        broken.push(fail('journal', `${error.code}: ${error.message}`, 'run it with the definition it was begun with'));
    }
  for (const [definition, runs] of unknown)
    yield warn(
      'definitions',
      `${definition} of ${some(runs)} is not in this config, or not with all its tools: here they cannot go on`,
      'add it to definitions or tools, or leave them to the process that has it',
    );
  yield* broken;
  if (doubtful.length > 0)
    yield warn(
      'doubt',
      `calls are in doubt in ${some(doubtful)}: begun, and nobody knows whether they happened`,
      `find out, and say it: troupe show ${doubtful[0]}`,
    );
}

const AHEAD_MS = 1_000;

/** The journal's time never goes back: with a clock that has, timers wait until it has caught up. */
export function clockCheck(runs: readonly RunInfo[], now: number): Check {
  const latest = runs.reduce((last, { createdAt, endedAt }) => Math.max(last, endedAt ?? createdAt), 0);
  const says = `${new Date(now).toISOString()} here`;
  return latest <= now + AHEAD_MS
    ? ok('clock', says)
    : warn(
        'clock',
        `${says}, and a run was recorded ${duration(latest - now)} later: this clock is behind, or was set back`,
        'set the clock; meanwhile timers of such runs come late',
      );
}
