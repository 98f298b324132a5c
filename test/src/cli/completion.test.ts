import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

const OTHER = `
import { embedded } from ${JSON.stringify(new URL('../../../src/index.ts', import.meta.url).href)};
import config from './troupe.config.ts';
export default { ...config, backend: embedded({ dir: 'other' }) };
`;

let folder: Folder;
let scripts: Record<'bash' | 'zsh' | 'fish', string>;
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

beforeAll(async () => {
  folder = new Folder();
  await folder.troupe('run', 'troupe.config.ts#order', '--id', 'monday');
  const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
  // As npm would put it on the path.
  folder.write('troupe', `#!/bin/sh\nexec '${process.execPath}' --conditions=troupe-source '${main}' "$@"\n`);
  chmodSync(join(folder.path, 'troupe'), 0o755);
  const printed = async (shell: string): Promise<string> => (await folder.troupe('completion', shell)).stdout;
  scripts = { bash: await printed('bash'), zsh: await printed('zsh'), fish: await printed('fish') };
  for (const [shell, script] of Object.entries(scripts)) folder.write(`completion.${shell}`, script);
});
afterAll(() => folder.remove());

/** What bash offers where the last word is being written. */
function offered(...line: string[]): string[] {
  const words = ['troupe', ...line].map((word) => `'${word}'`).join(' ');
  const script = `source completion.bash && COMP_WORDS=(${words}) COMP_CWORD=${line.length} && _troupe && printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], {
    cwd: folder.path,
    env: { PATH: `${folder.path}:${process.env['PATH']}` },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((word) => word !== '');
}

describe('in bash', () => {
  it('completes commands and their options', () => {
    expect(offered('re')).toEqual(['recover', 'resolve', 'resume', 'replay']);
    expect(offered('__')).toEqual([]);
    expect(offered('kill', '--te')).toEqual(['--tenant']);
    expect(offered('ps', '--status', 'pa')).toEqual(['paused']);
    expect(offered('draw', '--format', '')).toEqual(['mermaid', 'stately']);
    expect(offered('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  it('offers what has ended only to commands that take it, from the store that is named', async () => {
    folder.write('other.config.ts', OTHER);
    await folder.troupe('run', 'order', '--id', 'tuesday', '--config', 'other.config.ts');
    await folder.troupe('run', 'order', '--id', 'friday', '--config', 'other.config.ts');
    await folder.troupe('kill', 'friday', '--config', 'other.config.ts');
    for (const command of ['kill', 'approve', 'resume', 'recover'])
      expect(offered(command, '--config', 'other.config.ts', '')).toEqual(['tuesday']);
    expect(offered('show', '--config', 'other.config.ts', '').toSorted()).toEqual(['friday', 'tuesday']);
    expect(offered('kill', '')).toEqual(['monday']);
  });

  it('completes ids of runs where a run is meant, and files where a file is', () => {
    expect(offered('show', '')).toEqual(['monday']);
    expect(offered('pause', 'sunday', '--reason', 'wrong list', 'mon')).toEqual(['monday']);
    expect(offered('checkpoint', 'monday', '')).toEqual([]);
    folder.write('my plan.txt', 'a. list\n');
    expect(offered('run', 'my')).toEqual(['my plan.txt']);
    expect(offered('run', 'troupe.c')).toEqual(['troupe.config.ts']);
    expect(offered('ps', '--config', 'troupe.c')).toEqual(['troupe.config.ts']);
  });
});

it('is made of every command that help shows', async () => {
  const [, help = ''] = (await folder.troupe('--help')).stdout.split('Commands:\n');
  const [list = ''] = help.split('\n\n');
  const commands = [...list.matchAll(/^ {2}(\w+) /gm)].map(([, name = '']) => name);
  expect(commands.length).toBeGreaterThan(20);
  for (const command of commands) {
    expect(scripts.zsh).toContain(`\n    ${command}) _arguments `);
    expect(scripts.fish).toContain(`-n __fish_use_subcommand -a ${command} -d `);
    expect(offered(command)).toContain(command);
  }
});

it.each([
  ['bash', ['-n']],
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
] as const)('%s takes the script', (shell, flags) => {
  // A shell that is not here cannot be asked.
  if (!has(shell)) return expect(scripts[shell]).toContain('troupe __complete open');
  const { status, stderr } = spawnSync(shell, [...flags, `completion.${shell}`], {
    cwd: folder.path,
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
});

it('a shell that completes is told nothing where there is no config', async () => {
  expect(await folder.troupe('__complete', 'runs', '--config', 'none.ts')).toMatchObject({ code: 2, stdout: '' });
  expect((await folder.troupe('completion', 'tcsh')).code).toBe(2);
  expect(await folder.json('completion', 'fish')).toMatchObject({ code: 0, data: { shell: 'fish' } });
});
