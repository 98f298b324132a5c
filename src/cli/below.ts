import type { RunHandle } from '../run.ts';
import type { Troupe } from '../troupe.ts';

/**
 * Resolves when the run that was told something, and those between it and the one that it works for, have ended or only wait, as far as they live
 * here: they go on where that one is paused. Never rejects: who loses one of them here loses that one, too, or hears of it there.
 */
export async function settledBelow(troupe: Troupe, told: string, above: RunHandle): Promise<void> {
  try {
    for (let below: string | undefined = told; below !== undefined && below !== above.id;) {
      const run: RunHandle = await troupe.attach(below);
      // One that nobody has taken over would never settle, and what another process does is not cut short here.
      if (run.getSnapshot() !== undefined) await run.settled();
      below = (await run.summary()).parent?.run;
    }
  } catch {
    // What has become of it is seen at the one above.
  }
}
