import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chanceOf, spread, spreadAfter } from '../../../machines/policy/jitter.ts';

test('a seed gives one number, in [0, 1), for ever', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (seed) => {
      const chance = chanceOf(seed);
      assert(chance >= 0 && chance < 1 && chanceOf(seed) === chance);
    }),
  );
  // Journals that are folded by a later version must give the same waits.
  expect(['', 'order-42/body/send/1', 'order-42/body/send/2'].map(chanceOf)).toMatchInlineSnapshot(`
    [
      0.6689221884589642,
      0.5570501289330423,
      0.07805887958966196,
    ]
  `);
});

test('attempts, calls and runs are spread evenly', () => {
  for (const seedOf of [
    (n: number) => `run/body/send/${n}`,
    (n: number) => `run/body/send:${n}/1`,
    (n: number) => `run-${n}/body/send/1`,
  ]) {
    const tenths = Array<number>(10).fill(0);
    for (let n = 0; n < 10_000; n += 1) tenths[Math.floor(chanceOf(seedOf(n)) * 10)]! += 1;
    for (const count of tenths) assert(count > 850 && count < 1_150, `${seedOf(0)}: ${tenths.join(' ')}`);
  }
});

test('what follows does not follow from what was before', () => {
  const chances = Array.from({ length: 5_000 }, (_, n) => chanceOf(`run/body/send/${n}`));
  const mean = chances.reduce((sum, chance) => sum + chance, 0) / chances.length;
  let [together, alone] = [0, 0];
  for (const [index, chance] of chances.entries()) {
    alone += (chance - mean) ** 2;
    together += (chance - mean) * ((chances[index + 1] ?? mean) - mean);
  }
  assert(Math.abs(together / alone) < 0.05);
});

test('a backoff keeps between a half and the whole of it, what was asked for between the whole and a tenth more', () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), fc.string(), (ms, seed) => {
      const chance = chanceOf(seed);
      assert(spread(ms, chance) >= ms / 2 && spread(ms, chance) <= ms);
      assert(spreadAfter(ms, chance) >= ms && spreadAfter(ms, chance) <= Math.ceil(ms * 1.1));
    }),
  );
});
