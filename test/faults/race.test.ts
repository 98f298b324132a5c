import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { Job, RUN } from './job.ts';
import { phase, unknown } from './journal.ts';
import { chance, killAt, seed } from './moments.ts';
import { dataOf, expectDone, expectRecorded, recover, undisturbed, type Outcome, type Recovery } from './recovery.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const jobs: Job[] = [];
let output: unknown;

async function open(): Promise<Job> {
  const job = await Job.open();
  jobs.push(job);
  return job;
}

beforeAll(async () => {
  console.log(`FAULT_SEED=${seed}`);
  const job = await open();
  ({ output } = await undisturbed(job));
  await job.close();
});
afterEach(async () => {
  await Promise.all(jobs.splice(0).map((job) => job.close()));
});

/** Killed once it has recorded something, before its first send: a recovery has all of them to do. */
async function killedEarly(): Promise<Job> {
  for (;;) {
    const job = await open();
    await killAt(job, job.run(), { after: 'entries', count: 1, laterMs: 0 });
    if (phase(await job.entries()) === 'before the first send') return job;
    await job.close();
  }
}

it('is recovered by one of two who try at once', async () => {
  const job = await killedEarly();
  // Whoever has the run waits for the server, so the other one finds it alive.
  job.freezeServer();
  const both = [job.begin('recover'), job.begin('recover')] as const;
  const loser = await Promise.race(both.map((command, index) => command.ended.then((ended) => ({ index, ended }))));
  job.thawServer();
  const winner = await both[loser.index === 0 ? 1 : 0].ended;

  const { runs, left } = dataOf<Recovery>(loser.ended);
  expect(runs).toEqual([]);
  // It came late, or it was refused.
  expect(left.map(({ error }) => error.code)).toEqual(left.length === 0 ? [] : ['STALE_OWNER']);
  expect(loser.ended.code, loser.ended.stderr).toBe(left.length === 0 ? 0 : 1);

  const won = dataOf<Recovery>(winner);
  expect(won).toMatchObject({ left: [], runs: [{ run: RUN, status: 'completed', inDoubt: [] }] });
  expect(winner.code, winner.stderr).toBe(0);
  expect((await job.entries()).filter(({ type }) => type === 'run.recovered')).toHaveLength(1);
  await expectDone(job, [], output);
});

/** The job, and twice whoever recovers it. Undefined when one of them had ended before it was killed. */
async function killedThrice(): Promise<Job | undefined> {
  const job = await killedEarly();
  for (const furtherBy of [1 + Math.floor(8 * chance('recovery')), 1]) {
    const { length } = await job.entries();
    const moment = { after: 'entries', count: length + furtherBy, laterMs: 0 } as const;
    if (!(await killAt(job, job.begin('recover'), moment))) return undefined;
    await expectRecorded(job);
  }
  return job;
}

it('is recovered though two recoveries in a row are killed', async () => {
  let job: Job | undefined;
  while (job === undefined) job = await killedThrice();
  const killed = await job.entries();
  expect(killed.filter(({ type }) => type === 'run.recovered').map(({ epoch }) => epoch)).toEqual([2, 3]);

  const shown = dataOf<Outcome>(await job.begin('show', RUN).ended);
  expect(shown.inDoubt.map(({ call }) => call).toSorted()).toEqual(unknown(killed));
  expect(await job.entries(), 'showing it takes nothing over').toEqual(killed);

  const { inDoubt } = await recover(job, output);
  console.log(`killed three times: ${inDoubt} calls in doubt`);
});
