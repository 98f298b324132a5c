import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Folder } from './folder.ts';

const TROUPE = JSON.stringify(new URL('../../../src/index.ts', import.meta.url).href);

/** A run that has begun two: one is in a call that has a process of its own and takes its time to end, one waits for approval. */
const CONFIG = `
import { setup } from ${JSON.stringify(import.meta.resolve('xstate'))};
import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
import { childRun, durable, embedded, tool } from ${TROUPE};
const shared = { description: 'A tool of the tests', inputSchema: z.object({}) };
const slow = tool({ ...shared, name: 'slow', effect: 'read', isolation: 'process', grace: '2s', module: new URL('./slow.ts', import.meta.url) });
const post = tool({ ...shared, name: 'post', effect: 'read', needsApproval: true, execute: () => ({}) });
const region = (src) => ({ initial: 'on', states: { on: { invoke: { src, input: {}, onDone: 'off' } }, off: { type: 'final' } } });
export const desk = durable(setup({ actors: { slow: childRun(slow), post: childRun(post) } }).createMachine({
  type: 'parallel', states: { slow: region('slow'), post: region('post') },
}), { name: 'desk', version: '1' });
export default { backend: embedded({ dir: '.troupe' }), definitions: [desk, slow, post], tools: [] };
`;
const SLOW = `
import { writeFileSync } from 'node:fs';
process.on('SIGTERM', () => setTimeout(() => process.exit(), 300));
export default () => { writeFileSync('begun', ''); return new Promise(() => setInterval(() => {}, 1_000)); };
`;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('troupe.config.ts', CONFIG);
  folder.write('slow.ts', SLOW);
});
afterEach(() => folder.remove());

describe('a kill from another process', () => {
  it('is answered for all that the run has begun before the command that drives it ends', async () => {
    const run = folder.begin('run', 'troupe.config.ts#desk', '--id', 'desk');
    await run.printed('begun post');
    await folder.until('begun');
    const { code, data } = await folder.json<{ receipts: { unanswered: unknown[]; runs: { answered: boolean }[] }[] }>(
      'kill',
      'desk',
    );
    expect(code).toBe(0);
    const [receipt] = data.receipts;
    expect(receipt?.unanswered).toEqual([]);
    expect(receipt?.runs.map(({ answered }) => answered)).toEqual([true, true, true]);
    expect((await run.ended).code).toBe(3);
  });
});
