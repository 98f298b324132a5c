import { childrenOf, isIn, lineOf, type StateNode, type Step } from './chart.ts';

/** What one transition of a statechart enters, and when it can be taken. */

export type States = ReadonlySet<StateNode>;

export const DONE = 'xstate.done.state.';

/** Whether it has come to its end: a compound state by one of its final states, a parallel one by all of its regions. */
export const isDone = (node: StateNode, states: States): boolean => {
  if (node.type === 'parallel') return childrenOf(node).every((region) => isDone(region, states));
  return childrenOf(node).some((child) => child.type === 'final' && states.has(child));
};

/** The end of a state is heard only once it has come. */
export const isOpen = ({ event, of }: Step, states: States): boolean => !event?.startsWith(DONE) || isDone(of, states);

/** Enters what the step leads to. */
export function take({ targets, of }: Step, states: Set<StateNode>): void {
  for (const target of targets) enter(target, of, states);
}

/** The states that a transition from `of` to this one enters, those around it and beside it included. */
function enter(node: StateNode, of: StateNode, states: Set<StateNode>): void {
  if (node.type === 'history') return remembered(node).forEach((state) => enter(state, of, states));
  const line = lineOf(node);
  for (const outer of line.slice(1)) {
    states.add(outer);
    // Within one region the others stay as they are.
    if (outer.type !== 'parallel' || childrenOf(outer).some((region) => line.includes(region) && isIn(of, region)))
      continue;
    for (const region of childrenOf(outer)) if (!line.includes(region)) enterDown(region, states);
  }
  enterDown(node, states);
}

export function enterDown(node: StateNode, states: Set<StateNode>): void {
  if (node.type === 'history') return;
  states.add(node);
  if (node.type === 'parallel') for (const region of childrenOf(node)) enterDown(region, states);
  if (node.type === 'compound') for (const target of node.initial.target ?? []) enterInside(node, target, states);
}

/** An initial state may lie deeper. */
function enterInside(outer: StateNode, target: StateNode, states: Set<StateNode>): void {
  if (target.type === 'history') return remembered(target).forEach((state) => enterInside(outer, state, states));
  for (const node of lineOf(target)) if (node !== outer && isIn(node, outer)) states.add(node);
  enterDown(target, states);
}

/** Where a history state leads when there is none yet. What it remembers was entered before, in another way. */
function remembered({ config, parent }: StateNode): StateNode[] {
  const { target } = config as { target?: unknown };
  if (typeof target === 'string') {
    const inside = target.split('.').reduce<StateNode | undefined>((node, key) => node?.states[key], parent);
    return inside === undefined ? [] : [inside];
  }
  return [...(parent?.initial.target ?? [])];
}
