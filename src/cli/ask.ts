import { illegal, type Command } from '../protocol/lifecycle.ts';
import type { RunHandle } from '../run.ts';
import { answered } from './answer.ts';
import { settledBelow } from './below.ts';
import { drive, type Outcome } from './drive.ts';
import { driving } from './driving.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { now } from './now.ts';
import type { Session } from './open.ts';
import { exitOfOutcome, outcomeData, outcomeLines } from './outcome.ts';
import { Progress } from './progress.ts';
import { harmless } from './terminal.ts';

/**
 * Something asked of a run.
 *
 * A1. Where the run lives elsewhere, its owner is asked, and answers.
 * A2. Where nobody owns it, it is taken over and asked here, and then seen through: what it has begun by then is not cut short by the end of
 *     this command.
 */
export interface Ask {
  command: Command;
  /** Once it is done, as in `paused monday`. */
  says: string;
  ask: (run: RunHandle) => Promise<{ seq: number }>;
  /** Who answers, where it is not the run itself: one that it has begun. */
  of?: string;
}

interface Asked {
  run: string;
  asked: Command;
  /** When it was on record, in ms since the epoch. */
  at: number;
  /** The entry by which it was taken; null: it has not been taken yet. */
  seq: number | null;
  /** The run was taken over for it. */
  here: boolean;
}

/** `before`: how many entries the run had by then. */
export interface Told {
  done: Asked;
  before: number;
  /** Who answered, where it is not the run itself. */
  of?: string;
}

/** @throws InvalidStateTransitionError, NotFoundError, or what it was refused with */
export async function asked(session: Session, id: string, what: Ask): Promise<Told> {
  const { troupe, terminal } = session;
  const { command, says, ask, of } = what;
  const run = await troupe.attach(id);
  if (!run.can(command)) throw illegal(run.id, run.status, command);
  const { entries: before } = await run.summary();
  const here = (await troupe.recover(id)).recovered.includes(run.id);
  if (here) {
    driving.active = true;
    driving.runs.add(run.id);
  }
  const about = { run: run.id, asked: command, here };
  let ack: { seq: number };
  try {
    ack = await ask(run);
  } catch (error) {
    await seeThrough(session, [{ done: { ...about, at: now(), seq: null }, before, ...(of !== undefined && { of }) }]);
    throw error;
  }
  const at = now();
  const other = of === undefined || of === id ? run : await troupe.attach(of);
  const seq = here ? ack.seq : ((await answered(other, ack.seq)) ?? null);
  const how = seq === null ? ': recorded, and not taken yet by whoever goes on with it' : ` (entry ${seq})`;
  terminal.say(harmless(`${says} ${other.id}${how}`));
  return { done: { ...about, at, seq }, before, ...(of !== undefined && { of }) };
}

/** Those that were taken over, until they have ended or only wait; Ctrl-C lets go of them. */
export async function seeThrough({ troupe, terminal }: Session, all: readonly Told[]): Promise<Outcome[]> {
  const here = all.filter(({ done }) => done.here);
  if (here.length === 0) return [];
  const letGo = driving.begin();
  const outcomes = await Promise.all(
    here.map(async ({ done, before, of }) => {
      const handle = await troupe.attach(done.run);
      const progress = new Progress(handle, terminal, { among: here.length, from: before + 1 });
      return drive(handle, progress, letGo, of === undefined ? undefined : settledBelow(troupe, of, handle));
    }),
  );
  for (const outcome of outcomes) {
    const [first = '', ...rest] = outcomeLines(outcome, terminal);
    for (const line of [here.length === 1 ? first : `${outcome.summary.run} ${first}`, ...rest]) terminal.say(line);
  }
  return outcomes;
}

/** Asks one run, sees it through if that falls to this process, and tells both. */
export async function askOne(session: Session, id: string, what: Ask): Promise<ExitCode> {
  const told = await asked(session, id, what);
  const [outcome] = await seeThrough(session, [told]);
  session.terminal.result({ ...told.done, outcome: outcome === undefined ? null : outcomeData(outcome) });
  return outcome === undefined ? EXIT.completed : exitOfOutcome(outcome);
}
