import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder, type Command } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('wait.txt', 'a. wait\nb. Get all contacts (after a)\n');
  folder.write('post.txt', 'a. post\nb. post\n');
});
afterEach(() => folder.remove());

const begin = async (...args: string[]): Promise<Command> => {
  const command = folder.begin('run', ...args);
  await command.printed('begun a');
  return command;
};
const rowOf = async (run: string): Promise<string> =>
  (await folder.troupe('ps')).stdout.split('\n').find((line) => line.startsWith(`${run} `)) ?? '';

describe('a run of another process', () => {
  it('is paused, named and resumed, and answers', async () => {
    const run = await begin('wait.txt', '--id', 'long');
    const named = await folder.json('checkpoint', 'long', 'before');
    expect(named).toMatchObject({ code: 0, data: { asked: 'checkpoint', here: false, seq: 4 } });
    const paused = await folder.troupe('pause', 'long', '--reason', 'look first', '--by', 'ana');
    expect(paused).toMatchObject({ code: 0, stdout: 'paused long (entry 5)\n', stderr: '' });
    await run.printed('paused by ana: look first');
    expect(await rowOf('long')).toMatch(/paused +yes .* somebody to resume it: look first and 1 more$/);
    const again = await folder.troupe('pause', 'long');
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('Run long is paused: it takes')]);
    const shown = (await folder.troupe('show', 'long')).stdout;
    expect(shown).toContain('paused by ana: look first\ncheckpoint before (entry 4): all up to entry 3\n');
    expect((await folder.json('resume', 'long')).data).toMatchObject({ runs: [{ seq: 6, outcome: null }], errors: [] });
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
  });

  it('says which call waits for approval, and who decided; a decision about another call is refused by its owner', async () => {
    folder.write('both.txt', 'a. wait\nb. post\n');
    const run = await begin('both.txt', '--id', 'r');
    await run.printed('b waits for approval: troupe approve r body/b\n');
    for (const named of [['body/b'], []]) {
      const other = await folder.json<{ error: object }>('approve', 'r', ...named, '--hash', 'ff');
      expect(other).toMatchObject({ code: 2, data: { error: { code: 'VALIDATION' } } });
      expect(other.stderr).toContain('this decision is about another call than body/b is now');
    }
    await run.printed('refused approve: ');
    const approved = await folder.troupe('approve', 'r');
    expect(approved).toMatchObject({ code: 0, stderr: '' });
    expect(approved.stdout).toMatch(/^approved body\/b of r \(entry \d+\)\n$/);
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
  });

  it('is not told what it cannot be told', async () => {
    const run = await begin('wait.txt', '--id', 'long');
    const denied = await folder.troupe('approve', 'long');
    expect([denied.code, denied.stderr]).toEqual([2, expect.stringContaining('no call that waits for approval')]);
    const sent = await folder.troupe('send', 'long', 'xstate.done');
    expect([sent.code, sent.stderr]).toEqual([2, expect.stringContaining('is not yours to send')]);
    const data = await folder.troupe('send', 'long', 'X', '--data', '[1]');
    expect([data.code, data.stderr]).toEqual([2, expect.stringContaining('--data must be a JSON object')]);
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
  });
});

