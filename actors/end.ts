import type { AnyActorRef } from 'xstate';
import { asFailure, encode, toData } from '../src/codec.ts';
import type { EntryOf } from '../src/protocol/entry.ts';
import { ReplayDivergenceError } from '../src/protocol/errors.ts';
import type { Exit } from '../src/protocol/exit.ts';
import type { RunStatus } from '../src/protocol/lifecycle.ts';
import type { Said } from './said.ts';
import type { DurableSystem } from './system.ts';

export type Ended = EntryOf<'run.completed' | 'run.failed' | 'run.killed'>;

/** How a call ended, as somebody says or a run that it has begun has it. */
export type Outcome = { output: unknown } | { error: unknown };

/** The state of the run's lifecycle; a root that has thrown has failed. */
export function statusOf(root: AnyActorRef): RunStatus | 'killing' {
  const { status, value } = root.getSnapshot() as { status: string; value: RunStatus | { active: RunStatus } };
  if (status === 'error') return 'failed';
  return typeof value === 'object' ? value.active : value;
}

/** The entry that ends a run whose machine is done. */
export function endOf(system: DurableSystem): Said<'run.completed' | 'run.failed'> {
  const { status, output, error } = system.root.getSnapshot() as { status: string; output?: Exit; error?: unknown };
  const exit: Exit = status === 'done' && output !== undefined ? output : { status: 'failed', error: asFailure(error) };
  if (exit.status !== 'succeeded') return failedWith(exit.status === 'failed' ? exit.error : new Error('killed'));
  if (system.actions.lateFailure !== undefined) return failedWith(system.actions.lateFailure.error);
  try {
    return { type: 'run.completed', target: 'run', event: { output: toData(exit.output, 'output') }, cause: null };
  } catch (unkept) {
    return failedWith(unkept);
  }
}

const failedWith = (cause: unknown): Said<'run.failed'> => ({
  type: 'run.failed',
  target: 'run',
  event: { error: asFailure(cause) },
  cause: null,
});

/** A fold must end as the journal says. Not to the letter of an error: what pure code throws is worded by the Node it runs on. */
export function mustEndAs(entry: Ended, system: DurableSystem): void {
  if (entry.type === 'run.killed') return;
  const own = endOf(system);
  if (own.type === 'run.failed' && entry.type === 'run.failed') return;
  if (own.type === 'run.completed' && entry.type === 'run.completed' && same(own.event.output, entry.event.output))
    return;
  const { run, seq, type, event } = entry;
  throw new ReplayDivergenceError(
    `Run ${run}: entry ${seq} says ${type}, this machine ends otherwise. Nothing was executed; run it with the definition that wrote it.`,
    { run, seq, expected: { type, ...event }, got: { type: own.type, ...own.event } },
  );
}

const same = (a: unknown, b: unknown): boolean => Buffer.compare(encode(a), encode(b)) === 0;
