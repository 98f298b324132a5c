import type { Entry } from '../../src/index.ts';

/** All of a run that has ended. */
export async function entriesOf(run: { entries(): AsyncIterable<Entry> }): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of run.entries()) entries.push(entry);
  return entries;
}

/** The first of its kind, of a run that may go on. */
export async function firstOf(
  run: { entries(): AsyncIterable<Entry> },
  type: Entry['type'],
): Promise<Entry | undefined> {
  for await (const entry of run.entries()) if (entry.type === type) return entry;
  return undefined;
}
