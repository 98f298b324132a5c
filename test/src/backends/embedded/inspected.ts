import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

/** What became of the copies of a store that were harmed in one way. */
export interface Seen {
  reported: number;
  /** Of a damaged log: its last commits are gone, and nothing says so. */
  shortened: number;
  harmless: number;
}

const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url));

/** By kind of harm. None was worse, and none ended the process that read it. */
export async function inspected(dir: string, flips: number, step?: number): Promise<Map<string, Seen>> {
  const args = [dir, String(flips), ...(step === undefined ? [] : [String(step)])];
  const child = spawn(process.execPath, ['--conditions=troupe-source', INSPECTOR, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const end = await once(child, 'close');
  const lines = printed.split('\n');
  expect(end, `after ${lines.at(-1)}`).toEqual([0, null]);
  const seen = new Map<string, Seen>();
  for (const line of lines.slice(0, -1)) {
    const [, kind = '', found] = /^(.*) \d+: (.*)$/.exec(line) ?? [];
    if (found !== 'reported' && found !== 'shortened' && found !== 'harmless') throw new Error(line);
    const counts = seen.get(kind) ?? { reported: 0, shortened: 0, harmless: 0 };
    seen.set(kind, { ...counts, [found]: counts[found] + 1 });
  }
  return seen;
}
