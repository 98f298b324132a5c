import { CommanderError } from 'commander';
import { EXIT, exitOfError, type ExitCode } from './exit.ts';
import { errorData } from './json.ts';
import { Terminal } from './terminal.ts';

/** A command that came to nothing: why, and what it ends with. */
export function fail(error: unknown, json: boolean): ExitCode {
  const terminal = new Terminal({ json });
  if (error instanceof CommanderError) {
    // Commander has told people already.
    terminal.result({ error: { code: 'USAGE', message: error.message } });
    return EXIT.usage;
  }
  terminal.error(error);
  terminal.result({ error: errorData(error) });
  return exitOfError(error);
}
