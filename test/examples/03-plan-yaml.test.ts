import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createTroupe, plan } from 'troupe';
import { afterAll, beforeAll, expect, test } from 'vitest';
import config from '../../examples/03-plan-yaml/troupe.config.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PLAN = join('examples', '03-plan-yaml', 'plan.yaml');
const dir = mkdtempSync(join(tmpdir(), 'troupe-words-'));

beforeAll(() => {
  // A file only by its name: it cannot be read.
  mkdirSync(join(dir, 'folder.md'));
  for (let index = 0; index < 9; index += 1) writeFileSync(join(dir, `${index}.md`), 'one two three');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function run(): Promise<unknown> {
  const troupe = await createTroupe({ tools: config.tools });
  const parsed = plan.parse(readFileSync(join(root, PLAN), 'utf8'), { file: PLAN, tools: config.tools });
  try {
    return await troupe.execute(parsed, { dir });
  } finally {
    await troupe.close();
  }
}

test('the example counts what there is, leaves out what it cannot read, and says so in one of two ways', async () => {
  expect(await run()).toBe(`a short read: 27 words in ${dir}`);
  writeFileSync(join(dir, 'long.md'), 'word '.repeat(2_000).trim());
  expect(await run()).toBe(`a long read: 2027 words in ${dir}`);
});

test('as a command', async () => {
  const folder = join('examples', '03-plan-yaml');
  const args = ['src/cli/main.ts', 'run', PLAN, '--config', join(folder, 'troupe.config.ts'), '--json'];
  const input = JSON.stringify({ dir: folder });
  const options = ['--conditions=troupe-source', ...args, '--input', input];
  const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: root });
  expect(JSON.parse(stdout)).toMatchObject({ status: 'completed', output: 'nothing to read' });
});
