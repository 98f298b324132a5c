import type { KilledRun, Receipt } from '../protocol/receipt.ts';
import { errorData } from './json.ts';
import { because, count, duration, table, unknownLines } from './render.ts';
import { flat, type Terminal } from './terminal.ts';

/** What a kill came to, for people: a line for each run, then what is in doubt, then who has not answered. */
export function receiptLines(receipt: Receipt, terminal: Terminal): string[] {
  const { runs, left, unanswered } = receipt;
  const lines = runs.length === 1 && runs[0] !== undefined ? oneLine(receipt, runs[0]) : manyLines(receipt);
  const doubts = runs.flatMap(({ run, inDoubt }) => inDoubt.map((call) => `${run}  ${call}`));
  lines.push(...unknownLines(doubts, terminal));
  if (unanswered.length > 0)
    lines.push(
      terminal.paint('red', 'did not stop in time; whatever they do now is not recorded:'),
      ...unanswered.map(({ run, actor }) => `  ${run}  ${actor === null ? 'its process' : flat(actor)}`),
    );
  if (left.length > 0)
    lines.push(
      terminal.paint('red', 'not killed; try again:'),
      ...left.map(({ run, error }) => `  ${run}  ${flat(errorData(error).message)}`),
    );
  return lines;
}

/** `ms`: of the whole kill. */
const oneLine = ({ ms }: Receipt, { run, status, reason, seq }: KilledRun): string[] => [
  flat(
    status === 'killed'
      ? `killed ${run}${because(reason, 'killed')} (entry ${seq}, ${Math.round(ms)}ms)`
      : `${run} had ended before: ${status}`,
  ),
];

function manyLines({ runs, reason, by, ms }: Receipt): string[] {
  const killed = runs.filter(({ status }) => status === 'killed').length;
  const rows = runs.map(({ run, definition, status, seq, stopped, ms: took }) => [
    `  ${run}`,
    definition,
    status,
    `entry ${seq}`,
    `${count(stopped.length, 'actor')} stopped`,
    duration(took),
  ]);
  return [
    flat(`killed ${count(killed, 'run')} in ${duration(ms)}${because(reason, 'killed')} (by ${by})`),
    ...table(rows),
  ];
}
