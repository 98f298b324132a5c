import { setTimeout as pass } from 'node:timers/promises';
import type { Entry } from 'troupe';
import { expect } from 'vitest';
import { beginOf } from '../../src/protocol/entry.ts';
import { chance } from './moments.ts';
import { eventually, type Servant } from './servant.ts';
import { ADDED, isIrreversible, isList, jobs, receipt, type Job } from './workload.ts';

/** What this process does to the runs of the service, and how often it did. */
export const total = { sent: 0, doubts: 0, retried: 0 };

/** Everything that is sent from outside, each message acknowledged before the next of its run. */
export async function speak({ sender }: Servant, round: number): Promise<void> {
  const attach = (id: string) => eventually(() => sender.attach(id).catch(() => undefined), `${id} is there`);
  const talk = async ({ id }: Job): Promise<void> => {
    const run = await attach(id);
    for (const n of ADDED) {
      expect((await run.send({ type: 'ADD', n } as { type: string })).seq).toBe(n);
      total.sent += 1;
      await pass(300 * chance(`${round} ${id} ${n}`));
    }
    await run.send({ type: 'END' });
  };
  const kill = async ({ id }: Job): Promise<void> => {
    await attach(id);
    await pass(4_000 * chance(`${round} ${id}`));
    expect((await sender.kill(id, 'enough')).status).toBe('killed');
  };
  await Promise.all([...jobs.filter(isList).map(talk), ...jobs.filter(({ kind }) => kind === 'stuck').map(kill)]);
}

/** Begins of a call of its own or, where it is a tool's, of its attempts. */
const begins = (entries: readonly Entry[], call: string): number =>
  entries.filter((entry) => beginOf(entry) && `${entry.target}/`.startsWith(`${call}/`)).length;

/** Every call in doubt is decided by what has happened, while the service lives; each doubt once. */
export async function decide(here: Servant, decided: Set<string>): Promise<void> {
  const marks = here.marks();
  for (const { id } of jobs.filter(isIrreversible)) {
    const run = await here.reader.attach(id).catch(() => undefined);
    if (run?.can('resolve') !== true) continue;
    const doubts = await run.inDoubt();
    if (doubts.length === 0) continue;
    const entries = await here.journal(id);
    for (const { call, input } of doubts) {
      const { nth } = input as { nth: number };
      const doubt = `${id} ${call} ${begins(entries, call)}`;
      if (decided.has(doubt)) continue;
      decided.add(doubt);
      total.doubts += 1;
      const happened = marks.some(({ what, run: of }) => of === id && what === `charge-${nth}`);
      if (!happened) total.retried += 1;
      await run.resolve(call, happened ? { output: receipt(nth) } : { retry: true });
    }
  }
}
