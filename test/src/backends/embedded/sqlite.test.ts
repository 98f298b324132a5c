import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { unseal } from '../../../../src/chain.ts';
import {
  CorruptJournalError,
  JournalTooLongError,
  StorageError,
  StorageFullError,
  TroupeError,
  UnsupportedFormatError,
} from '../../../../src/protocol/errors.ts';
import { ownerId, runId, type RunId } from '../../../../src/protocol/ids.ts';
import { all, backendContract, type Damage } from '../../../contracts/backend.ts';
import { sealed } from '../../../contracts/sealed.ts';

const root = mkdtempSync(join(tmpdir(), 'troupe-sqlite-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
const newDir = (): string => join(root, `d${(made += 1)}`);
const open = (dir: string, level: 'process' | 'disk' = 'process'): Promise<Backend> =>
  embedded({ dir, level }).open({ owner: ownerId(`owner-${(made += 1)}`), immediate: (run) => void setImmediate(run) });

const RUN = runId('run-1');
const append = async (backend: Backend, count: number, after = 0, run: RunId = RUN) => {
  const before = after === 0 ? undefined : (await backend.journal.tail(run))?.hash;
  return backend.journal.append(run, sealed(run, count, { after, ...(before && { before }) }), { epoch: 1, after });
};

const id = (seq: string): string => `((SELECT no FROM runs WHERE run = :run) * 1048576 + ${seq})`;
const harm: Record<Damage, string> = {
  altered: `UPDATE entries SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'7f' AS BLOB) WHERE id = ${id(':seq')}`,
  missing: `DELETE FROM entries WHERE id = ${id(':seq')}`,
  repeated: `UPDATE entries SET (epoch, hash, bytes) =
    (SELECT epoch, hash, bytes FROM entries WHERE id = ${id(':seq')}) WHERE id = ${id(':seq + 1')}`,
  swapped: `UPDATE entries SET (epoch, hash, bytes) =
    (SELECT epoch, hash, bytes FROM entries AS o WHERE o.id = 2 * ${id(':seq')} + 1 - entries.id)
    WHERE id IN (${id(':seq')}, ${id(':seq + 1')})`,
};
const alter = (dir: string, sql: string): void => {
  const db = new DatabaseSync(join(dir, 'troupe.db'));
  db.exec(sql);
  db.close();
};

for (const level of ['process', 'disk'] as const)
  backendContract(`sqlite at level ${level}`, async () => {
    const dir = newDir();
    const opened = [await open(dir, level)];
    return {
      backend: opened[0] as Backend,
      cleanup: async () => {
        await Promise.all(opened.map((backend) => backend.close()));
      },
      tamper: async (run, seq, kind) => {
        const db = new DatabaseSync(join(dir, 'troupe.db'));
        db.prepare(harm[kind]).run({ run, seq });
        db.close();
      },
      second: async () => {
        const backend = await open(dir, level);
        opened.push(backend);
        return backend;
      },
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
    const same = embedded({ dir }).open({ owner: first.owner, immediate: (run) => void setImmediate(run) });
    await expect(same).rejects.toThrow(StorageError);
    await append(first, 1);
    await first.close();
  });
});

describe('a run', () => {
  it('ends at the last seq that an id has room for', async () => {
    const dir = newDir();
    const backend = await open(dir);
    await append(backend, 1);
    const last = 2 ** 20 - 1;
    alter(dir, `UPDATE entries SET id = 1048576 + ${last - 1}`);
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

describe('J4: a damaged file', () => {
  const LENGTH = 12;
  const runs = Array.from({ length: 8 }, (_, index) => runId(`run-${index}`));
  const store = async (): Promise<Buffer> => {
    const dir = newDir();
    const backend = await open(dir);
    for (const run of runs) {
      await append(backend, LENGTH, 0, run);
      await backend.registry.put(run, run);
    }
    await backend.close();
    return readFileSync(join(dir, 'troupe.db'));
  };

  /** Reads everything: what is not as it was written must have been reported with a typed error. */
  const inspect = async (dir: string): Promise<'reported' | 'harmless'> => {
    let reported = false;
    const tried = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof TroupeError)) throw error;
        reported = true;
        return undefined;
      }
    };
    const backend = await tried(() => open(dir));
    if (backend === undefined) return 'reported';
    const listed = await tried(() => all(backend.journal.list()));
    if (listed !== undefined) expect(listed.toSorted()).toEqual(runs);
    for (const run of runs) {
      const entries = await tried(() => all(unseal(run, backend.journal.read(run))));
      if (entries !== undefined) expect(entries).toHaveLength(LENGTH);
      const fact = await tried(() => backend.registry.get(run));
      if (fact !== undefined) expect(fact.value).toBe(run);
      await tried(() => append(backend, 1, LENGTH, run));
    }
    await tried(() => backend.close());
    return reported ? 'reported' : 'harmless';
  };

  const inspectBytes = async (bytes: Buffer): Promise<'reported' | 'harmless'> => {
    const dir = newDir();
    mkdirSync(dir);
    writeFileSync(join(dir, 'troupe.db'), bytes);
    const found = await inspect(dir);
    rmSync(dir, { recursive: true });
    return found;
  };

  it('cut anywhere is reported', async () => {
    const whole = await store();
    for (let size = 0; size < whole.length; size += size < whole.length - 4096 ? 1021 : 97)
      expect(await inspectBytes(whole.subarray(0, size)), `cut to ${size}`).toBe('reported');
  }, 60_000);

  it('with a flipped bit is reported or as it was', async () => {
    const whole = await store();
    const seen = { reported: 0, harmless: 0 };
    let random = 1;
    for (let index = 0; index < 400; index += 1) {
      // xorshift: the same bits every time
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      const bit = (random >>> 0) % (whole.length * 8);
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      seen[await inspectBytes(bytes)] += 1;
    }
    expect(seen.reported).toBeGreaterThan(100);
  }, 60_000);

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
      'UPDATE entries SET id = 1048576 * 2 + 13 WHERE id = 1048576 + 12',
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
    ['the last entry of all under another run', 'UPDATE entries SET id = 9 * 1048576 + 12 WHERE id = 8 * 1048576 + 12'],
    ['an entry before the first', 'UPDATE entries SET id = 4 * 1048576 WHERE id = 4 * 1048576 + 1'],
    ['an entry of a negative id', 'UPDATE entries SET id = -1 WHERE id = 8 * 1048576 + 12'],
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
    alter(dir, 'DELETE FROM runs WHERE no = 8; DELETE FROM entries WHERE id = 1048576 + 1');
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
    alter(dir, `INSERT INTO runs VALUES (${2 ** 33 - 1}, 'last')`);
    await expect(append(backend, 1)).rejects.toThrow(CorruptJournalError);
    alter(dir, `INSERT INTO runs VALUES (${2 ** 33}, 'beyond')`);
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

describe('a failed commit', () => {
  it('rejects what was in it, writes nothing, and the next one works', async () => {
    const dir = newDir();
    const backend = await open(dir);
    await append(backend, 1);
    const db = new DatabaseSync(join(dir, 'troupe.db'));
    db.exec(
      `CREATE TRIGGER fail AFTER INSERT ON entries WHEN new.id % 1048576 = 3 BEGIN SELECT raise(ABORT, 'no'); END`,
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
      `CREATE TRIGGER fail AFTER INSERT ON entries WHEN new.id % 1048576 = 3 BEGIN SELECT raise(ABORT, 'no'); END`,
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
