import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { createTroupe, embedded, type BackendFactory, type Troupe, type TroupeOptions } from '../../src/index.ts';
import { SimulatedClock } from './simulatedClock.ts';

const open: Troupe[] = [];
const directories: string[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
  for (const dir of directories.splice(0)) rmSync(dir, { recursive: true });
});

/** Closed when the test is over. */
export async function opened(options: TroupeOptions = {}): Promise<Troupe> {
  const troupe = await createTroupe(options);
  open.push(troupe);
  return troupe;
}

/** As `opened`, on a clock of its own that is not the world's, and with these options where others are not given. */
export const openedWith =
  (defaults: TroupeOptions = {}) =>
  (options: TroupeOptions = {}): Promise<Troupe> =>
    opened({ clock: new SimulatedClock(), ...defaults, ...options });

/** A store on disk, which is removed when the test is over. */
export function directory(): BackendFactory {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-'));
  directories.push(dir);
  return embedded({ dir });
}
