import { childrenOf, isIn, isLeaf, lineOf, stepsOf, type StateNode, type Step } from './chart.ts';

/** Where a statechart can come to. Of parallel regions each is taken as if the others stood where they help it most. */

type States = ReadonlySet<StateNode>;

export const DONE = 'xstate.done.state.';

/** Whether it has come to its end: a compound state by one of its final states, a parallel one by all of its regions. */
export const isDone = (node: StateNode, states: States): boolean => {
  if (node.type === 'parallel') return childrenOf(node).every((region) => isDone(region, states));
  return childrenOf(node).some((child) => child.type === 'final' && states.has(child));
};

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

function enterDown(node: StateNode, states: Set<StateNode>): void {
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

/** `leaf` is where the step is taken. */
type Allowed = (step: Step, leaf: StateNode) => boolean;

export class Reach {
  readonly root: StateNode;
  /** Every state that can be entered. */
  readonly states: States;
  readonly #steps = new Map<StateNode, readonly Step[]>();

  constructor(root: StateNode) {
    this.root = root;
    const begun = new Set<StateNode>();
    enterDown(root, begun);
    this.states = this.#closure(begun, () => true);
  }

  /** Those that can be entered and have none inside. */
  get leaves(): StateNode[] {
    return [...this.states].filter(isLeaf);
  }

  steps(leaf: StateNode): readonly Step[] {
    const known = this.#steps.get(leaf) ?? stepsOf(leaf);
    this.#steps.set(leaf, known);
    return known;
  }

  /** Every state that can be entered from this one on, by steps that `allowed` lets pass. */
  from(leaf: StateNode, allowed: Allowed = () => true): States {
    const begun = new Set(lineOf(leaf));
    for (const region of besides(leaf)) for (const state of this.states) if (isIn(state, region)) begun.add(state);
    return this.#closure(begun, allowed);
  }

  /** Where these steps lead, and no further. */
  after(steps: readonly Step[]): States {
    const states = new Set<StateNode>();
    for (const { targets, of } of steps) for (const target of targets) enter(target, of, states);
    return states;
  }

  /** Where these steps lead, and from there on those that `allowed` lets pass. */
  onward(steps: readonly Step[], allowed: Allowed): States {
    return this.#closure(new Set(this.after(steps)), allowed);
  }

  #closure(states: Set<StateNode>, allowed: Allowed): States {
    for (let before = -1; before < states.size;) {
      before = states.size;
      for (const leaf of [...states].filter(isLeaf))
        for (const step of this.steps(leaf)) {
          if (!allowed(step, leaf) || (step.event?.startsWith(DONE) && !isDone(step.of, states))) continue;
          for (const target of step.targets) enter(target, step.of, states);
        }
    }
    return states;
  }
}

/** The regions that are active beside this state. */
export const besides = (leaf: StateNode): StateNode[] => {
  const line = lineOf(leaf);
  const parallel = line.filter(({ type }) => type === 'parallel');
  return parallel.flatMap((node) => childrenOf(node).filter((region) => !line.includes(region)));
};
