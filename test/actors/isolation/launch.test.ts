import { expect, test } from 'vitest';
import { inherited } from '../../../actors/isolation/launch.ts';

test.each<[options: string[], kept: string[]]>([
  [
    ['--conditions=troupe-source', '--import', 'tsx', '--no-warnings'],
    ['--conditions=troupe-source', '--import', 'tsx', '--no-warnings'],
  ],
  [
    ['--inspect', '--require', './setup.cjs'],
    ['--require', './setup.cjs'],
  ],
  [
    ['--inspect-brk=9230', '--watch-path', './src', '-C', 'custom'],
    ['-C', 'custom'],
  ],
  [['-e', 'console.log(1)', '--input-type=module', '--enable-source-maps'], ['--enable-source-maps']],
  [
    ['--env-file=.env', '--env-file', 'more.env', '--env-file-if-exists=x', '--env-file-if-exists', 'y', '-C', 'z'],
    ['-C', 'z'],
  ],
  [['--max-old-space-size=4096', '--cpu-prof', '--test'], []],
  [
    ['--permission', '--allow-fs-read=/srv'],
    ['--permission', '--allow-fs-read=/srv'],
  ],
])('%j: %j is passed on', (options, kept) => {
  expect(inherited(options)).toEqual(kept);
});
