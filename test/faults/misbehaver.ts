import { createTroupe, tool } from 'troupe';
import { z } from 'zod';
import type { Deed } from '../support/isolated/tools.ts';

/** A tool that does what it is told, in a process of its own, and the host of one call of it: a process that is killed. */

export const GRACE_MS = 300;

export const misbehaving = tool({
  name: 'misbehaving',
  description: 'Does what it should not',
  isolation: 'process',
  module: new URL('../support/isolated/tools.ts', import.meta.url),
  effect: 'read',
  retry: { attempts: 1 },
  memory: '300MiB',
  grace: GRACE_MS,
  inputSchema: z.object({ deed: z.custom<Deed>(), marks: z.string() }),
});

if (process.argv[1] === import.meta.filename) {
  // It outlives no test.
  process.stdin.on('end', () => process.exit()).resume();
  const troupe = await createTroupe({ recover: false });
  const [deed = '', marks = ''] = process.argv.slice(2);
  await troupe.start(misbehaving, { deed: JSON.parse(deed) as Deed, marks });
}
