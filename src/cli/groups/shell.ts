import { Argument } from 'commander';
import type { CommonOptions } from '../open.ts';
import type { Program } from '../program.ts';

/** Commands for shells. */
export function shell(program: Program): void {
  program
    .command(
      'completion',
      'print what completes commands, options and run ids in a shell',
      'source <(troupe completion bash)',
    )
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action((name: 'bash' | 'zsh' | 'fish', options: CommonOptions) =>
      program.does(
        import('../commands/completion.ts').then(({ completion }) => completion(name, program.root, options)),
      ),
    );

  // What the scripts call.
  program.root
    .command('__complete <what>', { hidden: true })
    .option('--config <file>')
    .action((what: string, options: CommonOptions) =>
      program.does(import('../commands/complete.ts').then(({ complete }) => complete(what, options))),
    );
}
