import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { embedded, module, tool } from 'troupe';
import { z } from 'zod';

const file = z.object({ file: z.string() });

/** For `npm run troupe -- run examples/03-plan-yaml/plan.yaml --config examples/03-plan-yaml/troupe.config.ts --input '{"dir":"docs"}'`. */
const files = module({
  name: 'files',
  tools: [
    tool({
      name: 'list',
      description: 'The files of a folder whose names end so',
      inputSchema: z.object({ dir: z.string(), ending: z.string() }),
      outputSchema: z.array(file),
      effect: 'read',
      execute: async ({ dir, ending }) => {
        const names = await readdir(dir);
        return names
          .filter((name) => name.endsWith(ending))
          .sort()
          .map((name) => ({ file: join(dir, name) }));
      },
    }),
    tool({
      name: 'count',
      description: 'How many words a file has',
      inputSchema: file,
      outputSchema: z.object({ file: z.string(), words: z.number() }),
      effect: 'read',
      retry: { attempts: 1 },
      execute: async ({ file: path }) => ({ file: path, words: (await readFile(path, 'utf8')).split(/\s+/).length }),
    }),
  ],
});

const numbers = module({
  name: 'numbers',
  tools: [
    tool({
      name: 'sum',
      description: 'The sum of a field over a list',
      inputSchema: z.object({ numbers: z.array(z.record(z.string(), z.unknown())), field: z.string() }),
      outputSchema: z.object({ sum: z.number() }),
      effect: 'read',
      execute: ({ numbers: list, field }) => ({ sum: list.reduce((sum, item) => sum + Number(item[field]), 0) }),
    }),
  ],
});

const text = module({
  name: 'text',
  tools: [
    tool({
      name: 'line',
      description: 'A line of text',
      inputSchema: z.object({ text: z.string() }),
      outputSchema: z.string(),
      effect: 'read',
      execute: ({ text: line }) => line,
    }),
  ],
});

export default { backend: embedded(), tools: [files, numbers, text] };
