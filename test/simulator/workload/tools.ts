import { z } from 'zod';
import { module, tool, type Effect, type ToolContext } from '../../../src/index.ts';
import { perform } from '../../../src/testing.ts';

const item = z.object({ item: z.string() });

/** A tool that does to the simulated world what its effect says. */
const acting = (name: string, effect: Effect, rest: { needsApproval?: true } = {}) =>
  tool({
    name,
    description: `does ${name}`,
    effect,
    timeout: '2s',
    retry: { attempts: 4, delay: '100ms', maxDelay: '1s' },
    inputSchema: item,
    outputSchema: z.object({ done: z.string() }),
    ...(rest.needsApproval && { needsApproval: true, approvers: ['boss'], approvalTimeout: '20s' }),
    execute: (input, { run, call, signal }: ToolContext) =>
      perform(
        name,
        { run, call, signal },
        {
          effect,
          input,
          output: { done: `${name} ${input.item}` },
          mayHang: true,
          ...(rest.needsApproval && { guarded: true, approvers: ['boss'] }),
        },
      ),
  });

export const look = acting('look', 'read');
export const store = acting('store', 'idempotent');
export const charge = acting('charge', 'irreversible');
export const wire = acting('wire', 'irreversible', { needsApproval: true });

/** Two at once, the others wait in line. */
export const desk = module({ name: 'desk', tools: [look, store, charge], concurrency: 2 });

export const THOUGHT = { tokens: 60, usd: 0.1 };
/** Holds back more than it costs in the end. */
export const think = tool({
  name: 'think',
  description: 'thinks',
  effect: 'idempotent',
  timeout: '2s',
  retry: { attempts: 3, delay: '100ms', maxDelay: '1s' },
  inputSchema: item,
  outputSchema: z.object({ done: z.string() }),
  cost: { tokens: 100, usd: 0.3 },
  execute: async (input, { run, call, signal, charge: costs }: ToolContext) => {
    const output = { done: `thought of ${input.item}` };
    const done = await perform('think', { run, call, signal }, { effect: 'idempotent', input, output, mayHang: true });
    costs(THOUGHT);
    return done;
  },
});
