import { Option } from 'commander';
import type { DecideOptions } from '../commands/decide.ts';
import type { KillOptions } from '../commands/kill.ts';
import type { LiftOptions } from '../commands/lift.ts';
import type { PauseOptions } from '../commands/pause.ts';
import type { ResumeOptions } from '../commands/resume.ts';
import type { SendOptions } from '../commands/send.ts';
import type { CommonOptions } from '../open.ts';
import { budgetOptions, type Program } from '../program.ts';

/** Commands that ask something of runs, wherever they live. */
export function control(program: Program): void {
  program
    .changing(
      'pause <run...>',
      'begin no more steps; those under way end, also of a run that nobody owns, which is taken over for it',
      "troupe pause monday --reason 'wrong list'",
    )
    .option('--reason <text>', 'recorded with it')
    .action((runs: string[], options: PauseOptions) =>
      program.does(import('../commands/pause.ts').then(({ pause }) => pause(runs, options))),
    );

  const resume = program.changing('resume <run...>', 'go on after a pause', 'troupe resume monday --budget steps=200');
  for (const option of budgetOptions()) resume.addOption(option);
  resume.action((runs: string[], options: ResumeOptions) =>
    program.does(import('../commands/resume.ts').then(({ resume: go }) => go(runs, options))),
  );

  program
    .changing('approve <run> [call]', 'let a call begin that waits for approval', 'troupe approve monday body/send')
    .option('--hash <hash>', 'of the call as it was shown: void if it is another one by now')
    .action((run: string, call: string | undefined, options: DecideOptions) =>
      program.does(import('../commands/decide.ts').then(({ approve }) => approve(run, call, options))),
    );

  program
    .changing('deny <run> [call]', 'fail a call that waits for approval', "troupe deny monday --reason 'not now'")
    .option('--hash <hash>', 'of the call as it was shown')
    .option('--reason <text>', 'recorded with it')
    .action((run: string, call: string | undefined, options: DecideOptions) =>
      program.does(import('../commands/decide.ts').then(({ deny }) => deny(run, call, options))),
    );

  program
    .changing('send <run> <type>', 'send an event', `troupe send order-42 PAY --data '{"amount":3}'`)
    .option('--data <json>', 'its other fields: JSON, or @file')
    .action((run: string, type: string, options: SendOptions) =>
      program.does(import('../commands/send.ts').then(({ send }) => send(run, type, options))),
    );

  program
    .changing('checkpoint <run> <label>', 'name what is on record by now', 'troupe checkpoint monday before-sending')
    .action((run: string, label: string, options: CommonOptions) =>
      program.does(import('../commands/checkpoint.ts').then(({ checkpoint }) => checkpoint(run, label, options))),
    );

  program
    .changing(
      'kill [run...]',
      'kill runs and all that they have begun, wherever they live; or, until it is lifted, all of a kind; ends with 1 if something did not stop in time',
      "troupe kill monday --reason 'wrong list'",
    )
    .option('--tenant <tenant>', 'all runs of this tenant')
    .option('--definition <name>', 'all runs of this definition')
    .addOption(new Option('--agent <name>', 'as --definition').conflicts('definition').hideHelp())
    .option('--all', 'all runs')
    .option('--reason <text>', 'recorded with the kill')
    .option('--grace <duration>', 'how long calls may take to end; 5s by default')
    .option('--yes', 'do not ask back where it is more than the runs named')
    .action((runs: string[], options: KillOptions) =>
      program.does(import('../commands/kill.ts').then(({ kill }) => kill(runs, options))),
    );

  program
    .changing('lift', 'let what was killed by tenant, definition or all begin again', 'troupe lift --tenant acme')
    .option('--tenant <tenant>', 'this tenant')
    .option('--definition <name>', 'this definition')
    .option('--all', 'everything')
    .action((options: LiftOptions) => program.does(import('../commands/lift.ts').then(({ lift }) => lift(options))));
}
