import { driving, SIGNALS } from './driving.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { tellIdle } from './idle.ts';
import { errorData, type ErrorData } from './json.ts';
import { isLeaving, leave } from './stdout.ts';
import { Terminal } from './terminal.ts';

/** Sees to it that whatever ends this process says why, and what goes on with the runs it was driving. */
export function watch(json: boolean): void {
  // `troupe run plan.txt | head`: that nobody reads on is no reason to leave a run, or to say that it went well.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const end = (error: ErrorData, code: ExitCode, thrown: unknown = error): void => {
    report(error, thrown, json);
    leave(code);
  };
  // A stray throw or rejection, of a tool as a rule: nothing can be relied on any more, and what is recorded is safe.
  for (const stray of ['uncaughtException', 'unhandledRejection'])
    process.on(stray, (error: unknown) => end(errorData(error), EXIT.failed, error));
  // The first is the command's own affair, if it has one; another leaves at once.
  for (const signal of SIGNALS)
    process.on(signal, () => {
      if (!driving.signal(signal)) end({ code: 'INTERRUPTED', message: `Left by ${signal}.` }, EXIT.left);
    });
  process.on('beforeExit', () => {
    if (!tellIdle())
      end(unexpected('Nothing is left to wait for: something that was called never answers.'), EXIT.failed);
  });
  process.on('exit', (code) => {
    if (isLeaving()) return;
    report(unexpected(`Something that was called ended this process, with ${code}.`), undefined, json);
    process.exitCode = EXIT.failed;
  });
}

const unexpected = (message: string): ErrorData => ({ code: 'UNEXPECTED', message });

function report(error: ErrorData, thrown: unknown, json: boolean): void {
  const terminal = new Terminal({ json });
  const { active } = driving;
  const runs = [...driving.runs];
  terminal.error(thrown ?? error);
  const next = `troupe recover${runs.length === 1 ? ` ${runs[0]}` : ''}`;
  const what = runs.join(', ') || 'runs';
  if (active)
    terminal.note(
      driving.begins
        ? `troupe: it was about to begin ${what}; to go on, if that is there by now: ${next}`
        : `troupe: it was driving ${what}; to go on: ${next}`,
    );
  terminal.result({ error, ...(active && { runs, next }) });
}
