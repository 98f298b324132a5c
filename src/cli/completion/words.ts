import type { Command, Option } from 'commander';

/** What can stand on a command line, for the scripts that complete it. */

/** `runs`: ids of runs; `open`: of those that have not ended; `files`; `anything`: nothing can be offered; otherwise one of these. */
type Values = 'runs' | 'open' | 'files' | 'anything' | readonly string[];

export interface OptionWords {
  /** `-o`, `--output` */
  flags: readonly string[];
  says: string;
  /** Undefined: it takes none. */
  value: Values | undefined;
}

export interface CommandWords {
  name: string;
  says: string;
  options: readonly OptionWords[];
  /** Of its arguments, by place; the last may come again and again. */
  values: readonly Values[];
  again: boolean;
}

export const wordsOf = (root: Command): CommandWords[] =>
  root
    .createHelp()
    .visibleCommands(root)
    .map((command) => ({
      name: command.name(),
      says: command.description(),
      options: command.createHelp().visibleOptions(command).map(optionOf),
      values: command.registeredArguments.map(
        (argument) => argument.argChoices ?? valuesOf(argument.name(), ENDED.includes(command.name())),
      ),
      again: command.registeredArguments.at(-1)?.variadic ?? false,
    }));

const optionOf = (option: Option): OptionWords => ({
  flags: [option.short, option.long].filter((flag) => typeof flag === 'string'),
  says: option.description,
  value:
    option.required || option.optional ? (option.argChoices ?? valuesOf(/<(\w+)>/.exec(option.flags)?.[1])) : undefined,
});

/** By what the command line itself calls them. */
function valuesOf(name: string | undefined, ended = true): Values {
  if (name === 'run') return ended ? 'runs' : 'open';
  return name === 'plan' || name === 'file' ? 'files' : 'anything';
}

/** Commands of which a run may be that has ended. */
const ENDED = ['fork', 'show', 'logs', 'audit', 'replay', 'diff'];

export const isRuns = (values: Values): values is 'runs' | 'open' => values === 'runs' || values === 'open';

/** What is asked for the ids of runs. `config`: what stands for the option that says where they are. */
export const asking = (runs: 'runs' | 'open', config: string): string =>
  `troupe __complete ${runs} ${config} 2>/dev/null`;

/** For a shell. */
export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
