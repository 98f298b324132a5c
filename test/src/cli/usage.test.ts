import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => (folder = new Folder()));
afterEach(() => folder.remove());

interface Refusal {
  error: { code: string; message: string; context: Record<string, unknown> };
}

/** Both ways: for people on stderr, as data on stdout; never a stack trace. */
async function refused(args: readonly string[], code: string, message: string): Promise<Record<string, unknown>> {
  const [human, asked] = await Promise.all([folder.troupe(...args), folder.json<Refusal>(...args)]);
  expect(human.stderr).toContain(code === 'USAGE' ? 'error: ' : `troupe: ${code}: `);
  expect(human.stderr).toContain(message);
  expect(human.stderr).not.toMatch(/\n\s+at /);
  expect([human.code, human.stdout]).toEqual([2, '']);
  expect([asked.code, asked.data.error.code]).toEqual([2, code]);
  expect(asked.data.error.message).toContain(message);
  return asked.data.error.context;
}

describe('what is refused', () => {
  it.each(['a.b', '..', '*', ''])('the run id %j', async (id) => {
    await refused(['show', id], 'VALIDATION', 'is not an id');
  });

  it('a run nobody knows', async () => {
    for (const command of ['show', 'replay', 'kill', 'recover']) {
      const { code, stderr } = await folder.troupe(command, 'nobody');
      expect([command, code]).toEqual([command, 2]);
      expect(stderr).toContain('NOT_FOUND: There is no run nobody');
    }
  });

  it('a config that is no module, by its name', async () => {
    folder.write('config.sh', 'exit 1');
    await refused(['ps', '--config', 'config.sh'], 'VALIDATION', 'its name does not end in .ts, .js');
  });

  it('a plan that cannot be loaded, by file, line and column', async () => {
    folder.write('bad.txt', 'a. Get all contacts\nb. Send emials (requires step a)\n');
    const context = await refused(['run', 'bad.txt'], 'PLAN', 'bad.txt:2:4: No tool goes by "send emials"');
    expect(context).toMatchObject({ file: 'bad.txt', line: 2, column: 4 });
    folder.write('secret.txt', 'a. secret\n');
    await refused(['run', 'secret.txt'], 'PLAN', 'secret.txt:1:4: ');
  });

  it('a plan, an export or an input that is not there', async () => {
    await refused(['run', 'none.txt'], 'NOT_FOUND', "There is no definition, tool or file 'none.txt'; the config has");
    await refused(['run', 'gret'], 'NOT_FOUND', 'did you mean greet?');
    await refused(['run', 'none.ts#x'], 'VALIDATION', 'there is no file');
    await refused(
      ['run', 'troupe.config.ts#none'],
      'VALIDATION',
      'it exports default, greet, mute, nothing, order, parent',
    );
    await refused(['run', 'troupe.config.ts#nothing'], 'VALIDATION', 'must be a definition');
    const greet = ['run', 'troupe.config.ts#greet', '--input'];
    await refused([...greet, '{'], 'VALIDATION', '--input is not JSON');
    await refused([...greet, '@none.json'], 'VALIDATION', 'Cannot read the file of --input');
    await refused([...greet, '{"to":1}'], 'VALIDATION', 'The input of greet is not what its schema asks for: to:');
  });

  it('a config that is missing, broken or wrong', async () => {
    await refused(['ps', '--config', 'none.ts'], 'VALIDATION', 'there is no file');
    folder.write('broken.js', 'export default {');
    await refused(['ps', '--config', 'broken.js'], 'VALIDATION', 'Cannot load the config, broken.js: ');
    folder.write('wrong.js', 'export default { tools: [1], colour: true }');
    await refused(['ps', '--config', 'wrong.js'], 'VALIDATION', 'wrong.js is not a config: backend: must be a backend');
    await refused(['ps', '--config', 'wrong.js'], 'VALIDATION', 'tools.0: must be a tool or a module');
    await refused(['ps', '--config', 'wrong.js'], 'VALIDATION', '"colour"');
    folder.write('sub.js', 'export const x = 1');
    await refused(['ps', '--config', 'sub.js'], 'VALIDATION', 'default export: ');
    folder.write('null.js', 'throw null');
    await refused(['ps', '--config', 'null.js'], 'VALIDATION', 'Cannot load the config, null.js: null');
    folder.write('never.js', 'await new Promise(() => {}); export default {}');
    await refused(['ps', '--config', 'never.js'], 'VALIDATION', 'never.js: it awaits something that never comes');
    folder.write('empty.js', 'export default { backend: { open: () => ({ journal: {}, alive: () => true }) } }');
    await refused(['ps', '--config', 'empty.js'], 'VALIDATION', 'its open() gives nothing with close, bus.publish,');
    folder.write('none.js', 'export default { backend: { open: () => undefined } }');
    await refused(['ps', '--config', 'none.js'], 'VALIDATION', 'its open() gives nothing with alive, close,');
  });

  it('a long id, which it does not tell back', async () => {
    const id = 'x'.repeat(4_000);
    for (const args of [
      ['kill', id],
      ['show', id],
      ['resolve', id, id, '--retry'],
    ]) {
      const { code, data } = await folder.json(...args);
      expect([args[0], code, JSON.stringify(data).length < 1_000]).toEqual([args[0], 2, true]);
    }
  });

  it('options and commands it does not have', async () => {
    for (const args of [['dance'], ['ps', '--status', 'odd'], ['show'], ['run', 'x.txt', '--steps', '1.5'], []])
      expect([args, (await folder.troupe(...args)).code]).toEqual([args, 2]);
    expect(await folder.json('ps', '--status', 'odd')).toMatchObject({ code: 2, data: { error: { code: 'USAGE' } } });
  });
});

