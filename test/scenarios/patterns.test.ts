import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createTroupe, plan, type Troupe } from '../../src/index.ts';

/** The workflow patterns that docs/guides/plans.md says plans cover, each as a plan. */

const open: Troupe[] = [];
const troupe = async (): Promise<Troupe> => {
  const made = await createTroupe();
  open.push(made);
  return made;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((made) => made.close()));
});

/** What a run did: names of functions as they begin and end. */
class Log {
  readonly lines: string[] = [];

  /** A function that takes a turn or more. */
  act(name: string, turns = 1): () => Promise<string> {
    return async () => {
      this.lines.push(name);
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      this.lines.push(`/${name}`);
      return name;
    };
  }
  get begun(): string[] {
    return this.lines.filter((line) => !line.startsWith('/'));
  }
  /** Did `one` end before `other` began? */
  before(one: string, other: string): boolean {
    return this.lines.indexOf(`/${one}`) < this.lines.indexOf(other);
  }
  /** Was there ever more than one under way? */
  get overlaps(): boolean {
    return this.lines.some((line, at) => !line.startsWith('/') && this.lines[at + 1] !== `/${line}`);
  }
}

const run = async (definition: unknown, input?: unknown): Promise<unknown> =>
  (await troupe()).execute(definition as ReturnType<typeof plan.parse>, input);

const choice = (log: Log) => plan({ name: 'p', inputSchema: z.array(z.string()) }).step('a', log.act('a'));

