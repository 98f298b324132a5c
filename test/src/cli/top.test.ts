import { afterEach, beforeEach, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('wait.txt', 'a. wait\n');
});
afterEach(() => folder.remove());

it('top shows the unfinished runs once where it is no terminal: what they have spent, and what they wait for', async () => {
  await folder.troupe('run', 'troupe.config.ts#parent', '--id', 'up');
  const run = folder.begin('run', 'wait.txt', '--id', 'long', '--budget', 'steps=4,usd=1');
  await run.printed('begun a');
  const { code, stdout } = await folder.troupe('top');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^\S+ {2}3 unfinished runs\nRUN +DEFINITION +STATUS +AGE +ENTRIES +STEPS +SPENT +WAITS FOR\nup +parent +running, not owned .*\n└ \S+ +order .*\nlong +wait +running +\S+ +3 +1 +usd 0 of 1, steps 1 of 4 +call a\n$/,
  );
  const { data } = await folder.json('top', '--once');
  expect(data).toMatchObject({
    runs: [
      { run: 'up', parent: null },
      { parent: { run: 'up' }, definition: 'order' },
      {
        run: 'long',
        spent: { steps: 1 },
        limits: { steps: 4, usd: 1 },
        waitsFor: [{ for: 'call', call: 'body/a/attempt' }],
      },
    ],
  });
  folder.write('go', '');
  await run.ended;
  expect((await folder.troupe('top')).stdout).toContain('2 unfinished runs');
});

it('ps lists a run under the one that has begun it, and what that waits for', async () => {
  await folder.troupe('run', 'troupe.config.ts#parent', '--id', 'up');
  const listed = await folder.json<{ runs: { run: string }[] }>('ps');
  const below = listed.data.runs[1]?.run ?? '';
  expect((await folder.troupe('ps')).stdout).toMatch(new RegExp(`\\nup +parent .*\\n└ ${below} +order .*\\n$`));
  const shown = await folder.troupe('show', 'up');
  expect(shown.stdout).toContain(`began run ${below} (order)\n`);
  const sent = await folder.json('send', below, 'CLOSE');
  expect(sent).toMatchObject({ code: 0, data: { here: true, outcome: { status: 'completed' } } });
  const recovered = await folder.json('recover', 'up');
  expect(recovered).toMatchObject({ code: 0, data: { runs: [{ run: 'up', status: 'completed' }] } });
});
