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

// One that ends at once, so that only an approval is waited for.
const CALM = CONFIG.replace("{ slow: region('slow'), post: region('post') }", "{ post: region('post') }");

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

describe('a run of which a child waits for approval', () => {
  it('is paused, recovered and resumed with a word about what it waits for', async () => {
    folder.write('troupe.config.ts', CALM);
    const run = await folder.troupe('run', 'desk', '--id', 'desk', '--by', 'ana');
    expect([run.code, run.stdout]).toEqual([5, expect.stringContaining('1 call waits for approval')]);
    const paused = await folder.troupe('pause', 'desk', '--by', 'bo');
    expect([paused.code, paused.stderr]).toEqual([0, '']);
    expect(paused.stdout).toMatch(
      /^paused desk \(entry \d+\)\n(.*\n)*paused by bo\n(.*\n)*to go on: troupe resume desk\n/,
    );
    const listed = await folder.troupe('ps');
    expect(listed.stderr).toMatch(
      /^it is somebody's turn: troupe resume desk\nit is somebody's turn: troupe approve \S+ body\n$/,
    );
    for (const command of [['recover', 'desk'], ['recover']]) {
      const recovered = await folder.troupe(...command);
      expect([recovered.code, recovered.stderr]).toEqual([5, '']);
      expect(recovered.stdout).toContain('to go on: troupe resume desk\n1 call waits for approval\n');
    }
    const approved = await folder.troupe('approve', 'desk', '--by', 'cy');
    expect([approved.code, approved.stderr]).toEqual([5, '']);
    // What was before is known.
    expect(approved.stdout).not.toContain('paused by bo');
    const resumed = await folder.troupe('resume', 'desk');
    expect([resumed.code, resumed.stderr]).toEqual([0, '']);

    const actions = async (...args: string[]): Promise<string[]> =>
      (await folder.troupe('audit', ...args)).stdout.split('\n').map((line) => line.split(/ +/).slice(1, 3).join(' '));
    expect(await actions('desk')).not.toContain('approve cy');
    const tree = await actions('desk', '--tree');
    expect(tree.filter((one) => one.startsWith('start'))).toEqual(['start ana', 'start desk']);
    expect(tree).toContain('approve cy');
    expect((await folder.troupe('audit', '--tree')).code).toBe(2);
  });
});
