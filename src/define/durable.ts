import type { AnyStateMachine, InputFrom, OutputFrom, StateMachine } from 'xstate';
import type { Effect } from '../protocol/entry.ts';
import { checkId } from '../protocol/ids.ts';

/** Something a run can be of. The type parameters are the input it takes and the output it gives. */
export interface Definition<Input = never, Output = unknown> {
  readonly name: string;
  readonly version: string;
  readonly types?: { input: (input: Input) => void; output: Output };
}

export interface DurableDefinition<Machine extends AnyStateMachine = AnyStateMachine> extends Definition<
  InputFrom<Machine>,
  OutputFrom<Machine>
> {
  readonly kind: 'durable';
  readonly machine: Machine;
  readonly effects: Readonly<Record<string, Effect>>;
}

// XState's class has these fifteen parameters; the fourth holds the sources that `setup` was given.
/* oxlint-disable typescript/no-explicit-any */
type SourceName<Machine> =
  Machine extends StateMachine<any, any, any, infer Actor, any, any, any, any, any, any, any, any, any, any, any>
    ? Actor['src']
    : string;
/* oxlint-enable typescript/no-explicit-any */

export interface DurableOptions<Source extends string> {
  /** An id: what its runs are created and recovered by. */
  name: string;
  version: string;
  /** What its sources do to the world, by name, in child machines too: `idempotent` by default, that is, begun at least once. A misspelt one does not compile. */
  effects?: Partial<Record<Source, Effect>>;
}

/**
 * Any XState v5 machine, unedited, as something that can be run durably.
 * Guards, assigns and input mappers must be pure; a plain source is begun at least once unless `effects` says otherwise.
 * @throws ValidationError
 */
export function durable<Machine extends AnyStateMachine>(
  machine: Machine,
  options: DurableOptions<SourceName<Machine>>,
): DurableDefinition<Machine> {
  const { name, version, effects = {} } = options;
  checkId(name, 'definition name');
  return { kind: 'durable', name, version, machine, effects: effects as Record<string, Effect> };
}
