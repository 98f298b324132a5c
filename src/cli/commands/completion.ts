import type { Command } from 'commander';
import { wordsOf } from '../completion/words.ts';
import { bash } from '../completion/bash.ts';
import { fish } from '../completion/fish.ts';
import { zsh } from '../completion/zsh.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import type { CommonOptions } from '../open.ts';
import { Terminal } from '../terminal.ts';

const SCRIPTS = { bash, zsh, fish };

/** Made of the commands and options that there are. */
export function completion(shell: keyof typeof SCRIPTS, root: Command, options: CommonOptions): Promise<ExitCode> {
  const terminal = new Terminal(options);
  const script = SCRIPTS[shell](wordsOf(root)).join('\n');
  if (terminal.json) terminal.result({ shell, script });
  else terminal.say(script);
  return Promise.resolve(EXIT.completed);
}
