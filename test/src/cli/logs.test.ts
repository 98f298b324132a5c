import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TraceEvent } from '../../../src/trace.ts';
import { Folder, type Command } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('mail.txt', 'a. Get all contacts\nb. Send emails (requires step a)\n');
  folder.write('wait.txt', 'a. wait\n');
});
afterEach(() => folder.remove());

const begin = async (id: string): Promise<Command> => {
  const run = folder.begin('run', 'wait.txt', '--id', id);
  await run.printed('begun a');
  return run;
};
const eventsOf = (stdout: string): TraceEvent[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TraceEvent);

describe('troupe logs', () => {
  it('prints a line for each entry: seq, time, type, target, data, and what it took', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const { code, stdout, stderr } = await folder.troupe('logs', 'one');
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.trim().split(' ')[0])).toEqual(lines.map((_, index) => String(index + 1)));
    expect(lines[0]).toMatch(
      /^ {4}1 {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}run\.created {7}run {2}\{"by":"[^"]+","definition":"mail"/,
    );
    expect(lines.at(-1)).toMatch(/ run\.completed .* \(\S+m?s\)$/);
    expect(stdout).toMatch(/ leaf\.succeeded {4}\S+ {2}\{"output":\{"id":"ana"\}\} {2}\(\d+ms\)\n/);
  });

  it('gives a line of JSON for each, of the types and from the entry that are asked for', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const all = eventsOf((await folder.troupe('logs', 'one', '--json')).stdout);
    expect(all[0]).toMatchObject({ seq: 1, type: 'run.created', cause: null, at: expect.any(Number) });
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1));
    const types = ['--type', 'leaf.succeeded,run.created', '--type', 'run.completed'];
    const some = await folder.troupe('logs', 'one', '--json', '--since', '5', ...types);
    expect(eventsOf(some.stdout)).toEqual(
      all.filter(({ seq, type }) => seq >= 5 && (type === 'leaf.succeeded' || type === 'run.completed')),
    );
    // As long as in the whole, though the begin is not among them.
    expect(eventsOf(some.stdout).every(({ durationMs }) => durationMs !== undefined)).toBe(true);
  });

  it('without --follow ends where the run stands', async () => {
    const run = await begin('long');
    const { code, stdout } = await folder.troupe('logs', 'long', '--json');
    expect([code, eventsOf(stdout).map(({ type }) => type)]).toEqual([
      0,
      ['run.created', 'run.started', 'leaf.started'],
    ]);
    folder.write('go', '');
    await run.ended;
  });

  it('with --follow goes on until the run has ended', async () => {
    const run = await begin('long');
    const logs = folder.begin('logs', 'long', '-f', '--json');
    await logs.printed('"leaf.started"');
    folder.write('go', '');
    await run.ended;
    const { code, stdout } = await logs.ended;
    expect([code, eventsOf(stdout).at(-1)?.type]).toEqual([0, 'run.completed']);
  });

  it('Ctrl-C leaves it, and the run as it is', async () => {
    const run = await begin('long');
    for (const json of [[], ['--json']]) {
      const logs = folder.begin('logs', 'long', '-f', ...json);
      await logs.printed('leaf.started');
      logs.signal('SIGINT');
      const { code, stdout, stderr } = await logs.ended;
      expect([code, stderr, stdout.trimEnd().split('\n').length]).toEqual([130, '', 3]);
    }
    folder.write('go', '');
    expect((await run.ended).code).toBe(0);
  });

  it('ends quietly when nobody reads on, though the run goes on', async () => {
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    for (const json of [[], ['--json']]) {
      const logs = folder.begin('logs', 'open', '-f', ...json);
      logs.close('stdout');
      const { code, stderr } = await logs.ended;
      expect([code, stderr]).toEqual([0, '']);
    }
  });

  it('refuses a type that no entry has, and says which is nearest', async () => {
    const { code, data } = await folder.json<{ error: object }>('logs', 'one', '--type', 'leaf.suceeded');
    expect([code, data.error]).toMatchObject([
      2,
      { code: 'VALIDATION', message: expect.stringContaining('did you mean leaf.succeeded') },
    ]);
    expect((await folder.troupe('logs', 'one', '--type', 'x')).stderr).toContain('use one of run.created, ');
    for (const since of ['-1', 'x', '1.5']) expect((await folder.troupe('logs', 'one', '--since', since)).code).toBe(2);
    expect((await folder.troupe('logs', 'nobody')).stderr).toContain('NOT_FOUND: There is no run nobody');
  });
});

describe('troupe show --why', () => {
  it('goes back from an entry to the beginning of the run, further in with each', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const sent = eventsOf((await folder.troupe('logs', 'one', '--json', '--type', 'leaf.succeeded')).stdout)[1];
    const seq = String(sent?.seq);
    const { code, data } = await folder.json<TraceEvent[]>('show', 'one', '--why', seq);
    expect(code).toBe(0);
    expect(data.slice(0, 2).map(({ type }) => type)).toEqual(['run.created', 'run.started']);
    expect(data.filter(({ type }) => type === 'leaf.succeeded').map(({ target }) => target)).toEqual([
      'body/a/attempt',
      sent?.target,
    ]);
    expect(data.at(-1)).toEqual(sent);
    for (const [index, { cause }] of data.entries()) expect(cause).toBe(data[index - 1]?.seq ?? null);
    const { stdout } = await folder.troupe('show', 'one', '--why', seq);
    const indents = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.search(/\d/));
    expect(indents).toEqual([0, ...data.slice(1).map((_, depth) => 4 + 2 * depth)]);
  });

  it('refuses an entry that is not there', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const { code, data } = await folder.json<{ error: object }>('show', 'one', '--why', '999');
    expect([code, data.error]).toMatchObject([2, { code: 'NOT_FOUND', context: { seq: 999 } }]);
    expect((await folder.troupe('show', 'one', '--why', 'first')).code).toBe(2);
  });
});
