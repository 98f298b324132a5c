import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll } from 'vitest';
import type { Backend } from '../../../../src/backend.ts';
import { embedded } from '../../../../src/backends/embedded/index.ts';
import { systemClock, type Clock } from '../../../../src/clock.ts';
import { ownerId, runId, type RunId } from '../../../../src/protocol/ids.ts';
import { sealed } from '../../../contracts/sealed.ts';

// In memory where there is such a place: what a flush costs there is nothing.
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'troupe-sqlite-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
export const newDir = (): string => join(root, `d${(made += 1)}`);

export const open = (
  dir: string,
  level: 'process' | 'disk' = 'process',
  clock: Clock = systemClock(),
): Promise<Backend> => embedded({ dir, level }).open({ owner: ownerId(`owner-${(made += 1)}`), clock });

export const RUN = runId('run-1');
/** A journal's ids stand so far apart. */
export const SPAN = 2 ** 24;

export const append = async (backend: Backend, count: number, after = 0, run: RunId = RUN) => {
  const before = after === 0 ? undefined : (await backend.journal.tail(run))?.hash;
  return backend.journal.append(run, sealed(run, count, { after, ...(before && { before }) }), { epoch: 1, after });
};

export const alter = (dir: string, sql: string): void => {
  const db = new DatabaseSync(join(dir, 'troupe.db'));
  db.exec(sql);
  db.close();
};
