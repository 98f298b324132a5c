import { createStore } from '@xstate/store';
import { isEnd, type Entry } from './protocol/entry.ts';
import type { Failure } from './protocol/exit.ts';

export type RunStatus = 'created' | 'running' | 'completed' | 'failed' | 'killed';

/** What became of a run, from its entries alone. Times in ms since the epoch. */
export interface Summary {
  run: string;
  definition: string;
  status: RunStatus;
  /** Attempts of calls, each once however often a crash made it begin. */
  steps: number;
  /** Attempts that failed. */
  failures: number;
  entries: number;
  createdAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  durationMs: number | undefined;
  /** Why it ended, where it did not complete. */
  reason: string | undefined;
  error: Failure | undefined;
  output: unknown;
}

export const NO_SUMMARY: Summary = {
  run: '',
  definition: '',
  status: 'created',
  steps: 0,
  failures: 0,
  entries: 0,
  createdAt: 0,
  startedAt: undefined,
  endedAt: undefined,
  durationMs: undefined,
  reason: undefined,
  error: undefined,
  output: undefined,
};

/** A store that folds a run's entries, in order, into its summary. */
export const summaryStore = () =>
  createStore({
    context: NO_SUMMARY,
    on: {
      entry: (summary, { entry }: { entry: Entry }) => summarised(summary, entry),
    },
  });

export async function summarise(entries: AsyncIterable<Entry> | Iterable<Entry>): Promise<Summary> {
  const store = summaryStore();
  for await (const entry of entries) store.trigger.entry({ entry });
  return store.getSnapshot().context;
}

/** The summary after one more entry. */
export function summarised(before: Summary, entry: Entry): Summary {
  const summary = { ...before, entries: before.entries + 1 };
  if (isEnd(entry.type)) {
    const ended = { ...summary, endedAt: entry.at, durationMs: entry.at - (summary.startedAt ?? entry.at) };
    if (entry.type === 'run.completed') return { ...ended, status: 'completed', output: entry.event.output };
    if (entry.type === 'run.failed')
      return { ...ended, status: 'failed', reason: entry.event.error.message, error: entry.event.error };
    if (entry.type === 'run.killed') return { ...ended, status: 'killed', reason: entry.event.reason };
  }
  switch (entry.type) {
    case 'run.created':
      return { ...summary, run: entry.run, definition: entry.event.definition, createdAt: entry.at };
    case 'run.started':
      return { ...summary, status: 'running', startedAt: entry.at };
    case 'leaf.started':
      return entry.event.attempt === 1 ? { ...summary, steps: summary.steps + 1 } : summary;
    case 'leaf.failed':
      return { ...summary, failures: summary.failures + 1 };
    default:
      return summary;
  }
}

/** Irreversible calls of a run that have begun and have no recorded end, by key. */
export async function outcomesUnknown(entries: AsyncIterable<{ entry: Entry }>): Promise<string[]> {
  const open = new Set<string>();
  for await (const { entry } of entries) {
    const { type, target, event } = entry;
    if (type === 'leaf.started' && event.effect === 'irreversible') open.add(target);
    else if (type === 'leaf.succeeded' || type === 'leaf.failed') open.delete(target);
  }
  return Array.from(open);
}
