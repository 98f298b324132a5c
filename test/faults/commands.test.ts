import { expect, test } from 'vitest';
import { Folder } from '../src/cli/folder.ts';

test('two commands run side by side, and a recovery takes neither', async () => {
  const folder = new Folder();
  try {
    folder.write('wait.txt', 'a. wait\n');
    const begun = ['one', 'two'].map((id) => folder.begin('run', 'wait.txt', '--id', id));
    await Promise.all(begun.map((command) => command.printed('begun a')));
    expect((await folder.json('recover')).data).toEqual({ runs: [], left: [] });
    folder.write('go', '');
    for (const command of begun) expect((await command.ended).code).toBe(0);
  } finally {
    folder.remove();
  }
});