/** By number: what the pattern asks for. */
const PATTERNS: Record<number, () => Promise<void>> = {
  1: async () => {
    const log = new Log();
    await run(
      plan({ name: 'p' })
        .step('a', log.act('a', 3))
        .step('b', log.act('b'), { needs: ['a'] }),
    );
    expect(log.lines).toEqual(['a', '/a', 'b', '/b']);
  },
  2: async () => {
    const log = new Log();
    const split = plan({ name: 'p' }).step('a', log.act('a'));
    await run(split.step('b', log.act('b', 5), { needs: ['a'] }).step('c', log.act('c', 5), { needs: ['a'] }));
    expect(log.lines.slice(2, 4)).toEqual(['b', 'c']);
  },
  3: async () => {
    const log = new Log();
    const both = plan({ name: 'p' }).step('a', log.act('a', 9)).step('b', log.act('b'));
    await run(both.step('c', log.act('c'), { needs: ['a', 'b'] }));
    expect([log.before('a', 'c'), log.before('b', 'c')]).toEqual([true, true]);
  },
  4: async () => {
    for (const [taken, left] of [
      ['b', 'c'],
      ['c', 'b'],
    ]) {
      const log = new Log();
      const xor = choice(log)
        .step('b', log.act('b'), { needs: ['a'], when: ({ input }) => input.includes('b') })
        .step('c', log.act('c'), { needs: ['a'], when: ({ input }) => !input.includes('b') });
      expect(await run(xor, [taken])).toEqual({ a: 'a', [String(taken)]: taken });
      expect(log.begun).not.toContain(left);
    }
  },
  5: async () => {
    const log = new Log();
    const merge = choice(log)
      .step('b', log.act('b'), { needs: ['a'], when: ({ input }) => input.includes('b') })
      .step('c', log.act('c'), { needs: ['a'], when: ({ input }) => !input.includes('b') })
      .step('d', ({ b, c }) => b ?? c, { anyOf: ['b', 'c'] });
    expect(await run(merge, ['b'])).toMatchObject({ d: 'b' });
    expect(await run(merge, [])).toMatchObject({ d: 'c' });
  },
  6: async () => {
    const log = new Log();
    const or = choice(log)
      .step('b', log.act('b'), { needs: ['a'], when: ({ input }) => input.includes('b') })
      .step('c', log.act('c'), { needs: ['a'], when: ({ input }) => input.includes('c') })
      .step('d', log.act('d'), { needs: ['a'], when: ({ input }) => input.includes('d') });
    expect(await run(or, ['b', 'd'])).toEqual({ a: 'a', b: 'b', d: 'd' });
  },
  7: async () => {
    for (const [taken, given] of [
      [['b'], 'b-'],
      [['b', 'c'], 'bc'],
    ] as const) {
      const log = new Log();
      const or = choice(log)
        .step('b', log.act('b', 9), { needs: ['a'], when: ({ input }) => input.includes('b') })
        .step('c', log.act('c'), { needs: ['a'], when: ({ input }) => input.includes('c') })
        .step('d', ({ b, c }) => `${b ?? '-'}${c ?? '-'}`, { needs: ['a'], optional: ['b', 'c'] });
      expect(await run(or, taken)).toMatchObject({ d: given });
    }
  },
  9: async () => {
    const log = new Log();
    const first = plan({ name: 'p' }).step('slow', log.act('slow', 9)).step('quick', log.act('quick'));
    await run(first.step('c', log.act('c'), { anyOf: ['slow', 'quick'] }));
    expect([log.before('slow', 'c'), log.before('quick', 'c')]).toEqual([false, true]);
    expect(log.begun.filter((name) => name === 'c')).toHaveLength(1);
  },
  11: async () => {
    const log = new Log();
    await run(plan({ name: 'p' }).step('a', log.act('a')).step('b', log.act('b', 9)));
    expect(log.lines.toSorted()).toEqual(['/a', '/b', 'a', 'b']);
  },
  13: async () => {
    const three = plan({ name: 'p' }).step('a', (n: number) => n * 2, { each: () => [1, 2, 3] });
    expect(await run(three)).toEqual({ a: [2, 4, 6] });
  },
  14: async () => {
    const many = plan({ name: 'p', inputSchema: z.number() })
      .step('list', ({ input }) => Array.from({ length: input }, (_, index) => index))
      .step('a', (n: number) => n * 2, { needs: ['list'], each: ({ list }) => list });
    expect(await run(many, 5)).toMatchObject({ a: [0, 2, 4, 6, 8] });
  },
  17: async () => {
    const log = new Log();
    const ordered = plan({ name: 'p', concurrency: 1 })
      .step('a', log.act('a', 3))
      .step('b', log.act('b', 3))
      .step('c', log.act('c', 3), { needs: ['a'] });
    await run(ordered);
    expect([log.overlaps, log.before('a', 'c'), log.begun.toSorted()]).toEqual([false, true, ['a', 'b', 'c']]);
  },
  20: async () => {
    let aborted = false;
    const waiting = plan({ name: 'p' }).step('a', (_, { signal }) => {
      signal.addEventListener('abort', () => (aborted = true));
      return new Promise(() => {});
    });
    const handle = await (await troupe()).start(waiting, undefined);
    for await (const { type } of handle.entries()) if (type === 'leaf.started') break;
    await handle.kill('not needed', { grace: 0 });
    expect([(await handle.result()).metadata.status, aborted]).toEqual(['killed', true]);
  },
  37: async () => {
    const log = new Log();
    // The branches begin in different places, and one is cut off in the middle.
    const merge = choice(log)
      .step('b', log.act('b'), { needs: ['a'], when: () => false })
      .step('c', log.act('c'), { needs: ['b'] })
      .step('e', log.act('e', 9))
      .step('d', ({ c, e }) => `${c ?? '-'}${e ?? '-'}`, { optional: ['c', 'e'] });
    expect(await run(merge, [])).toEqual({ a: 'a', e: 'e', d: '-e' });
  },
  40: async () => {
    const log = new Log();
    const any = plan({ name: 'p', concurrency: 1 }).step('a', log.act('a', 3)).step('b', log.act('b', 3));
    await run(any.step('c', log.act('c', 3)));
    expect([log.overlaps, log.begun.toSorted()]).toEqual([false, ['a', 'b', 'c']]);
  },
  41: async () => {
    const log = new Log();
    const merged = plan({ name: 'p' })
      .step('a', (turns: number) => log.act(`a${turns}`, turns)(), { each: () => [1, 9, 4] })
      .step('b', log.act('b'), { needs: ['a'] });
    await run(merged);
    expect(['a1', 'a9', 'a4'].every((name) => log.before(name, 'b'))).toBe(true);
  },
  42: async () => {
    const log = new Log();
    const split = plan({ name: 'p' }).step('a', (n: number) => log.act(`a${n}`, 9)(), { each: () => [1, 2, 3] });
    await run(split);
    expect(log.lines.slice(0, 3)).toEqual(['a1', 'a2', 'a3']);
  },
};

const table = readFileSync(new URL('../../docs/guides/plans.md', import.meta.url), 'utf8');
const rows = [...table.matchAll(/^\| (\d+) +\| (.+?) +\| (yes|no|partly) +\|/gm)].map(
  ([, number, name = '', covered]) => ({
    number: Number(number),
    name,
    covered,
  }),
);

test('the table has all 43, and a test for each that is covered', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 43 }, (_, index) => index + 1));
  const covered = rows.flatMap(({ number, covered: how }) => (how === 'yes' ? [number] : []));
  expect(Object.keys(PATTERNS).map(Number)).toEqual(covered);
});

describe('pattern', () => {
  test.each(rows.filter(({ number }) => PATTERNS[number] !== undefined))('WCP-$number $name', async ({ number }) => {
    await PATTERNS[number]?.();
  });
});
