import { afterEach, describe, expect, it, vi } from 'vitest';
import { control } from '../../../src/cli/groups/control.ts';
import { driving } from '../../../src/cli/groups/driving.ts';
import { looking } from '../../../src/cli/groups/looking.ts';
import { shell } from '../../../src/cli/groups/shell.ts';
import { Program, words } from '../../../src/cli/program.ts';

const built = (): Program => {
  const program = new Program('1', undefined);
  for (const group of [driving, control, looking, shell]) group(program);
  return program;
};

const argv = process.argv;
afterEach(() => {
  process.argv = argv;
  vi.restoreAllMocks();
});

/** Every option that takes a value and is not meant to repeat. */
const OPTIONS = built().root.commands.flatMap((command) =>
  command.options
    .filter(({ required, parseArg }) => required && parseArg !== words)
    .map(({ long, argChoices }): [string, string, string] => [command.name(), long ?? '', argChoices?.[0] ?? '1']),
);

describe('an option that is given twice', () => {
  it.each(OPTIONS)('%s %s is refused: the last would count in silence', async (command, option, value) => {
    const told = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    process.argv = ['node', 'troupe', command, option, value, `${option}=${value}`];
    await expect(built().run()).rejects.toThrow(/^error: option '.*' is given more than once: say which is meant$/);
    expect(told).toHaveBeenCalledOnce();
  });

  it('are all there are', () => {
    const names = OPTIONS.map(([command, option]) => `${command} ${option}`);
    for (const one of ['run --id', 'run --budget', 'kill --tenant', 'approve --hash', 'deny --by', 'replay --at'])
      expect(names).toContain(one);
  });
});
