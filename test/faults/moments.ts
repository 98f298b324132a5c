import { createHash } from 'node:crypto';
import { until, type Job } from './job.ts';
import { MAILS } from './journal.ts';
import type { Command } from '../src/cli/folder.ts';
import type { Undisturbed } from './recovery.ts';

/** A fact, or so long after the start; then so much later. */
export type Moment = { after: 'start' | 'entries' | 'mails'; count: number; laterMs: number };

export const seed = process.env['FAULT_SEED'] ?? String(Date.now());

/** From 0 to 1, the same for the same seed and name. */
export const chance = (name: string): number =>
  createHash('sha256').update(`${seed} ${name}`).digest().readUInt32BE() / 2 ** 32;

/** The moment of a round: each kind is spread evenly over the life of the job, by chance within its share. */
export function momentOf(round: number, rounds: number, { entries, ms }: Undisturbed): Moment {
  const kind = (['entries', 'start', 'entries', 'mails'] as const)[round % 4] ?? 'entries';
  const turn = kind === 'entries' ? Math.floor(round / 2) : Math.floor(round / 4);
  const turns = Math.max(1, Math.floor(kind === 'entries' ? rounds / 2 : rounds / 4));
  const share = ((turn % turns) + chance(`${round}`)) / turns;
  const laterMs = 8 * chance(`${round} later`);
  switch (kind) {
    case 'start':
      return { after: 'start', count: 0, laterMs: share * ms };
    case 'mails':
      return { after: 'mails', count: 1 + Math.floor(share * MAILS), laterMs };
    case 'entries':
      // The narrow ones first: its creation, its last outcome, its end.
      if (turn < 3) return { after: 'entries', count: [1, entries - 1, entries][turn] ?? 1, laterMs: 0 };
      return { after: 'entries', count: 1 + Math.floor(share * entries), laterMs };
  }
}

/** Kills the command at its moment. False when it had ended before. */
export async function killAt(job: Job, command: Command, { after, count, laterMs }: Moment): Promise<boolean> {
  const watch = job.watch();
  let ended = false;
  void command.ended.then(() => (ended = true));
  const facts = {
    start: () => true,
    entries: () => watch.entries() >= count,
    mails: () => job.mails().length >= count,
  };
  try {
    await until(() => ended || facts[after](), `${count} ${after}`);
    const since = performance.now();
    await until(() => ended || performance.now() - since >= laterMs, `${laterMs} ms`);
    command.signal('SIGKILL');
    return (await command.ended).code === null;
  } finally {
    watch.close();
  }
}
