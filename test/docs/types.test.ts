import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The types as they are published, for somebody whose compiler reads them all. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'troupe-types-'));
const tsc = async (...args: string[]): Promise<string[]> => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [compiler, '--pretty', 'false', ...args], {
    cwd: folder,
  }).catch((error: { stdout: string }) => error);
  return stdout.split('\n').filter((line) => line.includes('error TS'));
};

const CONSUMER = `
import { childRun, createTroupe, durable, module, plan, tool, toolActor, type RunHandle } from 'troupe';
import { runMachine } from 'troupe/machines';
import { setup, type InputFrom, type OutputFrom } from 'xstate';
import { z } from 'zod';

const hello = tool({ name: 'hello', description: 'Says hello', inputSchema: z.object({ to: z.string() }), execute: ({ to }) => to });
const hellos = plan({ name: 'hellos', module: module({ name: 'm', tools: [hello] }) }).step('a', hello, { input: () => ({ to: 'x' }) });
const caller = toolActor(hello);
const asked: InputFrom<typeof caller> = { to: 'x' };
const told = (exit: OutputFrom<typeof caller>): string => (exit.status === 'succeeded' ? exit.output : asked.to);
const one = childRun(hellos.output(({ a }) => a.length));
const length = (output: OutputFrom<typeof one>): number => output;
const still = durable(setup({}).createMachine({}), { name: 'still', version: '1' });
const troupe = await createTroupe({ definitions: [still] });
const { a }: { a: string } = await troupe.execute(hellos, {});
export const run: RunHandle = await troupe.start(still);
export const used: readonly unknown[] = [a, runMachine.id, told, length];
await troupe[Symbol.asyncDispose]();
`;

beforeAll(async () => {
  const published = join(folder, 'node_modules/troupe');
  mkdirSync(published, { recursive: true });
  await tsc('-p', join(root, 'tsconfig.build.json'), '--outDir', join(published, 'dist'));
  copyFileSync(join(root, 'package.json'), join(published, 'package.json'));
  for (const name of ['xstate', '@xstate/store', 'zod', 'msgpackr', '@types/node', 'undici-types']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link, 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// An AbortSignal comes with either.
test.each([
  { lib: ['es2023', 'dom'], types: [] },
  { lib: ['es2023'], types: ['node'] },
])('compile with lib $lib, types $types and skipLibCheck off', { timeout: 60_000 }, async ({ lib, types }) => {
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'es2023',
        lib,
        types,
        module: 'nodenext',
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
      },
      files: ['consumer.ts'],
    }),
  );
  // What xstate and zod ask of a lib is theirs.
  const errors = await tsc('-p', folder);
  expect(errors.filter((line) => /^(consumer|node_modules\/troupe)/.test(line))).toEqual([]);
});
