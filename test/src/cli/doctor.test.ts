import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import type { Check } from '../../../src/cli/checks/check.ts';
import { fileSystemCheck, spaceCheck } from '../../../src/cli/checks/directory.ts';
import { nodeCheck, packageChecks, satisfies } from '../../../src/cli/checks/packages.ts';
import { clockCheck } from '../../../src/cli/checks/runs.ts';
import type { RunInfo } from '../../../src/options.ts';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('mail.txt', 'a. Get all contacts\nb. Send emails (requires step a)\n');
  // A backend that says where its files are.
  folder.write(
    'told.ts',
    `import config from './troupe.config.ts';
     export default { ...config, backend: Object.assign(config.backend, { dir: '.troupe' }) };`,
  );
});
afterEach(() => folder.remove());

interface Diagnosis {
  code: number | null;
  /** By what was looked at, the gravest of each. */
  found: Record<string, Check>;
}
async function examine(...args: string[]): Promise<Diagnosis> {
  const { code, data } = await folder.json<{ ok: boolean; checks: Check[] }>('doctor', '--config', 'told.ts', ...args);
  expect(data.ok).toBe(code === 0);
  expect(data.checks.filter(({ status, todo }) => status === 'warn' && todo === undefined)).toEqual([]);
  const order = ['ok', 'warn', 'fail'];
  const sorted = data.checks.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  return { code, found: Object.fromEntries(sorted.map((check) => [check.check, check])) };
}
const store = (): DatabaseSync => new DatabaseSync(join(folder.path, '.troupe/troupe.db'));

describe('troupe doctor', () => {
  it('finds nothing wrong where nothing is', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const { code, found } = await examine();
    expect(code).toBe(0);
    for (const check of ['node', 'xstate', 'zod', 'config', 'directory', 'backend', 'owners', 'runs', 'clock'])
      expect(found[check]).toMatchObject({ status: 'ok' });
    expect(found['backend']?.says).toContain('level process');
    expect(found['owners']?.says).toBe('nobody else has the store open');
    expect(found['runs']?.says).toBe('1 run, 0 unfinished');
    const { stdout } = await folder.troupe('doctor', '--config', 'told.ts');
    expect(stdout).toMatch(/^ok {4}node +\d+\.\S+; troupe needs >=/);
    expect(stdout).toMatch(/\n0 failures, \d warnings?\n$/);
  });

  it('makes no store where there is none', async () => {
    const { code, found } = await examine();
    expect([code, found['directory'], found['backend']]).toMatchObject([0, { status: 'warn' }, undefined]);
    expect(existsSync(join(folder.path, '.troupe'))).toBe(false);
  });

  it('says what stands still, what is in doubt and whose definition is missing, and changes nothing', async () => {
    folder.write('die.txt', 'a. die\n');
    await folder.troupe('run', 'die.txt', '--id', 'dead');
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'open');
    folder.write('forgotten', '');
    const rows = (): unknown[] => {
      const db = store();
      try {
        return ['entries', 'registry'].flatMap((table) => db.prepare(`SELECT * FROM ${table}`).all());
      } finally {
        db.close();
      }
    };
    const before = rows();
    const { code, found } = await examine();
    expect(code).toBe(0);
    expect(found['runs']).toMatchObject({ status: 'warn', todo: expect.stringContaining('troupe recover') });
    expect(found['runs']?.says).toMatch(/^2 runs, 2 unfinished; nobody alive owns dead, open:/);
    expect(found['doubt']).toMatchObject({ status: 'warn', todo: 'find out, and say it: troupe show dead' });
    expect(found['definitions']).toMatchObject({
      status: 'warn',
      says: expect.stringMatching(/^order of open is not/),
    });
    expect(rows()).toEqual(before);
  });

  it('sees who else is there', async () => {
    folder.write('wait.txt', 'a. wait\n');
    const run = folder.begin('run', 'wait.txt', '--id', 'long');
    await run.printed('begun a');
    const { found } = await examine();
    expect([found['owners']?.says, found['runs']?.says]).toEqual(['1 other owner alive', '1 run, 1 unfinished']);
    expect(found['runs']?.status).toBe('ok');
    folder.write('go', '');
    await run.ended;
  });

  it('fails where a journal is damaged, and says which run and entry', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const db = store();
    db.exec(
      'UPDATE entries SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT id FROM entries ORDER BY id LIMIT 1 OFFSET 4)',
    );
    db.close();
    const { code, found } = await examine();
    expect([code, found['journal']]).toMatchObject([1, { status: 'fail' }]);
    expect(found['journal']?.says).toMatch(/^run one: CORRUPT_JOURNAL: .*entry 5/);
  });

  it('fails where the store is not ours', async () => {
    mkdirSync(join(folder.path, '.troupe'));
    const db = store();
    db.exec('CREATE TABLE theirs (x)');
    db.close();
    const { code, found } = await examine();
    expect([code, found['backend']]).toMatchObject([1, { status: 'fail' }]);
    expect(found['backend']?.says).toMatch(/^UNSUPPORTED_FORMAT: .* of another program/);
  });

  it('fails where the config is none, or two definitions share a name', async () => {
    folder.write('none.ts', 'export default {}');
    const none = await folder.json<{ checks: Check[] }>('doctor', '--config', 'none.ts');
    expect([none.code, none.data.checks.at(-1)]).toMatchObject([1, { check: 'config', status: 'fail' }]);
    const human = await folder.troupe('doctor', '--config', 'none.ts');
    expect([human.code, human.stdout]).toEqual([1, expect.stringContaining('fail  config ')]);
    folder.write(
      'twice.ts',
      `import config, { order } from './troupe.config.ts';
       export default { ...config, definitions: [order, { ...order }] };`,
    );
    // The store is there: one that is not is not made to look at it.
    await folder.troupe('ps');
    const twice = await folder.json<{ checks: Check[] }>('doctor', '--config', 'twice.ts');
    const about = twice.data.checks.find(({ check }) => check === 'definitions');
    expect(about).toMatchObject({ status: 'fail' });
    expect(about?.says).toContain('Two definitions are named order');
  });
});

