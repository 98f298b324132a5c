import { createInterface } from 'node:readline';
import { ValidationError } from '../protocol/errors.ts';

/** Asks whoever sits at the terminal; leaving the question is a no. @throws ValidationError where nobody does */
export async function confirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new ValidationError(`${question} Nobody can be asked here; say it with --yes.`, { option: '--yes' });
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise((resolve) => {
      terminal.on('SIGINT', () => terminal.close());
      terminal.on('close', () => {
        // The question stands on a line of its own.
        process.stderr.write('\n');
        resolve(false);
      });
      terminal.question(`${question} [y/N] `, (answer) => {
        terminal.removeAllListeners('close');
        resolve(/^y(es)?$/i.test(answer.trim()));
      });
    });
  } finally {
    terminal.close();
  }
}
