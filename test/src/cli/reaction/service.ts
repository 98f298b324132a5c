import { join } from 'node:path';
import { createTroupe, plan, tool, type TroupeConfig } from 'troupe';
import { z } from 'zod';

/** A process that owns runs, and says when it reacts to what another one does to them. `RUNS`: how many of each kind. */

const say = (fact: object): void => void process.stdout.write(`${JSON.stringify({ ...fact, now: Date.now() })}\n`);

const { default: config } = (await import(join(process.cwd(), 'troupe.config.ts'))) as { default: TroupeConfig };
const { module } = config;
if (module === undefined) throw new Error('The config has no module.');
const tools = config.tools ?? [];
const hang = tool({
  name: 'hang',
  description: 'Ends when it is told to',
  inputSchema: z.object({ run: z.string() }),
  effect: 'read',
  timeout: '1h',
  execute: ({ run }, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        say({ run, type: 'aborted' });
        reject(new Error('aborted'));
      });
    }),
});

const { backend } = config;
const troupe = await createTroupe({ backend, tools, definitions: [hang] });
const parsed = { wait: plan.parse('a. wait\n', { tools, module }), post: plan.parse('a. post\n', { tools, module }) };
const many = Number(process.env['RUNS']);
for (let n = 0; n < many; n += 1) {
  const waiting = await troupe.start(parsed.wait, undefined, { id: `pause-${n}` });
  waiting.on('run.paused', () => say({ run: waiting.id, type: 'paused' }));
  const posting = await troupe.start(parsed.post, undefined, { id: `approve-${n}` });
  // A quick call's begin and end may be one entry.
  posting.on('*', ({ type }) => {
    if (type === 'leaf.started' || type === 'leaf.succeeded') say({ run: posting.id, type: 'begun' });
  });
  const hanging = await troupe.start(hang, { run: `kill-${n}` }, { id: `kill-${n}` });
  hanging.on('run.killed', ({ at }) => say({ run: hanging.id, type: 'recorded', at }));
}
say({ type: 'ready' });
