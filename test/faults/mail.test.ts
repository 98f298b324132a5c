import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Job, until } from './job.ts';
import { killAt, momentOf, seed } from './moments.ts';
import { recover, undisturbed, type Undisturbed } from './recovery.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000, maxConcurrency: 2 });

const rounds = Number(process.env['FAULT_ROUNDS'] ?? 20);
const jobs: Job[] = [];
const phases = new Map<string, number>();
const doubts: number[] = [];
let worst = { ms: 0, round: 0 };
let normal: Undisturbed;

async function open(): Promise<Job> {
  const job = await Job.open();
  jobs.push(job);
  return job;
}

beforeAll(async () => {
  console.log(`FAULT_SEED=${seed} FAULT_ROUNDS=${rounds}`);
  // Two at a time, as in the rounds.
  const [one, other] = await Promise.all([open().then(undisturbed), open().then(undisturbed)]);
  expect(one.output).toEqual(other.output);
  normal = { ...one, ms: Math.max(one.ms, other.ms) };
});
afterAll(async () => {
  await Promise.all(jobs.map((job) => job.close()));
  const hits = Array.from(phases, ([name, times]) => `${name}: ${times}`).join(', ');
  const total = doubts.reduce((sum, count) => sum + count, 0);
  console.log(
    `${doubts.length} kills (${hits}); ${total} calls in doubt (${doubts.join(' ')}); worst recovery ${Math.round(worst.ms)} ms (round ${worst.round})`,
  );
  // A test that never hits a send would pass whatever becomes of one.
  if (doubts.length >= 20) expect(total).toBeGreaterThan(0);
});

describe.concurrent('the main job, killed', () => {
  it.for(Array.from({ length: rounds }, (_, round) => round))('round %i: is recovered', async (round) => {
    const job = await open();
    const moment = momentOf(round, rounds, normal);
    const killed = await killAt(job, job.run(), moment);
    try {
      const recovered = await recover(job, normal.output);
      const hit = killed ? recovered.phase : 'too late';
      phases.set(hit, (phases.get(hit) ?? 0) + 1);
      doubts.push(recovered.inDoubt);
      if (recovered.ms > worst.ms) worst = { ms: recovered.ms, round };
    } catch (error) {
      const journal = (await job.entries()).map(({ seq, epoch, type, target }) => `${seq} ${epoch} ${type} ${target}`);
      throw new Error(
        [`FAULT_SEED=${seed}, round ${round}, killed at ${JSON.stringify(moment)}`, ...journal].join('\n'),
        { cause: error },
      );
    }
    await job.close();
  });

  it('sends nothing while its intents cannot be recorded', async () => {
    const job = await open();
    const allow = await job.refuseIntents();
    const command = job.run();
    // It had the time in between.
    const tries = (): number => job.complaints.split('recording is tried again').length - 1;
    await until(() => tries() >= 2, 'recording is tried twice');
    command.signal('SIGKILL');
    await command.ended;
    allow();
    await job.delivered();
    expect(job.mails()).toEqual([]);
    expect(await recover(job, normal.output)).toMatchObject({ phase: 'before the first send', inDoubt: 0 });
  });
});
