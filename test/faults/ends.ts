import type { Entry } from 'troupe';
import { expect } from 'vitest';
import { beginOf } from '../../src/protocol/entry.ts';
import type { Servant } from './servant.ts';
import { ADDED, isIrreversible, isList, isSpokenTo, jobs, type Job } from './workload.ts';

/** What must hold of the runs of the service, and of what they have done, whatever befell them. */

/** Nothing has happened that cannot be undone and whose intent is not on record. */
export async function expectIntended(here: Servant): Promise<void> {
  const marks = here.marks().filter(({ what }) => what.startsWith('charge'));
  for (const { id } of jobs.filter(isIrreversible)) {
    const acted = marks.filter(({ run }) => run === id).length;
    if (acted === 0) continue;
    const intents = (await here.journal(id)).filter((entry) => beginOf(entry)?.effect === 'irreversible');
    expect(intents.length, `${id}: intents of ${acted} calls`).toBeGreaterThanOrEqual(acted);
  }
}

/** The journal of one run that has ended. */
function expectLawful(entries: readonly Entry[], job: Job, here: Servant): void {
  const { id } = job;
  expect(
    entries.map(({ seq }) => seq),
    id,
  ).toEqual(entries.map((_, index) => index + 1));
  const epochs = entries.map(({ epoch }) => epoch);
  expect(epochs, id).toEqual(epochs.toSorted((a, b) => a - b));
  const started = entries.flatMap((entry) => {
    const begin = beginOf(entry);
    return begin === undefined ? [] : [`${entry.target} ${begin.attempt}`];
  });
  expect(repeated(started), `${id}: an attempt begun twice`).toEqual([]);
  const ended = entries.flatMap(({ type, target }) =>
    type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned' ? [target] : [],
  );
  expect(repeated(ended), `${id}: two outcomes`).toEqual([]);
  const heard = (kind: string): unknown[] =>
    entries.flatMap(({ type, event }) => {
      const message = type === 'message.received' ? (event.event as { type: string; n?: number }) : undefined;
      return message?.type === kind ? [message.n] : [];
    });
  if (isList(job)) {
    expect(heard('ADD'), `${id}: what was sent from outside`).toEqual(ADDED);
    const posts = entries.flatMap(({ cause }) => (typeof cause === 'string' ? [cause] : []));
    expect(posts, id).toEqual([...ADDED, ADDED.length + 1].map((seq) => `inbox/${seq}`));
  }
  if (isSpokenTo(job)) {
    const local = heard('LOCAL') as number[];
    expect(local, `${id}: order of its own messages`).toEqual([...new Set(local)].toSorted((a, b) => a - b));
    expect(
      here.said('ack', id).filter((n) => !local.includes(n)),
      `${id}: acknowledged and lost`,
    ).toEqual([]);
    expect(
      local.filter((n) => !here.said('try', id).includes(n)),
      `${id}: never sent`,
    ).toEqual([]);
  }
}

/** How each run has ended, by id; its journal is lawful and a replay of it is equal. */
export async function endsOf(here: Servant): Promise<Map<string, unknown>> {
  const ends = new Map<string, unknown>();
  for (const job of jobs) {
    const entries = await here.journal(job.id);
    expectLawful(entries, job, here);
    const end = entries.at(-1);
    ends.set(job.id, [end?.type, end?.event]);
    expect((await here.reader.replay(job.id)).equal).toBe(true);
  }
  return ends;
}
/** Calls that happened, by key, each once. One that hangs is left out: its run may be killed before it has begun. */
export const callsOf = (here: Servant): string[] =>
  [
    ...new Set(here.marks().flatMap(({ what, run, key }) => (what === 'hang' ? [] : [`${what} ${run} ${key}`]))),
  ].toSorted();

/** Irreversible calls that happened more than once. */
export const chargedTwice = (here: Servant): string[] =>
  repeated(here.marks().flatMap(({ what, run }) => (what.startsWith('charge') ? [`${run} ${what}`] : [])));

const repeated = (keys: readonly string[]): string[] => keys.filter((key, index) => keys.indexOf(key) !== index);
