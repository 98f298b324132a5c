import { childrenOf, isLeaf, lineOf, nodesOf, stepsOf, type StateNode, type Step } from './chart.ts';
import { enterDown, isDone, isOpen, take, type States } from './enter.ts';

/** Where a statechart can come to. Of parallel regions each is taken as if the others stood where they help it most. */

/** `leaf` is where the step is taken. */
type Allowed = (step: Step, leaf: StateNode) => boolean;

export class Reach {
  readonly root: StateNode;
  /** Every state that can be entered. */
  readonly states: States;
  /** Those of them that have none inside. */
  readonly leaves: readonly StateNode[];
  /** The leaves from which the machine can come to its end. */
  readonly ending: States;
  /** The same, where no guard lets pass. */
  readonly surelyEnding: States;
  readonly #steps = new Map<StateNode, readonly Step[]>();

  constructor(root: StateNode) {
    this.root = root;
    const begun = new Set<StateNode>();
    enterDown(root, begun);
    this.states = this.#closure(begun, () => true);
    this.leaves = [...this.states].filter(isLeaf);
    this.ending = this.#ending(() => true);
    this.surelyEnding = this.#ending(({ guard }) => guard === undefined);
  }

  steps(leaf: StateNode): readonly Step[] {
    const known = this.#steps.get(leaf) ?? stepsOf(leaf);
    this.#steps.set(leaf, known);
    return known;
  }

  /** Every state that can be entered from this one on, by any step. */
  from(leaf: StateNode): States {
    return this.#closure(this.#around(leaf), () => true);
  }

  /** Where these steps lead, and no further. */
  after(steps: readonly Step[]): Set<StateNode> {
    const states = new Set<StateNode>();
    for (const step of steps) take(step, states);
    return states;
  }

  /** Where these steps lead, and from there on those that `allowed` lets pass. */
  onward(steps: readonly Step[], allowed: Allowed): States {
    return this.#closure(this.after(steps), allowed);
  }

  /** What is active with this state: those around it, and all that the regions beside it can come to. */
  #around(leaf: StateNode): Set<StateNode> {
    const inside = besides(leaf).flatMap(nodesOf);
    return new Set([...lineOf(leaf), ...inside.filter((state) => this.states.has(state))]);
  }

  /** Each leaf is asked only for what those asked before have not shown: who leads to an end has one, and who is reached without one has none. */
  #ending(allowed: Allowed): States {
    const sources = new Map<StateNode, StateNode[]>();
    for (const leaf of this.leaves) {
      const around = this.#around(leaf);
      const next = this.after(this.steps(leaf).filter((step) => allowed(step, leaf) && isOpen(step, around)));
      for (const one of next) if (isLeaf(one) && asksNoMore(one, leaf)) append(sources, one, leaf);
    }
    const ending = new Set<StateNode>();
    const stuck = new Set<StateNode>();
    // From both sides: the last ones entered are the nearest to an end, and the first one reaches the most where there is none.
    for (const leaf of this.leaves.flatMap((one, at) => [one, this.leaves.at(-1 - at) ?? one])) {
      if (ending.has(leaf) || stuck.has(leaf)) continue;
      const reached = this.#closure(this.#around(leaf), allowed);
      if (isDone(this.root, reached)) {
        const found = new Set([leaf]);
        for (const one of found)
          for (const source of sources.get(one) ?? []) if (!ending.has(source)) found.add(source);
        for (const one of found) ending.add(one);
      } else for (const one of reached) if (asksNoMore(one, leaf)) stuck.add(one);
    }
    return ending;
  }

  /** In rounds, each over what the last one has entered. The end of a state is held until it has come. */
  #closure(states: Set<StateNode>, allowed: Allowed): States {
    const held = new Map<StateNode, Step[]>();
    let known = 0;
    let round: StateNode[] = [];
    for (const state of states) {
      round.push(state);
      if (known + round.length < states.size) continue;
      known = states.size;
      if (round.some(({ type }) => type === 'final'))
        for (const [of, steps] of held)
          if (isDone(of, states)) {
            held.delete(of);
            for (const step of steps) take(step, states);
          }
      for (const leaf of round.filter(isLeaf))
        for (const step of this.steps(leaf).filter((one) => allowed(one, leaf)))
          if (isOpen(step, states)) take(step, states);
          else append(held, step.of, step);
      round = [];
    }
    return states;
  }
}

function append<T>(lists: Map<StateNode, T[]>, node: StateNode, one: T): void {
  const list = lists.get(node);
  if (list === undefined) lists.set(node, [one]);
  else list.push(one);
}

/** What helps `state` from beside helps `leaf`, too. */
function asksNoMore(state: StateNode, leaf: StateNode): boolean {
  const helping = besides(leaf);
  return besides(state).every((region) => helping.includes(region));
}

/** The regions that are active beside this state. */
export const besides = (leaf: StateNode): StateNode[] => {
  const line = lineOf(leaf);
  const parallel = line.filter(({ type }) => type === 'parallel');
  return parallel.flatMap((node) => childrenOf(node).filter((region) => !line.includes(region)));
};
