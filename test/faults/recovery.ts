import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { complaints } from '../../examples/01-mail/arrived.ts';
import { readContacts } from '../../examples/01-mail/vcard.ts';
import type { Ended } from '../src/cli/folder.ts';
import { RUN, type Job } from './job.ts';
import { begun, expectLawful, isEnded, messageIdOf, phase, unknown } from './journal.ts';

const CARDS = readFileSync(new URL('../../examples/01-mail/contacts.vcf', import.meta.url), 'utf8');

/** What commands print with `--json`. */
export interface Outcome {
  run: string;
  output?: unknown;
  inDoubt: { call: string }[];
}
export interface Recovery {
  runs: Outcome[];
  left: { run: string; error: { code: string } }[];
}

export const dataOf = <T>({ stdout, stderr }: Ended): T => {
  expect(stdout, stderr).toMatch(/^\{.*\}\n$/);
  return JSON.parse(stdout) as T;
};

/** The job's output where nothing befalls it, how many entries it takes, and how long. */
export interface Undisturbed {
  output: unknown;
  entries: number;
  ms: number;
}

export async function undisturbed(job: Job): Promise<Undisturbed> {
  await job.begin('ps').ended; // compiled, as it is later
  const since = performance.now();
  const ended = await job.run().ended;
  const ms = performance.now() - since;
  expect(ended.code, ended.stderr).toBe(0);
  const { output } = dataOf<Outcome>(ended);
  const entries = await job.entries();
  await expectDone(job, [], output);
  return { output, entries: entries.length, ms };
}

/** What a kill has left is recovered, and every call in doubt is resolved by what has arrived. */
export async function recover(job: Job, output: unknown): Promise<{ phase: string; inDoubt: number; ms: number }> {
  const killed = await job.entries();
  const inDoubt = unknown(killed);
  await expectRecorded(job);

  const since = performance.now();
  const ended = await job.begin('recover').ended;
  const ms = performance.now() - since;
  const { runs, left } = dataOf<Recovery>(ended);
  expect(left, ended.stderr).toEqual([]);
  expect(runs.map(({ run }) => run)).toEqual(killed.length === 0 || isEnded(killed) ? [] : [RUN]);
  expect(runs.flatMap((run) => run.inDoubt.map(({ call }) => call)).toSorted()).toEqual(inDoubt);
  expect(ended.code, ended.stderr).toBe(inDoubt.length === 0 ? 0 : 5);

  const retried = await resolve(job, inDoubt);
  if (killed.length === 0) {
    const again = await job.run().ended;
    expect(again.code, again.stderr).toBe(0);
  }
  await expectDone(job, retried, output);
  return { phase: phase(killed), inDoubt: inDoubt.length, ms };
}

/** The calls that were begun again, because their mail had not arrived. */
async function resolve(job: Job, calls: readonly string[]): Promise<string[]> {
  await job.delivered();
  const arrived = new Set(job.mails().map(({ messageId }) => messageId));
  for (const [index, call] of calls.entries()) {
    const id = messageIdOf(call);
    const decision = arrived.has(id) ? ['--output', JSON.stringify({ id })] : ['--retry'];
    const ended = await job.begin('resolve', RUN, call, ...decision).ended;
    expect(ended.code, `resolve ${call} ${decision.join(' ')}\n${ended.stderr}`).toBe(
      index === calls.length - 1 ? 0 : 5,
    );
    const left = dataOf<Outcome>(ended).inDoubt.map((known) => known.call);
    expect(left.toSorted()).toEqual(calls.slice(index + 1));
  }
  return calls.filter((call) => !arrived.has(messageIdOf(call)));
}

/** No mail has gone out whose intent is not on record (F2). */
export async function expectRecorded(job: Job): Promise<void> {
  await job.delivered();
  const intended = new Set(begun(await job.entries()).map(messageIdOf));
  const unrecorded = job.mails().filter(({ messageId }) => !intended.has(messageId));
  expect(unrecorded, 'mails that went out before their intent was recorded').toEqual([]);
}

/** Completed with this output, a mail for everybody and nobody twice; a replay is equal and nothing is left to recover. */
export async function expectDone(job: Job, retried: readonly string[], output: unknown): Promise<void> {
  const entries = await job.entries();
  expectLawful(entries, retried);
  expect(entries.at(-1)).toMatchObject({ type: 'run.completed', event: { output } });
  expect(complaints(readContacts(CARDS).contacts, job.mails())).toEqual([]);

  const replay = await job.begin('replay', RUN).ended;
  expect(replay.code, replay.stderr).toBe(0);
  const replayed = dataOf(replay);
  expect(replayed).toMatchObject({ equal: true, status: 'completed', entries: entries.length, inDoubt: [] });
  const again = await job.begin('recover').ended;
  expect(again.code, again.stderr).toBe(0);
  expect(dataOf(again)).toEqual({ runs: [], left: [] });
  expect(await job.entries()).toEqual(entries);
}
