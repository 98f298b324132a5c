import { readdirSync, readFileSync } from 'node:fs';
import { createTroupe, tool } from 'troupe';
import { z } from 'zod';

/** A host that has too few file descriptors for all its calls at once; prints what became of them. */

const apart = tool({
  name: 'apart',
  description: 'Answers from a process of its own',
  isolation: 'process',
  module: new URL('tools.ts', import.meta.url),
  concurrency: 50,
  retry: { attempts: 1 },
  inputSchema: z.object({ deed: z.object({ do: z.literal('answer'), with: z.string() }) }),
});
const input = { deed: { do: 'answer', with: 'here' } } as const;

/** Children of this process that run a tool: not the warden, who may stay for the next call. */
function runners(): number {
  const isOurs = (name: string): boolean => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
      return parent === `${process.pid}` && readFileSync(`/proc/${name}/cmdline`, 'latin1').includes('runner');
    } catch {
      return false;
    }
  };
  return readdirSync('/proc').filter(isOurs).length;
}

const troupe = await createTroupe({ recover: false });
const runs = await Promise.all(Array.from({ length: 14 }, () => troupe.start(apart, input)));
const results = await Promise.all(runs.map((run) => run.result()));
const refused = [...new Set(results.flatMap(({ error }) => error?.name ?? []))];
const children = runners();
const later = [await troupe.execute(apart, input), await troupe.execute(apart, input)];
await troupe.close();
console.log(JSON.stringify({ refused, children, later }));
