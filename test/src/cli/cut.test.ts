import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder, type Command } from './folder.ts';

/** A store that takes nothing, and says when it was asked to. */
const STUCK = `
import { embedded } from ${JSON.stringify(new URL('../../../src/index.ts', import.meta.url).href)};
import config from './troupe.config.ts';
const open = async (ports) => {
  const { name, level, owner, bus, journal, queue, registry } = await embedded().open(ports);
  const append = () => { console.error('asked'); return new Promise(() => setInterval(() => {}, 1_000)); };
  const [read, tail, list, watch] = ['read', 'tail', 'list', 'watch'].map((part) => (...given) => journal[part](...given));
  return { name, level, owner, bus, queue, registry, journal: { append, read, tail, list, watch }, alive: () => true, close: () => {} };
};
export default { ...config, backend: { open } };
`;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('wait.txt', 'a. wait\n');
});
afterEach(() => folder.remove());

const begin = async (...args: string[]): Promise<Command> => {
  const command = folder.begin(...args);
  await command.printed('begun a');
  return command;
};
const statusOf = async (run: string): Promise<unknown> =>
  (await folder.json<{ summary: { status: string } }>('show', run)).data.summary.status;

describe('when nobody reads on', () => {
  beforeEach(() => folder.write('tell.txt', 'a. wait\nb. dirty (after a)\nc. refuse (after b)\n'));

  it.each(['stdout', 'stderr'] as const)(
    'a run whose %s is closed is seen through, and exits as it ends',
    async (stream) => {
      const run = await begin('run', 'tell.txt', '--id', 'r');
      run.close(stream);
      folder.write('go', '');
      expect((await run.ended).code).toBe(1);
      expect(await statusOf('r')).toBe('failed');
    },
  );

  it('so it is with --json, whose result is still told', async () => {
    const run = await begin('run', 'tell.txt', '--id', 'r', '--json');
    run.close('stderr');
    folder.write('go', '');
    const { code, stdout } = await run.ended;
    expect([code, JSON.parse(stdout)]).toMatchObject([1, { run: 'r', status: 'failed' }]);
  });

  it('a command that only reads ends quietly', async () => {
    const shown = folder.begin('ps');
    shown.close('stdout');
    expect(await shown.ended).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('a tool that does what it should not', () => {
  it.each([
    ['stray', 'null'],
    ['float', 'floating'],
    ['quit', 'ended this process, with 0'],
  ])('%s: ends the process, which says what it was driving', async (tool, message) => {
    folder.write('rude.txt', `a. ${tool}\n`);
    const { code, data, stderr } = await folder.json('run', 'rude.txt', '--id', 'r');
    expect(data).toEqual({
      error: { code: 'UNEXPECTED', message: expect.stringContaining(message) },
      runs: ['r'],
      next: 'troupe recover r',
    });
    expect([code, stderr]).toEqual([1, expect.stringContaining('it was driving r; to go on: troupe recover r\n')]);
    const unnamed = await folder.json<{ runs: string[] }>('run', 'rude.txt');
    expect(unnamed.data.runs).toEqual([expect.any(String)]);
    const again = await folder.json('recover', 'r');
    expect([again.code, again.data['runs']]).toEqual([1, ['r']]);
  });

  it('prints: on stderr, with --json', async () => {
    folder.write('dirty.txt', 'a. dirty\n');
    const { code, data, stderr } = await folder.json('run', 'dirty.txt');
    expect([code, data['status']]).toEqual([0, 'completed']);
    expect(stderr).toMatch(/by: 'dir'[^]*'table'[^]*by write\n/);
    expect((await folder.troupe('run', 'dirty.txt')).stdout).toMatch(/by: 'dir'[^]*'table'[^]*by write\n/);
  });

  it('never answers, and holds nothing: the run is left for another day', async () => {
    const { code, data } = await folder.json('run', 'troupe.config.ts#mute', '--id', 'm');
    expect([code, data['runs']]).toEqual([1, ['m']]);
    expect(data['error']).toMatchObject({ message: expect.stringContaining('never answers') });
  });
});

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGHUP'] as const)(
    '%s lets go of the run, which goes on where it is recovered; Ctrl-C lets go of it again',
    async (signal) => {
      const run = await begin('run', 'wait.txt', '--id', 'r', '--json');
      run.signal(signal);
      const left = await run.ended;
      expect([left.code, JSON.parse(left.stdout)]).toMatchObject([
        130,
        { run: 'r', status: 'running', inDoubt: [], interrupted: signal },
      ]);
      expect(left.stderr).toContain('let go of; to go on: troupe recover r\n');

      const recovered = await begin('recover', '--json');
      recovered.signal('SIGINT');
      const again = await recovered.ended;
      expect([again.code, JSON.parse(again.stdout)]).toMatchObject([
        130,
        { runs: [{ run: 'r', status: 'running', interrupted: 'SIGINT' }], left: [] },
      ]);
      folder.write('go', '');
      expect((await folder.json('recover')).data).toMatchObject({ runs: [{ run: 'r', status: 'completed' }] });
    },
  );

  it('Ctrl-C kills the run that resolve sees through', async () => {
    folder.write('die.txt', 'b. die\na. wait (after b)\n');
    await folder.troupe('run', 'die.txt', '--id', 'd');
    const resolved = await begin('resolve', 'd', 'body/b', '--output', '{"id":"by hand"}', '--json');
    resolved.signal('SIGINT');
    const { code, stdout, stderr } = await resolved.ended;
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { run: 'd', status: 'killed', reason: 'interrupted' }]);
    expect(stderr).toContain('killing run d; again to leave it');
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s with nothing to let go of leaves at once', async (signal) => {
    folder.write('slow.js', 'console.log("here"); await new Promise((resolve) => setTimeout(resolve, 60_000));');
    const slow = folder.begin('ps', '--config', 'slow.js', '--json');
    await slow.printed('here');
    slow.signal(signal);
    const { code, stdout } = await slow.ended;
    expect([code, JSON.parse(stdout)]).toEqual([
      130,
      { error: { code: 'INTERRUPTED', message: `Left by ${signal}.` } },
    ]);
  });

  it('is told of in --help', async () => {
    expect((await folder.troupe('--help')).stdout).toContain('130 left at a signal');
  });

  it('before the run is there says no more than that it may be', async () => {
    folder.write('stuck.config.ts', STUCK);
    const run = folder.begin('run', 'order', '--id', 'g1', '--config', 'stuck.config.ts');
    await run.printed('asked');
    run.signal('SIGINT');
    const { code, stderr } = await run.ended;
    expect(code).toBe(130);
    expect(stderr).toContain('it was about to begin g1; to go on, if that is there by now: troupe recover g1\n');
  });
});