describe('a run that nobody owns', () => {
  it('ends with 5 while calls wait for approval; which, and how it is given, is said', async () => {
    const run = await folder.troupe('run', 'post.txt', '--id', 'p', '--budget', 'usd=1,steps=9');
    expect(run.code).toBe(5);
    expect(run.stdout).toMatch(
      /2 calls wait for approval\n {2}body\/a \(mail\.post\) {2}\{\}\n {4}troupe approve p body\/a --hash \w+\n/,
    );
    expect(await rowOf('p')).toMatch(/no .* approval of body\/a \(mail\.post\) by anybody and 1 more$/);

    const several = await folder.json<{ error: object }>('approve', 'p');
    expect(several).toMatchObject({ code: 2, data: { error: { context: { waiting: [{ call: 'body/a' }, {}] } } } });
    expect(several.stderr).toContain('2 calls of run p wait for approval: body/a, body/b; name one');
    const other = await folder.troupe('approve', 'p', 'body/a', '--hash', 'ff');
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('about another call')]);
    expect((await folder.troupe('logs', 'p', '--type', 'run.recovered')).stdout).toBe('');
    const refused = await folder.troupe('audit', '--json');
    expect(refused.stdout).toContain('"action":"refuse","about":"approve"');

    const first = await folder.troupe('approve', 'p', 'body/a', '--by', 'bo');
    expect([first.code, first.stdout]).toEqual([5, expect.stringMatching(/^approved body\/a of p \(entry \d+\)\n/)]);
    const shown = await folder.json('show', 'p');
    expect(shown.data).toMatchObject({
      approvals: [{ call: 'body/b', tool: 'mail.post' }],
      limits: { usd: 1, steps: 9 },
      spent: { usd: 0.25, steps: 1 },
    });
    const second = await folder.json('deny', 'p', '--reason', 'too late');
    expect(second).toMatchObject({
      code: 1,
      data: { asked: 'deny', here: true, outcome: { status: 'failed', reason: expect.stringContaining('too late') } },
    });
  });

  it('is sent an event, and seen through', async () => {
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    expect(await rowOf('open')).toMatch(/a process to go on with it$/);
    const sent = await folder.troupe('send', 'open', 'CLOSE', '--data', '{"why":1}');
    expect([sent.code, sent.stdout]).toEqual([
      0,
      expect.stringMatching(/^sent CLOSE to open \(entry \d+\)\n.*\ncompleted in/s),
    ]);
    expect((await folder.troupe('logs', 'open', '--type', 'message.received')).stdout).toContain(
      '{"why":1,"type":"CLOSE"}',
    );
  });

  it('is not taken over for what it is not to be told', async () => {
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    const entries = async (): Promise<number> =>
      (await folder.json<{ entries: unknown[] }>('show', 'open')).data.entries.length;
    const before = await entries();
    for (const [args, why] of [
      [['send', 'open', 'troupe.resolve'], 'is not yours to send'],
      [['checkpoint', 'open', 'a b'], 'is not an id'],
      [['checkpoint', 'open', '7'], 'would be taken for the seq of an entry'],
    ] as const) {
      const refused = await folder.troupe(...args);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(why)]);
    }
    expect(await entries()).toBe(before);
  });

  it('waits for a larger budget, and goes on with one', async () => {
    folder.write('list.txt', 'a. Get all contacts\nb. Get all contacts (after a)\n');
    const run = await folder.json('run', 'list.txt', '--id', 'l', '--steps', '1', '--on-exhausted', 'pause');
    expect(run).toMatchObject({ code: 5, data: { status: 'paused' } });
    expect(await rowOf('l')).toMatch(/paused .* a larger budget: steps 1 of 1 spent$/);
    const resumed = await folder.troupe('resume', 'l', '--budget', 'steps=5');
    expect([resumed.code, resumed.stdout]).toEqual([
      0,
      expect.stringMatching(/^resumed l .*\ncompleted in .*: 2 steps/s),
    ]);
  });

  it('is paused all the same: what it had begun is seen through', async () => {
    const run = await begin('wait.txt', '--id', 'long');
    run.signal('SIGTERM');
    await run.ended;
    const pause = folder.begin('pause', 'long', '--json');
    await pause.printed('paused by');
    folder.write('go', '');
    const { code, stdout } = await pause.ended;
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { runs: [{ here: true, outcome: { status: 'paused' } }] }]);
    expect((await folder.json('resume', 'long')).data).toMatchObject({ runs: [{ outcome: { status: 'completed' } }] });
  });
});

describe('a step that is skipped', () => {
  it('says why', async () => {
    folder.write(
      'skip.yaml',
      `name: skip
steps:
  a: { tool: mail.list }
  b: { tool: mail.list, when: { step: a, field: length, above: 9 }, needs: [a] }
  c: { tool: mail.list, needs: [b] }
`,
    );
    const { stdout } = await folder.troupe('run', 'skip.yaml');
    expect(stdout).toContain('skipped b: its condition does not hold\nskipped c: b was skipped\ncompleted in ');
  });
});
