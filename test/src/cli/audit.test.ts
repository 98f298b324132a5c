import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditRow } from '../../../src/protocol/audit.ts';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('mail.txt', 'a. Get all contacts\nb. Send emails (requires step a)\n');
});
afterEach(() => folder.remove());

const rowsOf = (stdout: string): AuditRow[] =>
  stdout === ''
    ? []
    : stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as AuditRow);

describe('troupe audit', () => {
  it('gives a line of JSON for each row, of all runs or one, by whom and since when is asked for', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    await folder.troupe('run', 'troupe.config.ts#order', '--id', 'two');
    const whole = await folder.troupe('audit', '--json');
    const all = rowsOf(whole.stdout);
    expect([whole.code, all.filter(({ action }) => action === 'start').map(({ run }) => run)]).toEqual([
      0,
      ['one', 'two'],
    ]);
    const { by, at } = all[0] as AuditRow;
    expect(by).toEqual(expect.any(String));
    const filter = ['--by', String(by), '--tenant', 'default', '--since', '1h'];
    const one = rowsOf((await folder.troupe('audit', 'one', '--json', ...filter)).stdout);
    expect(one).toEqual(all.filter((row) => row.run === 'one' && row.by === by));
    expect(one.map(({ action }) => action)).toEqual(['start', 'call', 'call', 'call', 'call']);
    expect(one[1]).toMatchObject({ source: 'mail.list', outcome: 'succeeded', cost: { steps: 1 }, by });
    const later = new Date(at + 86_400_000).toISOString();
    expect((await folder.troupe('audit', '--json', '--since', later)).stdout).toBe('');
  });

  it('prints aligned lines for people, and refuses what is none', async () => {
    await folder.troupe('run', 'mail.txt', '--id', 'one');
    const [{ code, stdout, stderr }, run, since] = await Promise.all([
      folder.troupe('audit', 'one'),
      folder.troupe('audit', 'nobody'),
      folder.troupe('audit', '--since', 'yesterday'),
    ]);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}start {7}\S+ +one +mail@/);
    expect(lines[1]).toMatch(
      / {2}call {8}\S+ +one +body\/a\/attempt {2}\(mail\.list\) {2}succeeded {2}cost: .*1 step.* {2}\(\d+ms\)$/,
    );
    expect(new Set(lines.map((line) => line.indexOf(' one ')))).toEqual(new Set([lines[0]?.indexOf(' one ')]));
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining('NOT_FOUND: There is no run nobody')]);
    expect([since.code, since.stderr]).toEqual([2, expect.stringContaining('--since yesterday is not a time')]);
  });
});
