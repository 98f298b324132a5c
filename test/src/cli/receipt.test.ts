import { expect, it } from 'vitest';
import { receiptLines } from '../../../src/cli/receipt.ts';
import { Terminal } from '../../../src/cli/terminal.ts';
import type { RunId } from '../../../src/protocol/ids.ts';
import type { KilledRun, Receipt } from '../../../src/protocol/receipt.ts';

const terminal = new Terminal({ color: false });
const killed = (run: string, more: Partial<KilledRun> = {}): KilledRun => ({
  run: run as RunId,
  definition: 'order',
  status: 'killed',
  reason: 'overdue',
  by: 'ana',
  seq: 7,
  owner: null,
  answered: true,
  stopped: [{ actor: 'body', state: 'open', ms: 1 }],
  inDoubt: [],
  ms: 12,
  ...more,
});
const receipt = (more: Partial<Receipt>): Receipt => ({
  reason: 'overdue',
  by: 'ana',
  runs: [],
  left: [],
  unanswered: [],
  ms: 20,
  ...more,
});
const lines = (more: Partial<Receipt>): string[] => receiptLines(receipt(more), terminal);

it('of one run is one line', () => {
  expect(lines({ runs: [killed('a')] })).toEqual(['killed a: overdue (entry 7, 20ms)']);
  expect(lines({ runs: [killed('a', { reason: 'killed' })] })).toEqual(['killed a (entry 7, 20ms)']);
  expect(lines({ runs: [killed('a', { status: 'completed' })] })).toEqual(['a had ended before: completed']);
});

it('of several has a line for each, then what is in doubt, who has not answered, and what is left', () => {
  const all = lines({
    runs: [killed('a'), killed('bbb', { inDoubt: ['body/pay\x1b[2J'], stopped: [] })],
    unanswered: [
      { run: 'a' as RunId, actor: 'body/a' },
      { run: 'bbb' as RunId, actor: null },
    ],
    left: [{ run: 'c' as RunId, error: new Error('the store is full') }],
  });
  expect(all).toEqual([
    'killed 2 runs in 20ms: overdue (by ana)',
    '  a    order  killed  entry 7  1 actor stopped   12ms',
    '  bbb  order  killed  entry 7  0 actors stopped  12ms',
    'begun, and nobody knows whether they happened:',
    '  bbb  body/pay',
    'did not stop in time; whatever they do now is not recorded:',
    '  a  body/a',
    '  bbb  its process',
    'not killed; try again:',
    '  c  the store is full',
  ]);
});
