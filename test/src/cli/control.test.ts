import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('wait.txt', 'a. wait\n');
});
afterEach(() => folder.remove());

const begin = async (id: string): Promise<ReturnType<Folder['begin']>> => {
  const run = folder.begin('run', 'wait.txt', '--id', id);
  await run.printed('begun a');
  return run;
};

describe('beside a process with a run', () => {
  it('ps lists it, show shows it, recover and resolve leave it alone', async () => {
    const run = await begin('long');
    const listed = await folder.troupe('ps');
    expect(listed.code).toBe(0);
    expect(listed.stdout).toMatch(
      /^RUN +DEFINITION +STATUS +OWNED +AGE +DURATION +WAITS FOR\nlong +wait +running +yes +\S+ +\S+ +call a\n$/,
    );
    expect(listed.stderr).toBe('');
    const asked = await folder.json<{ runs: unknown[] }>('ps', '--status', 'running');
    expect(asked.data.runs).toMatchObject([{ run: 'long', owned: true, status: 'running' }]);
    expect((await folder.json('ps', '--status', 'completed')).data).toEqual({ runs: [], switches: [] });
    const shown = await folder.json<{ entries: { type: string }[] }>('show', 'long');
    expect(shown.data).toMatchObject({ summary: { status: 'running' }, inDoubt: [] });
    expect(shown.data.entries.map(({ type }) => type)).toEqual(['run.created', 'run.started', 'leaf.started']);
    const recovered = await folder.troupe('recover');
    expect([recovered.code, recovered.stdout]).toEqual([0, 'nothing to recover\n']);
    const wanted = await folder.troupe('recover', 'long');
    expect([wanted.code, wanted.stderr]).toEqual([
      1,
      expect.stringContaining('STALE_OWNER: Run long lives in another'),
    ]);
    expect((await folder.troupe('resolve', 'long', 'body/a', '--retry')).code).toBe(2);
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
  });

  it('kill fences it: it ends as killed at its next append', async () => {
    const run = await begin('long');
    const killed = await folder.troupe('kill', 'long', '--reason', 'wrong list', '--grace', '0s');
    // Its call hears no signal, and goes on for nobody.
    expect(killed.code).toBe(1);
    expect(killed.stdout).toMatch(
      /^killed long: wrong list \(entry 4, \d+ms\)\ndid not stop in time; .*\n {2}long {2}\S.*\n$/,
    );
    folder.write('go', '');
    const { code, stdout } = await run.ended;
    expect(code).toBe(3);
    expect(stdout).toMatch(/killed in .*\nwrong list\n$/);
    const shown = await folder.troupe('show', 'long');
    expect(shown.stdout).toMatch(/^long {2}wait\nkilled in /);
    expect(shown.stdout).toMatch(/4 +\S+ +run\.killed +run +\{"by":"[^"]+","reason":"wrong list"\} +\S+\n$/);
  });

  it('the same id again follows it to its end', async () => {
    const run = await begin('long');
    const second = folder.begin('run', 'wait.txt', '--id', 'long');
    await second.printed('begun a');
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
    const { code, stdout } = await second.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('output: {"a":{"went":true}}');
  });
});

describe('troupe kill', () => {
  it('goes on to the next run after one that is unknown, and changes no end', async () => {
    folder.write('go', '');
    await folder.troupe('run', 'wait.txt', '--id', 'over');
    const { code, data } = await folder.json('kill', 'nobody', 'over');
    expect(code).toBe(2);
    expect(data).toMatchObject({
      receipts: [{ run: 'over', status: 'completed' }],
      errors: [{ run: 'nobody', error: { code: 'NOT_FOUND' } }],
    });
  });
});

describe('troupe recover', () => {
  it('reports what it leaves, and goes on with the rest', async () => {
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    const waiting = await folder.json('recover');
    expect(waiting).toMatchObject({ code: 5, data: { runs: [{ run: 'open', inDoubt: [] }] } });
    folder.write('forgotten', '');
    const { code, data, stderr } = await folder.json('recover');
    expect([code, stderr]).toEqual([1, expect.stringContaining('left open as it is')]);
    expect(data).toMatchObject({ runs: [], left: [{ run: 'open', error: { code: 'DEFINITION_CHANGED' } }] });
    expect((await folder.troupe('recover', 'open')).code).toBe(2);
  });
});
