import type {
  AnyActorLogic,
  AnyMachineSnapshot,
  AnyStateMachine,
  InputFrom,
  OutputFrom,
  SnapshotFrom,
  StateMachine,
} from 'xstate';
import { costOf } from '../protocol/amount.ts';
import type { Cost, Effect } from '../protocol/entry.ts';
import { ValidationError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import { shown } from '../protocol/shown.ts';
import { closest } from './closest.ts';
import { DURABLE, FUNCTION, MACHINE, needed, PLAIN_OBJECT } from './expected.ts';
import { checkedOptions, mustBe, type Known } from './options.ts';

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
  readonly costs: Readonly<Record<string, (input: unknown) => Cost>>;
  // The border: what they read and give is typed where they are written.
  readonly continueAs: ((snapshot: AnyMachineSnapshot) => unknown) | undefined;
  readonly migrate: { from: DurableDefinition; to: (snapshot: AnyMachineSnapshot) => unknown } | undefined;
}

// XState's class has these fifteen parameters; the fourth holds the sources that `setup` was given.
/* oxlint-disable typescript/no-explicit-any */
type SourceOf<Machine> =
  Machine extends StateMachine<any, any, any, infer Actor, any, any, any, any, any, any, any, any, any, any, any>
    ? Actor
    : { src: string; logic: AnyActorLogic };
/* oxlint-enable typescript/no-explicit-any */

type SourceName<Machine> = SourceOf<Machine>['src'];
type InputOfSource<Machine, Name> = InputFrom<Extract<SourceOf<Machine>, { src: Name }>['logic']>;

export interface DurableOptions<Machine extends AnyStateMachine, Before extends AnyStateMachine = AnyStateMachine> {
  /** An id: what its runs are created and recovered by. */
  name: string;
  version: string;
  /** What its sources do to the world, by name, in child machines too: `idempotent` by default, that is, begun at least once. A misspelt one does not compile. */
  effects?: Partial<Record<SourceName<Machine>, Effect>>;
  /**
   * What a call of a source costs at most, by name, in child machines too: held back from the run's budget until it has ended.
   * A source whose calls say themselves what they have cost (`charge`) is held to what it says. Pure.
   */
  costs?: { [Name in SourceName<Machine>]?: Cost | ((input: InputOfSource<Machine, Name>) => Cost) };
  /**
   * For runs that live long: the input of a new beginning, so that what came before need not be folded any more; undefined: not now.
   * Asked when nothing is under way and there are 1,000 entries and more since the last beginning. Timers and child actors begin anew. Pure.
   */
  continueAs?: (snapshot: SnapshotFrom<Machine>) => InputFrom<Machine> | undefined;
  /** For runs that were begun with the version before: its definition, and the input that this machine goes on with. Pure. */
  migrate?: { from: DurableDefinition<Before>; to: (snapshot: SnapshotFrom<Before>) => InputFrom<Machine> };
}

/**
 * Any XState v5 machine, unedited, as something that can be run durably.
 * Guards, assigns and input mappers must be pure; a plain source is begun at least once unless `effects` says otherwise.
 * @throws ValidationError
 */
export function durable<Machine extends AnyStateMachine, Before extends AnyStateMachine = AnyStateMachine>(
  machine: Machine,
  options: DurableOptions<Machine, Before>,
): DurableDefinition<Machine> {
  mustBe(machine, MACHINE, 'What durable() makes durable', 'machine');
  const known: Known<typeof options> = OPTIONS;
  const { name, version, effects = {}, costs = {}, continueAs, migrate } = checkedOptions(options, known, 'durable()');
  checkId(name, 'definition name');
  if (typeof version !== 'string' || version === '')
    throw new ValidationError(`Definition ${name} has no version; give it one, such as version: '1'.`, {
      definition: name,
    });
  checkEffects(name, machine, effects);
  if (migrate !== undefined) mustFollow(name, migrate);
  return {
    kind: 'durable',
    name,
    version,
    machine,
    effects: effects as Record<string, Effect>,
    costs: checkedCosts(name, machine, costs),
    continueAs: continueAs as DurableDefinition['continueAs'],
    migrate: migrate as DurableDefinition['migrate'],
  };
}

const OPTIONS = {
  name: true,
  version: true,
  effects: PLAIN_OBJECT,
  costs: PLAIN_OBJECT,
  continueAs: FUNCTION,
  migrate: true,
} satisfies Known<DurableOptions<AnyStateMachine>>;

const MIGRATE = { from: needed(DURABLE), to: needed(FUNCTION) };

/** @throws ValidationError */
function mustFollow(name: string, migrate: { from: { readonly name: string }; to: unknown }): void {
  const { from } = checkedOptions(migrate, MIGRATE, `migrate of definition ${name}`);
  if (from.name !== name)
    throw new ValidationError(
      `Definition ${name} migrates from ${from.name}: only an earlier version of the same name can be migrated.`,
      { definition: name, from: from.name },
    );
}

const EFFECTS: readonly unknown[] = ['read', 'idempotent', 'irreversible'] satisfies Effect[];

/** The compiler says it first, where there is one: a call that is not known as irreversible is begun again after a crash. */
function checkEffects(name: string, machine: AnyStateMachine, effects: object): void {
  const sources = sourcesOf(machine);
  for (const [source, effect] of Object.entries(effects)) {
    mustBeSource(name, source, sources);
    if (!EFFECTS.includes(effect))
      throw new ValidationError(
        `Definition ${name}: ${source} is ${shown(effect)}; it is one of ${EFFECTS.join(', ')}.`,
        { definition: name, source, effect },
      );
  }
}

/** @throws ValidationError */
function checkedCosts(name: string, machine: AnyStateMachine, costs: object): DurableDefinition['costs'] {
  const sources = sourcesOf(machine);
  const checked: Record<string, (input: unknown) => Cost> = {};
  for (const [source, cost] of Object.entries(costs) as [string, Cost | ((input: unknown) => Cost)][]) {
    mustBeSource(name, source, sources);
    if (typeof cost !== 'function') costOf(cost, `cost of ${source} in definition ${name}`);
    checked[source] = typeof cost === 'function' ? cost : () => cost;
  }
  return checked;
}

/** @throws ValidationError */
function mustBeSource(name: string, source: string, sources: ReadonlySet<string>): void {
  if (sources.has(source)) return;
  throw new ValidationError(
    `Definition ${name} speaks of ${source}, and there is no such source; closest: ${closest(source, [...sources]).join(', ') || 'none'}.`,
    { definition: name, source },
  );
}

/** Of the machine and of those that it invokes, by name. */
function sourcesOf({ implementations }: AnyStateMachine, seen = new Set<string>()): Set<string> {
  for (const [source, logic] of Object.entries(implementations.actors)) {
    if (seen.has(source)) continue;
    seen.add(source);
    if (typeof logic === 'object' && logic !== null && 'implementations' in logic)
      sourcesOf(logic as AnyStateMachine, seen);
  }
  return seen;
}
