import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { embedded, ownerId, StorageFullError, systemClock } from 'troupe';

/** A process whose log fills a disk of a few MB, though the file behind it stays small. Prints how much it took before and after a little was freed. */
const [dir = ''] = process.argv.slice(2);
const ballast = join(dir, 'ballast');
writeFileSync(ballast, Buffer.alloc(100_000));

const backend = await embedded({ dir: join(dir, 'store') }).open({ owner: ownerId('owner'), clock: systemClock() });
async function takes(): Promise<number> {
  for (let taken = 0; ; taken += 1) {
    try {
      await backend.registry.put('key', `${'x'.repeat(3_000)}${taken}`);
    } catch (error) {
      if (error instanceof StorageFullError) return taken;
      throw error;
    }
    await turn();
  }
}
const before = await takes();
rmSync(ballast);
const after = await takes();
console.log(JSON.stringify({ before, after }));
await backend.close();
