import { afterEach, beforeEach, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => (folder = new Folder()));
afterEach(() => folder.remove());

it('a kill by tenant asks, reaches all of it with what it has begun, and lasts until it is lifted', async () => {
  await folder.troupe('run', 'troupe.config.ts#parent', '--id', 'up', '--tenant', 'acme');
  await folder.troupe('run', 'troupe.config.ts#order', '--id', 'other');
  const asked = await folder.troupe('kill', '--tenant', 'acme');
  expect([asked.code, asked.stdout]).toEqual([2, '']);
  expect(asked.stderr).toContain('Kill tenant acme: 2 runs now, and nothing of it begins until it is lifted?');

  const killed = await folder.troupe('kill', '--tenant', 'acme', '--yes', '--reason', 'overdue', '--by', 'ana');
  expect(killed.code).toBe(0);
  expect(killed.stdout).toMatch(
    /^killed 2 runs in \S+: overdue \(by ana\)\n( {2}\S+ +(parent|order) +killed +entry \d+ .*\n){2}nothing of tenant acme begins until: troupe lift --tenant acme\n$/,
  );
  const listed = await folder.troupe('ps');
  expect(listed.stdout).toMatch(
    /\nup +parent +acme +killed .*\n└ \S+ +order +acme +killed .*\nother +order +default +running /,
  );
  expect(listed.stderr).toMatch(
    /killed: tenant acme, \S+ ago by ana: overdue; nothing of it begins until: troupe lift/,
  );
  const { data } = await folder.json<{ runs: object[] }>('ps', '--tenant', 'acme');
  expect(data.runs).toMatchObject([{ run: 'up', tenant: 'acme', parent: null }, { parent: { run: 'up' } }]);
  const refused = await folder.troupe('run', 'troupe.config.ts#order', '--tenant', 'acme');
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('KILLED')]);
  expect(refused.stderr).toContain('To lift it: troupe lift --tenant acme, or');
  expect((await folder.troupe('doctor')).stdout).toMatch(
    /warn +switches +killed: tenant acme, .*; nothing of it begins\n +→ .*troupe lift --tenant acme\n/,
  );
  expect(await folder.json('lift', '--tenant', 'acme')).toMatchObject({ data: { tenant: 'acme', lifted: true } });
  expect((await folder.troupe('lift', '--tenant', 'acme')).stdout).toBe('tenant acme was not switched off\n');
  expect((await folder.troupe('run', 'troupe.config.ts#order', '--tenant', 'acme')).code).toBe(5);
});

it('a kill by definition gives its receipt as data', async () => {
  await folder.troupe('run', 'troupe.config.ts#order', '--id', 'one');
  const { code, data } = await folder.json('kill', '--agent', 'order', '--yes');
  expect([code, data]).toMatchObject([
    0,
    { receipts: [{ runs: [{ run: 'one', status: 'killed' }], unanswered: [], left: [] }], errors: [] },
  ]);
});

it('a kill by definition says where nothing is called so, and lasts all the same', async () => {
  const killed = await folder.troupe('kill', '--definition', 'ordr', '--yes');
  expect(killed.code).toBe(0);
  expect(killed.stderr).toContain('neither the config nor any run has a definition ordr');
  expect(killed.stdout).toMatch(/^killed 0 runs in \S+ \(by [^)]+\)\nnothing of definition ordr begins until: /);
  expect((await folder.troupe('kill', '--definition', 'order', '--yes')).stderr).toBe('');
});

it('says what a kill is of: runs, or one width', async () => {
  for (const args of [[], ['one', '--all'], ['--all', '--tenant', 'acme']])
    expect([args, (await folder.troupe('kill', ...args, '--yes')).code]).toEqual([args, 2]);
  expect((await folder.troupe('lift')).code).toBe(2);
});
