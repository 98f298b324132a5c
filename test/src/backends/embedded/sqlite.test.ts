import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { unseal } from '../../../../src/chain.ts';
import { systemClock } from '../../../../src/clock.ts';
import {
  JournalTooLongError,
  StorageError,
  StorageFullError,
  UnsupportedFormatError,
} from '../../../../src/protocol/errors.ts';
import { ownerId, runId } from '../../../../src/protocol/ids.ts';
import { backendContract } from '../../../contracts/backend.ts';
import { all, type Damage } from '../../../contracts/harness.ts';
import { sealed } from '../../../contracts/sealed.ts';
import { SimulatedClock } from '../../../support/simulatedClock.ts';
import { alter, append, newDir, open, RUN, SPAN } from './directory.ts';
import { passing } from './passing.ts';

const id = (seq: string): string => `((SELECT no FROM runs WHERE run = :journal) * ${SPAN} + ${seq})`;
/** `:other` is the seq it is swapped with. */
const harm: Record<Damage, string> = {
  altered: `UPDATE entries SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'7f' AS BLOB) WHERE id = ${id(':seq')}`,
  missing: `DELETE FROM entries WHERE id = ${id(':seq')}`,
  repeated: `INSERT OR REPLACE INTO entries (id, epoch, hash, bytes) SELECT id + 1, epoch, hash, bytes FROM entries WHERE id = ${id(':seq')}`,
  swapped: `UPDATE entries SET (epoch, hash, bytes) =
    (SELECT epoch, hash, bytes FROM entries AS o WHERE o.id = ${id(':seq')} + ${id(':other')} - entries.id)
    WHERE id IN (${id(':seq')}, ${id(':other')})`,
  truncated: `UPDATE entries SET bytes = substr(bytes, 1, length(bytes) / 2) WHERE id = ${id(':seq')}`,
};
const tamper = (dir: string, journal: string, seq: number, kind: Damage): void => {
  const db = new DatabaseSync(join(dir, 'troupe.db'));
  const next = db.prepare(`SELECT 1 FROM entries WHERE id = ${id(':seq')}`).get({ journal, seq: seq + 1 });
  const other = kind === 'swapped' ? { other: next === undefined ? seq - 1 : seq + 1 } : {};
  db.prepare(harm[kind]).run({ journal, seq, ...other });
  db.close();
};

for (const level of ['process', 'disk'] as const)
  backendContract(`sqlite at level ${level}`, async () => {
    const dir = newDir();
    const clock = new SimulatedClock();
    const opened: Backend[] = [];
    const another = async (): Promise<Backend> => {
      const backend = await open(dir, level, clock);
      opened.push(backend);
      return backend;
    };
    return {
      open: another,
      openAnother: another,
      pass: passing(clock),
      tamper: async (journal, seq, kind) => tamper(dir, journal, seq, kind),
      close: async () => void (await Promise.all(opened.map((backend) => backend.close()))),
    };
  });

