import { expect, test } from 'vitest';
import { runId } from '../../../src/index.ts';
import { takerOf } from '../../../src/protocol/origin.ts';

const [first, second, third] = [runId('first'), runId('second'), runId('third')];
const takers = (...origins: { run: ReturnType<typeof runId>; at: number }[]): string[] =>
  [1, 2, 3, 4, 5].map((seq) => takerOf(third, origins, seq));

test('a run that comes from no other has taken all of it', () => {
  expect(takers()).toEqual(['third', 'third', 'third', 'third', 'third']);
});

test('a fork has taken what comes after the cut, and a fork of it what comes after that', () => {
  expect(takers({ run: first, at: 3 })).toEqual(['first', 'first', 'first', 'third', 'third']);
  expect(takers({ run: first, at: 2 }, { run: second, at: 4 })).toEqual([
    'first',
    'first',
    'second',
    'second',
    'third',
  ]);
});

test('a fork that is forked before the place where it began to be one', () => {
  expect(takers({ run: first, at: 4 }, { run: second, at: 2 })).toEqual(['first', 'first', 'third', 'third', 'third']);
});
