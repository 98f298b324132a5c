import type { Entry } from '../../src/index.ts';

/** All of a run that has ended. */
export async function entriesOf(run: { entries(): AsyncIterable<Entry> }): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of run.entries()) entries.push(entry);
  return entries;
}
