import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Figures } from './measure.ts';
import type { Variant } from './table.ts';

const TIMEOUT_MS = 600_000;

const fileOf = (question: string): string => (question === 'rivals' ? 'rivals/main.ts' : `${question}.ts`);

/** One variant in a process of its own. @throws when it fails or says nothing */
export function run(variant: Variant, flags: readonly string[] = []): Figures {
  const [question = '', name = ''] = variant.split('/');
  const file = fileURLToPath(new URL(fileOf(question), import.meta.url));
  const said = execFileSync(process.execPath, ['--expose-gc', '--conditions=troupe-source', ...flags, file, name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: TIMEOUT_MS,
  });
  return JSON.parse(said.trim().split('\n').at(-1) ?? '') as Figures;
}
