import type { Entry } from '../../src/protocol/entry.ts';
import { ReplayDivergenceError } from '../../src/protocol/errors.ts';
import type { RunId } from '../../src/protocol/ids.ts';

/** An entry that the machines of its run cannot have led to. */
export const diverged = (run: RunId, entry: Entry, expected: unknown, got: unknown): ReplayDivergenceError =>
  new ReplayDivergenceError(
    `Run ${run}: entry ${entry.seq} (${entry.type} for '${entry.target}') does not fit this machine: the journal has ${show(expected)}, the machine ${show(got)}. Nothing was executed; run it with the definition that wrote it.`,
    { run, seq: entry.seq, expected, got },
  );

const show = (value: unknown): string => {
  const text =
    typeof value === 'string'
      ? value
      : (JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item)) ?? 'nothing');
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};
