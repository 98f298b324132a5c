import { Option } from 'commander';
import { RUN_STATUSES } from '../../protocol/lifecycle.ts';
import type { AuditOptions } from '../commands/audit.ts';
import type { DrawOptions } from '../commands/draw.ts';
import type { LogsOptions } from '../commands/logs.ts';
import type { PsOptions } from '../commands/ps.ts';
import type { ReplayOptions } from '../commands/replay.ts';
import type { ShowOptions } from '../commands/show.ts';
import type { TopOptions } from '../commands/top.ts';
import type { CommonOptions } from '../open.ts';
import { whole, words, type Program } from '../program.ts';

/** Commands that only look. */
export function looking(program: Program): void {
  program
    .command('ps', 'list the runs, and what each waits for', 'troupe ps --status running')
    .addOption(new Option('--status <status>', 'only these').choices(RUN_STATUSES))
    .option('--tenant <tenant>', 'only those of this tenant')
    .action((options: PsOptions) => program.does(import('../commands/ps.ts').then(({ ps }) => ps(options))));

  program
    .command('top', 'the unfinished runs, looked at again each second; Ctrl-C leaves', 'troupe top')
    .option('--tenant <tenant>', 'only those of this tenant')
    .option('--once', 'one look, as anywhere but on a terminal')
    .action((options: TopOptions) => program.does(import('../commands/top.ts').then(({ top }) => top(options))));

  program
    .command('show <run>', 'how a run stands, all that came in, and what it waits for', 'troupe show monday --why 7')
    .option('--why <seq>', 'only what led to this entry, from the beginning', whole)
    .action((run: string, options: ShowOptions) =>
      program.does(import('../commands/show.ts').then(({ show }) => show(run, options))),
    );

  program
    .command(
      'logs <run>',
      'what came in, a line for each entry',
      'troupe logs monday -f --type leaf.failed,run.failed',
      'one JSON object for each entry, a line each,',
    )
    .option('-f, --follow', 'go on until the run has ended; Ctrl-C leaves it as it is')
    .option('--type <types>', 'only entries of these types', words)
    .option('--since <seq>', 'only from this entry on', whole)
    .action((run: string, options: LogsOptions) =>
      program.does(import('../commands/logs.ts').then(({ logs }) => logs(run, options))),
    );

  program
    .command(
      'audit [run]',
      'who asked for what, when and why, what was decided and what it cost: a line for each',
      'troupe audit --since 1d --json > audit.ndjson',
      'one JSON object for each row, a line each,',
    )
    .option('--tenant <tenant>', 'only of this tenant')
    .option('--by <name>', 'only what they asked for, and the calls of runs that they started')
    .option('--tree', 'of the run and of all that it has begun')
    .option('--since <time>', 'only from then on: a date, or how long ago (1h)')
    .action((run: string | undefined, options: AuditOptions) =>
      program.does(import('../commands/audit.ts').then(({ audit }) => audit(run, options))),
    );

  program
    .command(
      'replay <run>',
      'fold what was recorded once more, with nothing executed, and compare',
      'troupe replay monday --at 7',
    )
    .option('--at <place>', 'how it stood at an entry: its seq, or the label of a checkpoint')
    .option('--steps', 'what each entry changed')
    .action((run: string, options: ReplayOptions) =>
      program.does(import('../commands/replay.ts').then(({ replay }) => replay(run, options))),
    );

  program
    .command(
      'diff <run> [plan]',
      "whether what was recorded fits the config's definition, or another one; ends with 1 if not",
      'troupe diff monday plan.txt',
    )
    .action((run: string, plan: string | undefined, options: CommonOptions) =>
      program.does(import('../commands/diff.ts').then(({ diff }) => diff(run, plan, options))),
    );

  program
    .command(
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
    .action((source: string, options: DrawOptions) =>
      program.does(import('../commands/draw.ts').then(({ draw }) => draw(source, options))),
    );

  program
    .command('doctor', 'look at what people stumble over; ends with 1 if something fails', 'troupe doctor')
    .action((options: CommonOptions) =>
      program.does(import('../commands/doctor.ts').then(({ doctor }) => doctor(options))),
    );
}