describe('what is said twice', () => {
  it.each([
    [['run', 'greet', '--budget', 'steps=0', '--budget=usd=5'], "'--budget <limits>' is given more than once"],
    [['kill', '--tenant', 'a', '--tenant', 'b', '--yes'], "'--tenant <tenant>' is given more than once"],
    [['kill', '--definition', 'x', '--agent', 'y', '--yes'], "'--agent <name>' cannot be used with option"],
  ])('%j is refused, and nothing happens', async (args, message) => {
    await refused(args, 'USAGE', message);
    expect((await folder.json('ps')).data).toMatchObject({ runs: [], switches: [] });
  });

  it('and differently, too', async () => {
    for (const command of ['kill', 'lift'])
      await refused([command, '--tenant', 'a', '--definition', 'b'], 'VALIDATION', 'Give one of --tenant');
    await refused(
      ['run', 'greet', '--budget', 'steps=0', '--steps', '5'],
      'VALIDATION',
      'says twice what steps may be',
    );
  });
});

const COMMANDS =
  'run fork recover resolve pause resume approve deny send checkpoint kill lift ps top show logs audit replay diff draw doctor completion'.split(
    ' ',
  );

describe('help', () => {
  it('has an example for every command', async () => {
    const { code, stdout } = await folder.troupe('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('5 waiting for a person');
    for (const command of COMMANDS) {
      expect(stdout).toContain(`  ${command} `);
      const help = await folder.troupe(command, '--help');
      expect(help.stdout).toMatch(new RegExp(`Example:\\n  .*troupe ${command}`));
    }
  });

  it('tells the version, and shows no colours to a file', async () => {
    expect((await folder.troupe('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
    expect((await folder.json('ps', '--help')).data).toMatchObject({
      text: expect.stringContaining('Usage: troupe ps'),
    });
    expect((await folder.troupe('ps', '--no-color')).stdout).not.toContain('\x1b');
  });

  it('shows the stack trace to whoever debugs', async () => {
    folder.env['TROUPE_DEBUG'] = '1';
    expect((await folder.troupe('show', 'a.b')).stderr).toMatch(/\n\s+at .*ids\.ts/);
  });
});
