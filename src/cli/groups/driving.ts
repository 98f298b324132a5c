import type { Option } from 'commander';
import type { ForkFlags } from '../commands/fork.ts';
import type { ResolveOptions } from '../commands/resolve.ts';
import type { RunOptions } from '../commands/run.ts';
import type { CommonOptions } from '../open.ts';
import { budgetOptions, whole, type Program } from '../program.ts';

/** Commands that see runs through. */
export function driving(program: Program): void {
  const [budget, onExhausted] = budgetOptions() as [Option, Option];

  program
    .changing(
      'run <plan>',
      'start a plan (plan.txt, plan.yaml), a definition (file.ts#export), or what the config calls by this name, and see it through',
      'troupe run plan.txt --id monday --budget steps=100,wallClock=10m',
    )
    .option('--input <json>', 'its input: JSON, or @file')
    .option('--id <id>', "the run's id; one that exists is gone on with")
    .option('--tenant <tenant>', 'on whose account it runs')
    .option('--steps <n>', 'as --budget steps=<n>', whole)
    .addOption(budget)
    .addOption(onExhausted)
    .action((plan: string, options: RunOptions) =>
      program.does(import('../commands/run.ts').then(({ run }) => run(plan, options))),
    );

  program
    .changing(
      'fork <run>',
      'begin another run with what is on record of this one, and see it through; this one is as it was',
      'troupe fork monday --at before-sending --id tuesday',
    )
    .option('--at <place>', 'the last entry that both have: its seq, or the label of a checkpoint; by default the last')
    .option('--id <id>', "the new run's id")
    .addOption(budget)
    .addOption(onExhausted)
    .option('--detach', 'let go of it at once: a service goes on with it, or troupe recover')
    .action((run: string, options: ForkFlags) =>
      program.does(import('../commands/fork.ts').then(({ fork }) => fork(run, options))),
    );

  program
    .command('recover [run]', 'take over the runs that nobody alive owns, and see them through', 'troupe recover')
    .action((run: string | undefined, options: CommonOptions) =>
      program.does(import('../commands/recover.ts').then(({ recover }) => recover(run, options))),
    );

  program
    .changing(
      'resolve <run> <call>',
      'say what became of a call in doubt, and see the run through',
      `troupe resolve monday body/send --output '{"id":"42"}'`,
    )
    .option('--output <json>', 'it happened, and this is its output: JSON, or @file')
    .option('--error <message>', 'it did not work')
    .option('--retry', 'begin it again')
    .action((run: string, call: string, options: ResolveOptions) =>
      program.does(import('../commands/resolve.ts').then(({ resolve }) => resolve(run, call, options))),
    );
}
