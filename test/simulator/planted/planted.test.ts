import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { planted, root, sourcesWith } from './planted.ts';

const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');

describe('planted bugs', () => {
  test('are at least twenty, each with a name of its own', () => {
    expect(planted.length).toBeGreaterThanOrEqual(20);
    expect(new Set(planted.map(({ name }) => name)).size).toBe(planted.length);
  });

  test.each(planted.map((bug) => [bug.name, bug] as const))('%s: its place is still there', (_, bug) => {
    for (const [file, source] of sourcesWith(bug, read)) expect(source).not.toBe(read(file));
  });

  test('one whose place is gone, or is there twice, is an error', () => {
    const place = { name: 'x', promise: 'J1', file: 'f', find: 'once', replace: '' };
    expect(() => sourcesWith(place, () => 'nothing')).toThrow(
      "Planted bug 'x': its place in f is there 0 times, not once.",
    );
    expect(() => sourcesWith(place, () => 'once, once')).toThrow('is there 2 times');
  });
});
