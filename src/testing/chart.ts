import { fromCallback, fromTransition, type AnyStateMachine } from 'xstate';

/** A statechart as it is written: what may happen in each of its states, guards not asked. */

export type StateNode = AnyStateMachine['root'];
type Transition = StateNode['always'] extends readonly (infer T)[] | undefined ? T : never;

/** One transition that a state may take. */
export interface Step {
  /** The event, as it is written there; undefined for an `always`. */
  event: string | undefined;
  /** Of which state it is: the state itself, or one around it. */
  of: StateNode;
  targets: readonly StateNode[];
  guard: string | undefined;
  acts: boolean;
  reenter: boolean;
}

export const childrenOf = (node: StateNode): StateNode[] => Object.values(node.states);
export const nodesOf = (node: StateNode): StateNode[] => [node, ...childrenOf(node).flatMap(nodesOf)];
/** The state, and those around it, the nearest first. */
export const lineOf = (node: StateNode): StateNode[] => [
  node,
  ...(node.parent === undefined ? [] : lineOf(node.parent)),
];
/** Of a state itself, too. */
export const isIn = (node: StateNode, outer: StateNode): boolean => lineOf(node).includes(outer);
export const isLeaf = ({ type }: StateNode): boolean => type === 'atomic' || type === 'final';
export const nameOf = ({ path, machine }: StateNode): string => path.join('.') || machine.id;

/** What a state invokes. `logic` is unknown where a name stands for what nobody has provided. */
export function invokedBy({ config, invoke, machine }: StateNode): { id: string; logic: unknown }[] {
  const configs: unknown[] = [config.invoke ?? []].flat();
  return invoke.map(({ id }, index) => {
    const src = sourceOf(configs[index]);
    return { id, logic: typeof src === 'string' ? machine.implementations.actors[src] : src };
  });
}

const sourceOf = (invoked: unknown): unknown =>
  typeof invoked === 'object' && invoked !== null && 'src' in invoked ? invoked.src : undefined;

// All of a kind share the code of their transition, and nothing else tells a callback from a promise.
const codeOf = (logic: unknown): string | undefined =>
  typeof logic === 'object' && logic !== null && 'transition' in logic ? String(logic.transition) : undefined;
const ENDLESS = [codeOf(fromCallback(() => {})), codeOf(fromTransition((state) => state, 0))];

/** A callback and a transition function go on until they are stopped: that they are done is never heard. */
const isNever = (of: StateNode, event: string): boolean =>
  invokedBy(of).some(({ id, logic }) => {
    const code = codeOf(logic);
    return event === `xstate.done.actor.${id}` && code !== undefined && ENDLESS.includes(code);
  });

/** `descriptor` may end in a wildcard. */
export const covers = (descriptor: string, event: string): boolean =>
  descriptor === event ||
  descriptor === '*' ||
  (descriptor.endsWith('.*') && event.startsWith(descriptor.slice(0, -1)));

function guardName(guard: Transition['guard']): string | undefined {
  if (guard === undefined) return undefined;
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'function') return guard.name === '' || guard.name === 'guard' ? 'an inline guard' : guard.name;
  return String(guard.type);
}

const stepOf = (of: StateNode, event: string | undefined, { target, guard, actions, reenter }: Transition): Step => ({
  event,
  of,
  targets: target ?? [],
  guard: guardName(guard),
  acts: actions.length > 0,
  reenter,
});

/** The events that a state sends itself as it is entered. What a function makes of the context is not known, and a delay is a time. */
export const raisedBy = ({ entry }: StateNode): string[] =>
  entry.flatMap((action: unknown) => {
    if (typeof action !== 'function' || !('type' in action) || action.type !== 'xstate.raise') return [];
    const { event, delay } = action as { event?: unknown; delay?: unknown };
    const isKnown = typeof event === 'object' && event !== null && 'type' in event && delay === undefined;
    return isKnown ? [String(event.type)] : [];
  });

/** Up to the first that needs no guard: those behind it are never taken. */
const taken = (steps: readonly Step[]): Step[] => {
  const certain = steps.findIndex(({ guard }) => guard === undefined);
  return certain < 0 ? [...steps] : steps.slice(0, certain + 1);
};

/** It leaves at once: no event is ever heard there. */
export const isTransient = (steps: readonly Step[]): boolean =>
  steps.some(({ event, guard, targets }) => event === undefined && guard === undefined && targets.length > 0);

/** Whatever may happen while this leaf is active, in XState's order: inner states first, and what they take is not offered to outer ones. */
export function stepsOf(leaf: StateNode): Step[] {
  const line = lineOf(leaf);
  const eventless = taken(line.flatMap((node) => (node.always ?? []).map((one) => stepOf(node, undefined, one))));
  if (isTransient(eventless)) return eventless;
  const heard: Step[] = [];
  const decided: string[] = [];
  for (const node of line) {
    const offered = [...node.transitions].filter(
      ([event]) => !isNever(node, event) && !decided.some((descriptor) => covers(descriptor, event)),
    );
    for (const [event, list] of offered) {
      const steps = taken(list.map((one) => stepOf(node, event, one)));
      heard.push(...steps);
      if (steps.at(-1)?.guard === undefined) decided.push(event);
    }
  }
  return [...eventless, ...heard];
}
