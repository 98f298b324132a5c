#!/usr/bin/env node
import { createRequire } from 'node:module';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { DrawOptions } from './commands/draw.ts';
import type { KillOptions } from './commands/kill.ts';
import type { LogsOptions } from './commands/logs.ts';
import type { PsOptions } from './commands/ps.ts';
import type { ResolveOptions } from './commands/resolve.ts';
import type { RunOptions } from './commands/run.ts';
import type { ShowOptions } from './commands/show.ts';
import { watch } from './cut.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { toJson } from './json.ts';
import type { CommonOptions } from './open.ts';
import { answer, leave } from './stdout.ts';

// A command is imported when it is called: help and version need none of what stands behind them.

const { version } = createRequire(import.meta.url)('troupe/package.json') as { version: string };
const json = process.argv.includes('--json');
let exit: Promise<ExitCode> = Promise.resolve(EXIT.completed);

const program = new Command('troupe')
  .description('Durable actors on XState: run plans and statecharts that survive crashes and obey kills.')
  .version(version)
  .exitOverride()
  .configureOutput(json ? { writeOut: (text) => answer(toJson({ text })) } : {})
  .addHelpText(
    'after',
    `
Exit codes: 0 completed, 1 failed, 2 usage, 3 killed, 4 over budget, 5 waiting for a person, 130 left at a signal.

Signals: Ctrl-C kills the run that run or resolve sees through, and lets go of those of recover;
SIGTERM lets go. What was let go of goes on with: troupe recover. A second signal leaves at once.

Example:
  troupe run plan.txt --id monday`,
  );

function command(usage: string, description: string, example: string, json = 'one JSON object'): Command {
  return program
    .command(usage)
    .description(description)
    .option('--config <file>', 'instead of troupe.config.ts, .js or .mjs in the working folder')
    .option('--json', `${json} on stdout; text for people goes to stderr`)
    .option('--no-color', 'as does NO_COLOR in the environment')
    .addHelpText('after', `\nExample:\n  ${example}`);
}

const whole = (text: string): number => {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 0.');
};

const words = (text: string, before: readonly string[] = []): string[] => [...before, ...text.split(',')];

command(
  'run <plan>',
  'start a plan (plan.txt, plan.yaml) or a definition (file.ts#export), and see it through',
  'troupe run plan.txt --id monday --steps 100',
)
  .option('--input <json>', 'its input: JSON, or @file')
  .option('--id <id>', "the run's id; one that exists is gone on with")
  .option('--steps <n>', 'its budget: at most this many calls begin', whole)
  .action((plan: string, options: RunOptions) => {
    exit = import('./commands/run.ts').then(({ run }) => run(plan, options));
  });

command('ps', 'list the runs', 'troupe ps --status running')
  .addOption(
    new Option('--status <status>', 'only these').choices(['created', 'running', 'completed', 'failed', 'killed']),
  )
  .action((options: PsOptions) => {
    exit = import('./commands/ps.ts').then(({ ps }) => ps(options));
  });

command('show <run>', 'how a run stands, all that came in, and its calls in doubt', 'troupe show monday --why 7')
  .option('--why <seq>', 'only what led to this entry, from the beginning', whole)
  .action((run: string, options: ShowOptions) => {
    exit = import('./commands/show.ts').then(({ show }) => show(run, options));
  });

command(
  'logs <run>',
  'what came in, a line for each entry',
  'troupe logs monday -f --type leaf.failed,run.failed',
  'one JSON object for each entry, a line each,',
)
  .option('-f, --follow', 'go on until the run has ended; Ctrl-C leaves it as it is')
  .option('--type <types>', 'only entries of these types', words)
  .option('--since <seq>', 'only from this entry on', whole)
  .action((run: string, options: LogsOptions) => {
    exit = import('./commands/logs.ts').then(({ logs }) => logs(run, options));
  });

command('kill <run...>', 'kill runs, wherever they live', "troupe kill monday --reason 'wrong list'")
  .option('--reason <text>', 'recorded with the kill')
  .action((runs: string[], options: KillOptions) => {
    exit = import('./commands/kill.ts').then(({ kill }) => kill(runs, options));
  });

command('recover [run]', 'take over the runs that nobody alive owns, and see them through', 'troupe recover').action(
  (run: string | undefined, options: CommonOptions) => {
    exit = import('./commands/recover.ts').then(({ recover }) => recover(run, options));
  },
);

command(
  'resolve <run> <call>',
  'say what became of a call in doubt, and see the run through',
  `troupe resolve monday body/send --output '{"id":"42"}'`,
)
  .option('--output <json>', 'it happened, and this is its output: JSON, or @file')
  .option('--error <message>', 'it did not work')
  .option('--retry', 'begin it again')
  .action((run: string, call: string, options: ResolveOptions) => {
    exit = import('./commands/resolve.ts').then(({ resolve }) => resolve(run, call, options));
  });

command(
  'replay <run>',
  'fold what was recorded once more, with nothing executed, and compare',
  'troupe replay monday',
).action((run: string, options: CommonOptions) => {
  exit = import('./commands/replay.ts').then(({ replay }) => replay(run, options));
});

command(
  'draw <plan>',
  'a plan (plan.txt, plan.yaml), a definition or machine (file.ts#export), or what the config calls by this name; nothing runs',
  'troupe draw plan.txt -o plan.mmd',
)
  .addOption(
    new Option('--format <format>', 'mermaid text, or JSON for the editor of Stately')
      .choices(['mermaid', 'stately'])
      .default('mermaid'),
  )
  .option('-o, --output <file>', 'write it there')
  .action((source: string, options: DrawOptions) => {
    exit = import('./commands/draw.ts').then(({ draw }) => draw(source, options));
  });

command('doctor', 'look at what people stumble over; ends with 1 if something fails', 'troupe doctor').action(
  (options: CommonOptions) => {
    exit = import('./commands/doctor.ts').then(({ doctor }) => doctor(options));
  },
);

async function main(): Promise<ExitCode> {
  try {
    await program.parseAsync();
    return await exit;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.completed;
    const { fail } = await import('./fail.ts');
    return fail(error, json);
  }
}

watch(json);
leave(await main());
