import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../../src/backend.ts';
import { unseal } from '../../../../src/chain.ts';
import { CorruptJournalError, StorageError } from '../../../../src/protocol/errors.ts';
import { runId, type RunId } from '../../../../src/protocol/ids.ts';
import { all } from '../../../contracts/harness.ts';
import { alter, append, newDir, open, RUN, SPAN } from './directory.ts';
import { inspected } from './inspected.ts';

describe('J4: a damaged file', () => {
  it('is reported or harmless, however it was damaged, and ends no process', async () => {
    const dir = newDir();
    mkdirSync(dir);
    const count = Number(process.env['DAMAGE'] ?? 240);
    const seen = await inspected(dir, count);
    // A page that is read is never taken for another.
    for (const kind of ['cut', 'zeroed', 'swapped']) expect(seen.get(kind), kind).toMatchObject({ harmless: 0 });
    expect(seen.get('flipped')?.reported).toBeGreaterThan(count / 5);
    expect(seen.size).toBe(11);
  }, 600_000);

  const LENGTH = 12;
  const runs = Array.from({ length: 8 }, (_, index) => runId(`run-${index}`));
  const store = async (): Promise<Buffer> => {
    const dir = newDir();
    const backend = await open(dir);
    for (const run of runs) await append(backend, LENGTH, 0, run);
    await backend.close();
    return readFileSync(join(dir, 'troupe.db'));
  };

  const reading = (backend: Backend, run: RunId) => all(unseal(run, backend.journal.read(run)));
  it.each([
    ['a run renamed', `UPDATE runs SET run = 'renamed' WHERE no = 1`, [runId('renamed')], [runs[1]]],
    [
      'two runs swapped',
      `UPDATE runs SET run = 'x' WHERE no = 1; UPDATE runs SET run = 'run-0' WHERE no = 2; UPDATE runs SET run = 'run-1' WHERE no = 1`,
      [runs[0], runs[1]],
      [runs[2]],
    ],
    [
      "an entry at the end of another run's",
      `UPDATE entries SET id = ${SPAN} * 2 + 13 WHERE id = ${SPAN} + 12`,
      [runs[1]],
      [runs[2]],
    ],
  ] as [string, string, RunId[], RunId[]][])('with %s is reported by the chain', async (_, sql, broken, sound) => {
    const dir = newDir();
    mkdirSync(dir);
    writeFileSync(join(dir, 'troupe.db'), await store());
    alter(dir, sql);
    const backend = await open(dir);
    for (const run of broken) await expect(reading(backend, run)).rejects.toThrow(CorruptJournalError);
    for (const run of sound) expect(await reading(backend, run)).toHaveLength(LENGTH);
    await backend.close();
  });

  it.each([
    ['a run without its name', 'DELETE FROM runs WHERE no = 3'],
    ['the last run without its name', 'DELETE FROM runs WHERE no = 8'],
    ['the last entry of all under another run', `UPDATE entries SET id = 9 * ${SPAN} + 12 WHERE id = 8 * ${SPAN} + 12`],
    ['an entry before the first', `UPDATE entries SET id = 4 * ${SPAN} WHERE id = 4 * ${SPAN} + 1`],
    ['an entry of a negative id', `UPDATE entries SET id = -1 WHERE id = 8 * ${SPAN} + 12`],
  ])('with %s is reported when it is opened', async (_, sql) => {
    const dir = newDir();
    mkdirSync(dir);
    writeFileSync(join(dir, 'troupe.db'), await store());
    alter(dir, sql);
    await expect(open(dir)).rejects.toThrow(StorageError);
  });

  it('while it is open: lists the runs that have a name, reports the others, and gives their entries to nobody', async () => {
    const dir = newDir();
    const backend = await open(dir);
    for (const run of runs) await append(backend, 1, 0, run);
    alter(dir, `DELETE FROM runs WHERE no = 8; DELETE FROM entries WHERE id = ${SPAN} + 1`);
    const listed: RunId[] = [];
    const list = async (): Promise<void> => {
      for await (const run of backend.journal.list()) listed.push(run);
    };
    await expect(list()).rejects.toThrow(StorageError);
    expect(listed).toEqual(runs.slice(1, -1));
    await expect(append(backend, 1, 0, runId('new'))).rejects.toThrow(CorruptJournalError);
    expect(await all(backend.journal.read(runId('new')))).toEqual([]);
    await backend.close();
  });

  it('with a run number that cannot be is reported', async () => {
    const dir = newDir();
    const backend = await open(dir);
    alter(dir, `INSERT INTO runs VALUES (${2 ** 29 - 1}, 'last')`);
    await expect(append(backend, 1)).rejects.toThrow(CorruptJournalError);
    alter(dir, `INSERT INTO runs VALUES (${2 ** 29}, 'beyond')`);
    await expect(backend.journal.tail(runId('beyond'))).rejects.toThrow(CorruptJournalError);
    await backend.close();
  });

  it('with a torn log loses the torn end only', async () => {
    const dir = newDir();
    const backend = await open(dir);
    await append(backend, 1);
    const size = readFileSync(join(dir, 'troupe.db-wal')).length;
    await append(backend, 1, 1);
    const torn = newDir();
    mkdirSync(torn);
    for (const end of ['', '-wal']) copyFileSync(join(dir, `troupe.db${end}`), join(torn, `troupe.db${end}`));
    await backend.close();
    truncateSync(join(torn, 'troupe.db-wal'), size + 100);
    const found = await open(torn);
    expect(await all(unseal(RUN, found.journal.read(RUN)))).toHaveLength(1);
    expect(await append(found, 1, 1)).toEqual({ status: 'appended', level: 'process' });
    await found.close();
  });
});
