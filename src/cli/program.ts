import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT, type ExitCode } from './exit.ts';

/** What every command of the command line has. */

export class Program {
  readonly root: Command;
  #exit: Promise<ExitCode> = Promise.resolve(EXIT.completed);

  constructor(version: string, writeOut: ((text: string) => void) | undefined) {
    this.root = new Command('troupe')
      .description('Durable actors on XState: run plans and statecharts that survive crashes and obey kills.')
      .version(version)
      .exitOverride()
      .configureOutput(writeOut === undefined ? {} : { writeOut })
      .addHelpText('after', AFTER);
  }

  command(usage: string, description: string, example: string, json = 'one JSON object'): Command {
    return this.root
      .command(usage)
      .description(description)
      .option('--config <file>', 'instead of troupe.config.ts, .js or .mjs in the working folder')
      .option('--json', `${json} on stdout; text for people goes to stderr`)
      .option('--no-color', 'as does NO_COLOR in the environment')
      .addHelpText('after', `\nExample:\n  ${example}`);
  }

  /** One that changes something. */
  changing(usage: string, description: string, example: string): Command {
    return this.command(usage, description, example).option(
      '--by <name>',
      'who asks, for the record; the user of the operating system by default',
    );
  }

  /** What the command does; its module is imported only now. */
  does(exit: Promise<ExitCode>): void {
    this.#exit = exit;
  }

  async run(): Promise<ExitCode> {
    for (const command of this.root.commands) mustBeGivenOnce(command);
    await this.root.parseAsync();
    return this.#exit;
  }
}

/** Of a value that is given again the last would count, and what was said before would be nothing. What is meant to repeat adds to it. */
function mustBeGivenOnce(command: Command): void {
  for (const option of command.options) {
    if (!(option.required || option.optional) || option.parseArg === words) continue;
    let given = 0;
    command.on(`option:${option.name()}`, () => {
      given += 1;
      if (given > 1) command.error(`error: option '${option.flags}' is given more than once: say which is meant`);
    });
  }
}

const AFTER = `
Exit codes: 0 completed, 1 failed, 2 usage, 3 killed, 4 over budget, 5 waiting for a person, 130 left at a signal.

A step is one try of a call: what budgets count. What people decide about (approve, resolve) is a call.

Signals: Ctrl-C kills the run that run, fork or resolve sees through, and lets go of those that another command has taken
over; SIGTERM lets go, and so does SIGHUP, as of a terminal that is closed. What was let go of goes on with: troupe recover.
A second signal leaves at once.

Example:
  troupe run plan.txt --id monday`;

export const whole = (text: string): number => {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 0.');
};

export const words = (text: string, before: readonly string[] = []): string[] => [...before, ...text.split(',')];

export const budgetOptions = (): Option[] => [
  new Option('--budget <limits>', 'its budget, as in usd=0.5,tokens=50000,steps=10,toolCalls=5,wallClock=10m'),
  new Option('--on-exhausted <then>', 'what becomes of it when that is spent').choices(['fail', 'pause', 'handBack']),
];
