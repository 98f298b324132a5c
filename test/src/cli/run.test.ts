import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => (folder = new Folder()));
afterEach(() => folder.remove());

const MAIL = 'a. Get all contacts\nb. Send emails (requires step a)\n';

describe('troupe run', () => {
  it('prints the id first, then a line for each thing that happens, then the summary', async () => {
    folder.write('mail.txt', MAIL);
    const { code, stdout, stderr } = await folder.troupe('run', 'mail.txt', '--id', 'one');
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('run one');
    expect(lines[1]).toMatch(/^(begun a|done a \(\d+ms\))$/);
    expect(stdout).toMatch(/done b\/mail\.send:3 \(\d+ms\)\ncompleted in \d+ms: 4 steps, \d+ entries\noutput: /);
    expect([code, stderr]).toEqual([0, '']);
  });

  it('gives one JSON object, whatever tools print', async () => {
    folder.write('mail.txt', MAIL);
    const { code, data, stderr } = await folder.json('run', 'mail.txt', '--id', 'one');
    expect(data).toMatchObject({ run: 'one', status: 'completed', steps: 4, inDoubt: [] });
    expect(data['output']).toMatchObject({ b: [{ id: 'ana' }, { id: 'bo' }, { id: 'cy' }] });
    expect(stderr).toContain('run one\n');
    expect(stderr).toContain('printed by a tool');
    expect(code).toBe(0);
  });

  it('goes on with an id that exists: an ended run tells its end', async () => {
    folder.write('mail.txt', MAIL);
    const first = await folder.json('run', 'mail.txt', '--id', 'one');
    const { code, data } = await folder.json('run', 'mail.txt', '--id', 'one');
    expect([code, data]).toEqual([0, first.data]);
    folder.write('other.txt', MAIL);
    const other = await folder.troupe('run', 'other.txt', '--id', 'one');
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('DEFINITION_CHANGED: Run one exists and is of mail, not of other');
  });

  it('says of an id that exists what was said to it in vain', async () => {
    folder.write('mail.txt', MAIL);
    const NOTE = 'run one exists already and is gone on with as it was begun';
    const begin = ['run', 'mail.txt', '--id', 'one', '--input', '{}', '--budget', 'toolCalls=99', '--steps', '50'];
    const first = await folder.json(...begin);
    expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining(NOTE)]);
    const again = await folder.json(...begin);
    expect([again.code, again.data]).toEqual([0, first.data]);
    expect(again.stderr).toContain(`${NOTE}: --input, --budget, --steps said nothing to it`);
  });

  it('runs a definition from a file, with an input', async () => {
    const given = await folder.json('run', 'troupe.config.ts#greet', '--input', '{"to":"dee"}');
    expect([given.code, given.data['output']]).toEqual([0, { id: 'dee' }]);
    folder.write('input.json', '{"to":"eva"}');
    const read = await folder.json('run', 'troupe.config.ts#greet', '--input', '@input.json');
    expect([read.code, read.data['output']]).toEqual([0, { id: 'eva' }]);
  });

  it('ends with 1 when the run fails, and says why without steering the terminal', async () => {
    folder.write('fail.txt', 'a. refuse\n');
    const { code, stdout } = await folder.troupe('run', 'fail.txt');
    expect(code).toBe(1);
    expect(stdout).toMatch(/failed a \(\d+ms\): no mail today\nfailed in .*\nStep a: no mail today \(AUTH\)/);
  });

  it('ends with 4 when the budget is spent', async () => {
    folder.write('mail.txt', MAIL);
    const { code, data } = await folder.json('run', 'mail.txt', '--steps', '2');
    expect(code).toBe(4);
    expect(data).toMatchObject({ status: 'failed', error: { code: 'BUDGET_EXCEEDED' } });
  });

  it('ends with 5 when its budget has paused it, and names the limit that is to be larger', async () => {
    folder.write('mail.txt', MAIL);
    const flags = ['--steps', '2', '--on-exhausted', 'pause', '--id', 'short'];
    const { code, stdout } = await folder.troupe('run', 'mail.txt', ...flags);
    expect([code, stdout]).toEqual([5, expect.stringContaining('to go on: troupe resume short --budget steps=<more>')]);
  });

  it('ends with 5 when only a message could move it on', async () => {
    const { code, stdout } = await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    expect(code).toBe(5);
    expect(stdout).toContain('it waits for a message: troupe send open <type>');
    const shown = await folder.json('show', 'open');
    expect(shown.data).toMatchObject({ inDoubt: [], actors: [{}, { actor: 'body', state: 'open' }] });
  });

  it('says when nothing else could go on with the run', async () => {
    folder.write('forgotten', '');
    const { stderr } = await folder.troupe('run', 'troupe.config.ts#greet', '--input', '{"to":"dee"}', '--id', 'lone');
    expect(stderr).toContain('greet is not among the definitions of the config');
    const shown = await folder.troupe('show', 'lone');
    expect(shown.code).toBe(0);
    expect(shown.stderr).toContain('which calls are in doubt cannot be told: Run lone is of greet 1');
    expect((await folder.troupe('replay', 'lone')).code).toBe(2);
  });
});

describe('Ctrl-C', () => {
  it('kills the run', async () => {
    folder.write('wait.txt', 'a. wait\n');
    const run = folder.begin('run', 'wait.txt', '--id', 'long');
    await run.printed('begun a');
    run.signal('SIGINT');
    const { code, stdout, stderr } = await run.ended;
    expect(code).toBe(3);
    expect(stderr).toContain('killing run long; again to leave it');
    expect(stdout).toMatch(/killed in .*\ninterrupted\n$/);
  });
});
