import { afterEach, beforeEach, expect, it } from 'vitest';
import { Folder } from './folder.ts';

const TROUPE = JSON.stringify(new URL('../../../src/index.ts', import.meta.url).href);

/** Two levels: what is decided is about a call of the lowest. `die` ends its process, the first time; `pay` takes a moment, and waits for approval. */
const CONFIG = `
import { existsSync, writeFileSync } from 'node:fs';
import { setup } from ${JSON.stringify(import.meta.resolve('xstate'))};
import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
import { childRun, durable, embedded, tool } from ${TROUPE};
const shared = { description: 'A tool of the tests', inputSchema: z.object({}), effect: 'irreversible' };
const die = tool({ ...shared, name: 'die', execute: () => {
  if (!existsSync('died')) { writeFileSync('died', ''); process.kill(process.pid, 'SIGKILL'); }
  return 'by itself';
} });
const pay = tool({ ...shared, name: 'pay', needsApproval: true, execute: async () => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  writeFileSync('paid', '');
  return 'paid';
} });
const over = (name, below) => durable(setup({ actors: { below: childRun(below) } }).createMachine({
  initial: 'on',
  states: { on: { invoke: { src: 'below', input: {}, onDone: 'off' } }, off: { type: 'final' } },
}), { name, version: '1' });
export const dying = over('dying', die);
export const paying = over('paying', pay);
export const boss = over('boss', paying);
export default { backend: embedded({ dir: '.troupe' }), definitions: [die, pay, dying, paying, boss], tools: [] };
`;

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('troupe.config.ts', CONFIG);
});
afterEach(() => folder.remove());

/** Begins it and leaves it with its child's call in doubt; the command that is printed for that. */
async function inDoubt(): Promise<string[]> {
  expect((await folder.troupe('run', 'troupe.config.ts#dying', '--id', 'd')).code).toBeNull();
  const recovered = await folder.troupe('recover', 'd');
  expect([recovered.code, recovered.stderr]).toEqual([5, '']);
  const [, command = ''] = /troupe (resolve \S+ \S+) --output/.exec(recovered.stdout) ?? [];
  return command.split(' ');
}

it('the command that is printed for a call in doubt of a run below is taken, and the run above goes on with it', async () => {
  const command = await inDoubt();
  expect(command[1]).not.toBe('d');
  expect((await folder.troupe(...command, '--output', '"by hand"')).code).toBe(0);
  expect((await folder.json('recover', 'd')).data).toMatchObject({ runs: [{ status: 'completed' }] });
});

it('a call in doubt of a run below is decided at the run above', async () => {
  const [, below, call = ''] = await inDoubt();
  const wrong = await folder.troupe('resolve', 'd', 'body/x', '--retry');
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining(`in doubt: ${call} of run ${below}.`)]);
  const resolved = await folder.troupe('resolve', 'd', call, '--output', '"by hand"');
  expect([resolved.code, resolved.stderr]).toEqual([0, '']);
  expect(resolved.stdout).toContain(`resolved ${call} of ${below}\n`);
  expect(resolved.stdout).toContain('completed in ');
});

it('a call that is approved below a run that is paused is seen through', async () => {
  expect((await folder.troupe('run', 'troupe.config.ts#boss', '--id', 'b')).code).toBe(5);
  expect((await folder.troupe('pause', 'b')).code).toBe(0);
  const { code, data } = await folder.json('approve', 'b');
  expect(code).toBe(5);
  expect(data).toMatchObject({ outcome: { status: 'paused', inDoubt: [], approvals: [] } });
  const resumed = await folder.troupe('resume', 'b');
  expect([resumed.code, resumed.stderr]).toEqual([0, '']);
  await folder.until('paid');
});
