import { z } from 'zod';
import { tool } from '../../src/index.ts';

/** A tool whose calls ignore their signal, and are counted. `told`: one was told to stop. */
export function deafTool(told: () => void = () => {}) {
  const counts = { begun: 0 };
  const deaf = tool({
    name: 'deaf',
    description: 'Ignores its signal',
    inputSchema: z.object({}),
    execute: (_, { signal }) => {
      counts.begun += 1;
      signal.addEventListener('abort', told);
      return new Promise<never>(() => {});
    },
  });
  return { deaf, counts };
}