describe('what it knows', () => {
  it.each([
    ['22.13.0', '>=22.13', true],
    ['24.0.0-nightly', '>=22.13', true],
    ['22.12.9', '>=22.13', false],
    ['20.20.2', '>=22.13', false],
    ['5.33.3', '~5.33.3', true],
    ['5.33.10', '~5.33.3', true],
    ['5.33.2', '~5.33.3', false],
    ['5.34.0', '~5.33.3', false],
    ['6.0.0', '~5.33.3', false],
    ['4.9.1', '^4', true],
    ['5.0.0', '^4', false],
    ['3.25.0', '^4', false],
    ['1.2.3', '1.2.3', true],
    ['1.2.4', '1.2.3', false],
  ])('%s in %s: %s', (version, range, is) => expect(satisfies(version, range)).toBe(is));

  test('a Node that is too old', () =>
    expect(nodeCheck('20.20.2', '>=22.13')).toMatchObject({ status: 'fail', todo: expect.stringContaining('Node') }));

  test('a second copy of xstate, and one of another version', () => {
    const write = (path: string, version: string): void => {
      const file = join(folder.path, path, 'package.json');
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify({ name: 'xstate', version }));
    };
    const xstate = (): Check | undefined => [...packageChecks(folder.path)].find(({ check }) => check === 'xstate');
    expect(xstate()).toMatchObject({ status: 'ok' });
    const own = /^\S+/.exec(xstate()?.says ?? '')?.[0].replace(';', '') ?? '';
    write('node_modules/xstate', own);
    expect(xstate()).toMatchObject({
      status: 'warn',
      says: expect.stringContaining(join(folder.path, 'node_modules')),
    });
    write('node_modules/xstate', '4.38.3');
    expect(xstate()).toMatchObject({ status: 'fail', says: expect.stringMatching(/^4\.38\.3 in /) });
  });

  test('how much room there is', () => {
    const mb = 1024 * 1024;
    expect([5, 50, 500].map((free) => spaceCheck(free * mb).status)).toEqual(['fail', 'warn', 'ok']);
  });

  test('a file system that cannot lock', () => {
    const [nfs, tmpfs, ext4] = [0x6969, 0x01021994, 0xef53];
    expect([nfs, tmpfs, ext4].map((type) => fileSystemCheck(type).status)).toEqual(['fail', 'warn', 'ok']);
  });

  test('a clock that was set back', () => {
    const info = { createdAt: 1_000, endedAt: 90_000 } as RunInfo;
    expect(clockCheck([info], 89_500)).toMatchObject({ status: 'ok' });
    expect(clockCheck([info], 30_000)).toMatchObject({ status: 'warn', says: expect.stringContaining('1m 0s later') });
    expect(clockCheck([], 0)).toMatchObject({ status: 'ok' });
  });
});
