import { driving, type Signal } from './driving.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { errorData, type ErrorData } from './json.ts';
import { leave } from './stdout.ts';
import { Terminal } from './terminal.ts';

/** A stray throw or rejection, of a tool as a rule: nothing can be relied on any more, and what is recorded is safe. */
export const onStray = (error: unknown, json: boolean): void => cut(errorData(error), EXIT.failed, json, error);

/** Nothing is left that could ever move this process on. */
export function onNothingLeft(json: boolean): void {
  const message = 'Nothing is left to wait for, and the command has not ended: something it called never answers.';
  cut({ code: 'UNEXPECTED', message }, EXIT.failed, json);
}

/** The first is the command's own affair, if it has one; another leaves at once. */
export function onSignal(signal: Signal, json: boolean): void {
  if (!driving.signal(signal)) cut({ code: 'INTERRUPTED', message: `Left by ${signal}.` }, EXIT.left, json);
}

/** Ends the process: says why, and what goes on with the runs it was driving. */
function cut(error: ErrorData, code: ExitCode, json: boolean, thrown?: unknown): void {
  const terminal = new Terminal({ json });
  const { active } = driving;
  const runs = [...driving.runs];
  terminal.error(thrown ?? error);
  const next = `troupe recover${runs.length === 1 ? ` ${runs[0]}` : ''}`;
  if (active) terminal.note(`troupe: it was driving ${runs.join(', ') || 'runs'}; to go on: ${next}`);
  terminal.result({ error, ...(active && { runs, next }) });
  leave(code);
}
