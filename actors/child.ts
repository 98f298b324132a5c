import { hash } from 'node:crypto';
import { fromPromise, type AnyActorLogic, type AnyStateMachine, type PromiseActorLogic } from 'xstate';
import { allotment } from '../machines/policy/budget.ts';
import { checkedBudget, type BudgetOptions } from '../src/define/budget.ts';
import type { AnyDefinition } from '../src/define/definition.ts';
import { DEFINITION, eitherOf, FUNCTION } from '../src/define/expected.ts';
import { checkedOptions, mustBe } from '../src/define/options.ts';
import { accepts } from '../src/define/schema.ts';
import { beginOf, type Child, type Entry } from '../src/protocol/entry.ts';
import type { RunId } from '../src/protocol/ids.ts';
import type { InputOf, OutputOf } from '../src/options.ts';
import { declareLeaf } from './leaf.ts';
import { childOf, tracked } from './self.ts';

/**
 * A run that works for a call of another one.
 *
 * C1. Its id follows from its parent's id and the call's key: however often it is begun, there is one.
 * C2. It is begun only after the call's intent is on record in its parent's journal: whoever reads that journal knows of every child there can be.
 * C3. Its journal is the truth; what its parent records of its end is a copy.
 * C4. A child whose parent has ended, or has left the state that called it, is killed.
 */

interface ChildOptions {
  budget?: BudgetOptions;
}

const CHILD: Record<keyof ChildOptions, true> = { budget: true };

const CALLED = eitherOf(DEFINITION, { ...FUNCTION, what: 'a function that gives one' });

const children = new WeakMap<AnyActorLogic, () => AnyDefinition>();

/**
 * A source for any machine: a run of its own, which lives, is budgeted and killed with the run that begins it.
 * It gives the run's output, and fails as the run fails. A function where the definition refers to itself.
 * `budget` can only narrow: without it, and in what it does not name, the run holds back all that is left of its parent's until it has ended, so that
 * runs begun beside it find nothing: give each a budget of its own. The call takes a step; the tool calls are those that the run makes.
 * Then the call costs what the run has spent; where it is left before, all that it has held back.
 */
export function childRun<D extends AnyDefinition>(
  definition: D | (() => D),
  options: ChildOptions = {},
): PromiseActorLogic<OutputOf<D>, InputOf<D>> {
  mustBe(definition, CALLED, 'What childRun() begins', 'definition');
  const definitionOf = typeof definition === 'function' ? definition : () => definition;
  const budget = checkedBudget(checkedOptions(options, CHILD, 'childRun()').budget);
  const logic = fromPromise<OutputOf<D>, InputOf<D>>(
    ({ input, self, signal }) =>
      // The border: what a definition gives, its types say.
      tracked(self, childOf(self, input, { definition: definitionOf(), budget, signal })) as Promise<OutputOf<D>>,
  );
  children.set(logic, definitionOf);
  return declareLeaf(logic, {
    effect: 'idempotent',
    get tool() {
      const definition = definitionOf();
      const schema = definition.kind === 'tool' ? definition.outputSchema : undefined;
      return { id: definition.name, attempt: () => 1, accepts: (output: unknown) => accepts(schema, output) };
    },
    // One that does not say how much may spend all that is left.
    costs: (_, left) => allotment(budget, left()),
    get child() {
      return { definition: definitionOf().name };
    },
  });
}

/** C1. */
export const childId = (parent: RunId, call: string): RunId =>
  hash('sha256', `${parent}/${call}`, 'base64url').slice(0, 24).replace(/^-/, '_') as RunId;

/** The run that this entry says was begun, by the run whose entry it is: those that a fork has from another run were begun by that one. */
export function childIn(entry: Entry): Child | undefined {
  const child = beginOf(entry)?.child;
  return child?.run === childId(entry.run, entry.target) ? child : undefined;
}

/** The definition of the runs that this source begins; undefined for any other source. */
export const begunBy = (logic: unknown): AnyDefinition | undefined => children.get(logic as AnyActorLogic)?.();

/** Of whatever a machine and those that it invokes may begin runs. */
export function* definitionsOf(
  { implementations }: AnyStateMachine,
  seen = new Set<unknown>(),
): Generator<AnyDefinition> {
  for (const logic of Object.values(implementations.actors)) {
    if (typeof logic !== 'object' || logic === null || seen.has(logic)) continue;
    seen.add(logic);
    const child = children.get(logic as AnyActorLogic);
    if (child !== undefined) yield child();
    if ('implementations' in logic) yield* definitionsOf(logic as AnyStateMachine, seen);
  }
}
