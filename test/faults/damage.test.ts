import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inspected } from '../src/backends/embedded/inspected.ts';

/** So many copies with flipped bits; a quarter as many of the log. */
const flips = Number(process.env['FAULT_FLIPS'] ?? 500);
/** Cut at every so many of the last 4,096 bytes. */
const step = Number(process.env['FAULT_CUT_STEP'] ?? 31);

it(
  'a damaged store is reported or harmless, but for the end of its log',
  { timeout: 60_000 + flips * 100 },
  async () => {
    console.log(`FAULT_FLIPS=${flips} FAULT_CUT_STEP=${step}`);
    const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'troupe-damage-'));
    try {
      const seen = await inspected(dir, flips, step);
      for (const [kind, { reported, shortened, harmless }] of seen)
        console.log(`${kind}: ${reported} reported, ${harmless} harmless, ${shortened} shortened`);
      for (const [kind, { shortened }] of seen) if (!kind.startsWith('log')) expect(shortened, kind).toBe(0);
      for (const kind of ['cut', 'end cut', 'zeroed', 'swapped'])
        expect(seen.get(kind), kind).toMatchObject({ harmless: 0 });
      expect(seen.get('flipped')?.reported).toBeGreaterThan(flips / 5);
      expect(seen.size).toBe(13);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
