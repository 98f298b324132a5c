import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.write('go', '');
  folder.write('two.txt', 'a. wait\nb. Get all contacts (after a)\n');
  expect((await folder.troupe('run', 'two.txt', '--id', 'one')).code).toBe(0);
});
afterEach(() => folder.remove());

describe('troupe fork', () => {
  it('begins another run from an entry of this one, and sees it through', async () => {
    const { code, data, stderr } = await folder.json('fork', 'one', '--at', '3', '--id', 'two');
    expect([code, data]).toMatchObject([0, { run: 'two', status: 'completed', forkOf: 'one' }]);
    expect(stderr).toContain('run two, a fork of one\n');
    expect((await folder.json('show', 'two')).data).toMatchObject({
      summary: { byType: { 'run.forked': { count: 1 } } },
    });
    const none = await folder.troupe('fork', 'one', '--at', 'nowhere');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("no checkpoint 'nowhere'")]);
  });

  it('is let go of where that is asked', async () => {
    const forked = await folder.troupe('fork', 'one', '--id', 'two', '--detach');
    expect([forked.code, forked.stdout]).toEqual([0, expect.stringContaining('troupe recover two')]);
    expect((await folder.troupe('recover', 'two')).code).toBe(0);
  });
});

describe('troupe replay', () => {
  it('tells how a run stood, and what each entry changed', async () => {
    const moment = await folder.json('replay', 'one', '--at', '2');
    expect(moment).toMatchObject({ code: 0, data: { seq: 2, status: 'running', snapshot: { value: 'running' } } });
    const stood = await folder.troupe('replay', 'one', '--at', '2');
    expect(stood.stdout).toMatch(/run\.started .*\nrunning; its body: "running", with /);
    const steps = await folder.json<{ steps: { seq: number; changed: { actor: string }[] }[] }>(
      'replay',
      'one',
      '--steps',
    );
    expect(steps.data.steps.map(({ seq }) => seq)).toEqual(steps.data.steps.map((_, index) => index + 1));
    expect(steps.data.steps.flatMap(({ changed }) => changed).map(({ actor }) => actor)).toContain('body');
    expect((await folder.troupe('replay', 'one', '--steps')).stdout).toMatch(/\n {7}body: "?\S+"? → /);
  });
});

describe('troupe diff', () => {
  it('ends with 0 where a plan fits what is on record, and with 1 and the entry where it does not', async () => {
    expect((await folder.json('diff', 'one', 'two.txt')).data).toMatchObject({ equal: true });
    folder.write('three.txt', 'a. Get all contacts\nb. wait (after a)\n');
    const { code, stdout } = await folder.troupe('diff', 'one', 'three.txt');
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^one and three differ first at entry \d+\n/)]);
    const unknown = await folder.troupe('diff', 'one');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('The config has no definition two')]);
  });
});
