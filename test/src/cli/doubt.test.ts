import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(async () => {
  folder = new Folder();
  folder.write('die.txt', 'a. Get all contacts\nb. die\n');
  expect((await folder.troupe('run', 'die.txt', '--id', 'd')).code).toBeNull();
});
afterEach(() => folder.remove());

const DOUBT = [
  '1 call in doubt: begun, and nobody knows whether it happened',
  '  body/b  {}',
  'find out, then say it:',
  "  troupe resolve d body/b --output '<JSON>'    it happened, and this is its output",
].join('\n');

describe('an irreversible call cut short', () => {
  it('is shown before anybody has taken the run over', async () => {
    const listed = await folder.troupe('ps');
    expect(listed.stdout).toMatch(/\nd +die +running +no +/);
    expect(listed.stderr).toBe("it is somebody's turn: troupe resolve d body/b\n");
    const shown = await folder.troupe('show', 'd');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain(DOUBT);
    const { data } = await folder.json<{ inDoubt: unknown; entries: unknown[] }>('show', 'd');
    expect(data.inDoubt).toMatchObject([{ call: 'body/b', input: {} }]);
    expect((await folder.json('ps')).data).toMatchObject({ runs: [{ run: 'd', owned: false }] });
  });

  it('stops recover, which names it, until it is resolved; then the replay is equal', async () => {
    const recovered = await folder.troupe('recover');
    expect(recovered.code).toBe(5);
    expect(recovered.stdout).toContain(`d running: 2 steps`);
    expect(recovered.stdout).toContain(DOUBT);
    const again = await folder.json('recover', 'd');
    expect(again.code).toBe(5);
    expect(again.data).toMatchObject({ runs: [{ run: 'd', inDoubt: [{ call: 'body/b' }] }], left: [] });

    const wrong = await folder.troupe('resolve', 'd', 'body/x', '--retry');
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining("no call 'body/x' in doubt; in doubt: body/b"),
    ]);
    const resolved = await folder.troupe('resolve', 'd', 'body/b', '--output', '{"id":"by hand"}');
    expect(resolved.code).toBe(0);
    expect(resolved.stdout).toMatch(
      /^resolved body\/b of d\n(told .*\n)?completed in .*\noutput: .*"b":\{"id":"by hand"\}\}\n$/,
    );

    const replayed = await folder.troupe('replay', 'd');
    expect(replayed.code).toBe(0);
    expect(replayed.stdout).toMatch(/^replayed \d+ entries of d: equal, nothing executed\ncompleted in /);
    expect((await folder.json('replay', 'd')).data).toMatchObject({ run: 'd', equal: true, status: 'completed' });
    const late = await folder.troupe('resolve', 'd', 'body/b', '--retry');
    expect([late.code, late.stderr]).toEqual([2, expect.stringContaining('INVALID_STATE_TRANSITION')]);
    const ended = await folder.json('recover', 'd');
    expect(ended).toMatchObject({ code: 0, data: { runs: [{ status: 'completed' }] } });
  });

  it('is named by the same name where it is killed, and ever after', async () => {
    const killed = await folder.json<{ receipts: { inDoubt: string[] }[] }>('kill', 'd');
    expect(killed.data.receipts).toMatchObject([{ inDoubt: ['body/b'] }]);
    expect((await folder.json('show', 'd')).data).toMatchObject({ inDoubt: [], outcomesUnknown: ['body/b'] });
    expect((await folder.troupe('show', 'd')).stdout).toContain(
      'begun, and nobody knows whether they happened:\n  body/b\n',
    );
  });

  it('begins again with --retry', async () => {
    const { code, data } = await folder.json('resolve', 'd', 'body/b', '--retry');
    expect([code, data['output']]).toEqual([0, expect.objectContaining({ b: { id: 'by itself' } })]);
  });

  it('fails with --error', async () => {
    const { code, stdout } = await folder.troupe('resolve', 'd', 'body/b', '--error', 'never arrived');
    expect(code).toBe(1);
    expect(stdout).toContain('Step b: never arrived');
  });

  it('takes one decision, and JSON', async () => {
    const none = await folder.troupe('resolve', 'd', 'body/b');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('Say one of --output')]);
    expect((await folder.troupe('resolve', 'd', 'body/b', '--retry', '--error', 'x')).code).toBe(2);
    const bad = await folder.troupe('resolve', 'd', 'body/b', '--output', '{"id"');
    expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining('VALIDATION: --output is not JSON')]);
  });

  it('the same plan and id again go on with the run', async () => {
    const { code, stdout } = await folder.troupe('run', 'die.txt', '--id', 'd');
    expect(code).toBe(5);
    expect(stdout).toContain(DOUBT);
  });
});