const writer = (dir: string, owner: string, count: number) =>
  spawn(
    process.execPath,
    ['--conditions=troupe-source', fileURLToPath(new URL('./writer.ts', import.meta.url)), dir, owner, `${count}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
const seqsIn = (text: string): number[] => text.split('\n').slice(0, -1).map(Number);

describe('a process', () => {
  it('opened again finds what was there, and leaves no owner behind', async () => {
    const dir = newDir();
    const first = await open(dir);
    await append(first, 5);
    await first.registry.put('a', 1);
    await first.close();
    expect(readdirSync(join(dir, 'owners'))).toEqual([]);
    const second = await open(dir);
    expect(await all(unseal(RUN, second.journal.read(RUN)))).toHaveLength(5);
    expect((await second.registry.get('a'))?.value).toBe(1);
    await second.close();
  });

  it('J2: killed with -9 has lost nothing that it had acknowledged, and is known to be gone', async () => {
    const dir = newDir();
    const child = writer(dir, 'victim', 1e9);
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (seqsIn(printed).length >= 500) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const seqs = seqsIn(printed);
    expect(existsSync(join(dir, 'owners', 'victim.db'))).toBe(true);
    const backend = await open(dir);
    const entries = await all(unseal(runId('shared'), backend.journal.read(runId('shared'))));
    expect(seqs.length).toBeGreaterThanOrEqual(500);
    expect(entries.length).toBeGreaterThanOrEqual(seqs.at(-1) ?? 0);
    expect(await backend.alive(ownerId('victim'))).toBe(false);
    expect(existsSync(join(dir, 'owners', 'victim.db'))).toBe(false);
    await backend.close();
  }, 30_000);

  it('J1, J3: may begin at once with others on an empty directory and share a run with them', async () => {
    const dir = newDir();
    const printed = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (owner) => {
        const child = writer(dir, owner, 40);
        let text = '';
        child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
        expect(await once(child, 'close')).toEqual([0, null]);
        return seqsIn(text);
      }),
    );
    const dense = Array.from({ length: 160 }, (_, index) => index + 1);
    expect(printed.flat().toSorted((a, b) => a - b)).toEqual(dense);
    const backend = await open(dir);
    expect((await all(backend.journal.read(runId('shared')))).map(({ seq }) => seq)).toEqual(dense);
    await backend.close();
    expect(readdirSync(dir).toSorted()).toEqual(['owners', 'troupe.db']);
  }, 30_000);

  it('cannot take the owner id of one that lives', async () => {
    const dir = newDir();
    const first = await open(dir);
    const same = embedded({ dir }).open({ owner: first.owner, clock: systemClock() });
    await expect(same).rejects.toThrow(StorageError);
    await append(first, 1);
    await first.close();
  });
});

describe('a run', () => {
  it.each(['process', 'disk'] as const)('goes to the disk with a barrier, at level %s', async (level) => {
    const backend = await open(newDir(), level);
    const at = { epoch: 1, after: 0, barrier: true };
    const reached = { status: 'appended', level: 'disk' };
    expect(await backend.journal.append(RUN, sealed(RUN, 1), at)).toEqual(reached);
    const together = [runId('a'), runId('b')].map((run, index) =>
      backend.journal.append(run, sealed(run, 1), { ...at, barrier: index === 1 }),
    );
    expect(await Promise.all(together)).toEqual([reached, reached]);
    await backend.close();
  });

  it('ends at the last seq that an id has room for', async () => {
    const dir = newDir();
    const backend = await open(dir);
    await append(backend, 1);
    const last = 2 ** 24 - 1;
    alter(dir, `UPDATE entries SET id = ${SPAN} + ${last - 1}`);
    const next = runId('next');
    expect((await append(backend, 1, 0, next)).status).toBe('appended');
    await expect(append(backend, 2, last - 1)).rejects.toThrow(JournalTooLongError);
    expect((await append(backend, 1, last - 1)).status).toBe('appended');
    await expect(append(backend, 1, last)).rejects.toThrow(JournalTooLongError);
    expect((await backend.journal.tail(RUN))?.seq).toBe(last);
    expect(await all(unseal(next, backend.journal.read(next)))).toHaveLength(1);
    await backend.close();
  });
});

describe('a directory that is not for us', () => {
  const program = (sql: string) => (dir: string) => {
    const db = new DatabaseSync(join(dir, 'troupe.db'));
    db.exec(`CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1); ${sql}`);
    db.close();
  };
  it.each([
    ['of another program', program(''), UnsupportedFormatError],
    ['of another program that uses a log', program('PRAGMA journal_mode = WAL'), UnsupportedFormatError],
    ['of another program with an id', program('PRAGMA application_id = 7'), UnsupportedFormatError],
    [
      'of a newer troupe',
      program('PRAGMA application_id = 1414680405; PRAGMA user_version = 2'),
      UnsupportedFormatError,
    ],
    ['no database', (dir: string) => writeFileSync(join(dir, 'troupe.db'), 'my diary '.repeat(999)), StorageError],
    ['empty', (dir: string) => writeFileSync(join(dir, 'troupe.db'), ''), StorageError],
  ])('R3: is left byte for byte: its file is %s', async (_, prepare, expected) => {
    const dir = newDir();
    mkdirSync(dir);
    prepare(dir);
    const before = readFileSync(join(dir, 'troupe.db'));
    await expect(open(dir)).rejects.toThrow(expected);
    expect(readFileSync(join(dir, 'troupe.db')).equals(before)).toBe(true);
    expect(readdirSync(dir).filter((name) => name === 'owners')).toEqual([]);
  });

  it('is refused: a file, one below a file, and one that cannot be made', async () => {
    const file = newDir();
    writeFileSync(file, '');
    for (const dir of [file, join(file, 'below'), '/proc/troupe'])
      await expect(open(dir)).rejects.toThrow(StorageError);
  });

  it('is refused: only the log of a store is left', async () => {
    const dir = newDir();
    mkdirSync(dir);
    writeFileSync(join(dir, 'troupe.db-wal'), 'x');
    await expect(open(dir)).rejects.toThrow(StorageError);
  });
});

describe('a failed commit', () => {
  it('rejects what was in it, writes nothing, and the next one works', async () => {
    const dir = newDir();
    const backend = await open(dir);
    await append(backend, 1);
    const db = new DatabaseSync(join(dir, 'troupe.db'));
    db.exec(
      `CREATE TRIGGER fail AFTER INSERT ON entries WHEN new.id % ${SPAN} = 3 BEGIN SELECT raise(ABORT, 'no'); END`,
    );
    const other = runId('other');
    const both = await Promise.allSettled([append(backend, 2, 1), append(backend, 1, 0, other)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(both[0]).toMatchObject({ reason: expect.any(StorageError) as unknown });
    expect(await all(backend.journal.read(RUN))).toHaveLength(1);
    db.exec('DROP TRIGGER fail');
    expect((await append(backend, 2, 1)).status).toBe('appended');
    db.close();
    await backend.close();
  });

  it('leaves no run behind that another could be taken for', async () => {
    const dir = newDir();
    const backend = await open(dir);
    alter(
      dir,
      `CREATE TRIGGER fail AFTER INSERT ON entries WHEN new.id % ${SPAN} = 3 BEGIN SELECT raise(ABORT, 'no'); END`,
    );
    const other = runId('other');
    const both = await Promise.allSettled([append(backend, 3), append(backend, 1, 0, other)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(await all(backend.journal.read(RUN))).toEqual([]);
    expect((await append(backend, 2)).status).toBe('appended');
    for (const [run, count] of [
      [RUN, 2],
      [other, 1],
    ] as const)
      expect(await all(unseal(run, backend.journal.read(run)))).toHaveLength(count);
    await backend.close();
  });

  it('waits for a lock that somebody holds, and gives up after a while', async () => {
    const dir = newDir();
    const backend = await open(dir);
    const db = new DatabaseSync(join(dir, 'troupe.db'));
    db.exec('BEGIN IMMEDIATE');
    await expect(append(backend, 1)).rejects.toThrow(StorageError);
    const waiting = append(backend, 1);
    setImmediate(() => setImmediate(() => db.exec('COMMIT')));
    expect((await waiting).status).toBe('appended');
    db.close();
    await backend.close();
  }, 30_000);

  // Only root can mount; elsewhere nothing but a test hook in the product could fill a disk.
  it('P5: says that the disk is full, and goes on once there is room', async ({ skip }) => {
    const disk = newDir();
    mkdirSync(disk);
    const mounted = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).status === 0;
    if (!mounted) return skip('no tmpfs can be mounted here');
    try {
      const ballast = join(disk, 'ballast');
      writeFileSync(ballast, Buffer.alloc(1 << 20));
      const backend = await open(join(disk, 'store'));
      let after = 0;
      const fill = async (): Promise<void> => {
        for (; after < 100_000; after += 100) expect((await append(backend, 100, after)).status).toBe('appended');
      };
      await expect(fill()).rejects.toThrow(StorageFullError);
      await expect(append(backend, 100, after)).rejects.toThrow(StorageFullError);
      expect(await all(unseal(RUN, backend.journal.read(RUN)))).toHaveLength(after);
      rmSync(ballast);
      expect((await append(backend, 100, after)).status).toBe('appended');
      await backend.close();
    } finally {
      spawnSync('/bin/umount', ['-l', disk]);
    }
  });
});
