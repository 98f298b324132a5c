import type { AnyStateMachine } from 'xstate';
import { guardText } from './guard.ts';

/** What leads on in a statechart, in words. */

export type StateNode = AnyStateMachine['root'];
type Transition = StateNode['always'] extends readonly (infer T)[] | undefined ? T : never;

export const children = (node: StateNode): StateNode[] => Object.values(node.states);
export const everyNode = (node: StateNode): StateNode[] => [node, ...children(node).flatMap(everyNode)];
export const isAbove = (node: StateNode, other: StateNode): boolean => {
  for (let next = other.parent; next !== undefined; next = next.parent) if (next === node) return true;
  return false;
};
const initialOf = (node: StateNode): StateNode => {
  const [first] = node.type === 'compound' ? (node.initial.target ?? []) : [];
  return first === undefined ? node : initialOf(first);
};

export interface Edge {
  from: StateNode;
  /** The state itself where nothing is left. */
  to: StateNode;
  label: string;
  /** From a state that has others inside to one of these: it can happen in each of them. Mermaid has no arrow for it. */
  inside: boolean;
}

/** XState names a source that is given inline by its place. */
export const sourceName = (src: unknown): string =>
  typeof src === 'string' && !src.startsWith('xstate.invoke.') ? src : 'inline';

/** Sources by the id of their invocation. */
function eventName(type: string, sources: ReadonlyMap<string, string>): string {
  const [, verb, kind, id = ''] = /^xstate\.(done|error|snapshot)\.?(actor|state)?\.(.*)$/.exec(type) ?? [];
  if (verb === undefined) return type;
  return `${verb}(${kind === 'state' ? id.replace(/^.*\./, '') : (sources.get(id) ?? id)})`;
}

export function edgesOf(node: StateNode): Edge[] {
  const sources = new Map(node.invoke.map(({ id, src }) => [id, sourceName(src)]));
  const delays = new Map(node.after.map(({ eventType, delay }) => [eventType, String(delay)]));
  const named = (type: string): string => {
    const delay = delays.get(type);
    return delay === undefined ? eventName(type, sources) : `after ${delay}`;
  };
  const lists: [name: string, transitions: readonly Transition[]][] = [
    ['always', node.always ?? []],
    ...[...node.transitions].map(([type, list]): [string, readonly Transition[]] => [named(type), list]),
  ];
  return lists.flatMap(([name, list]) =>
    list.flatMap((transition) => {
      const guard = guardText(transition.guard) ?? (list.length > 1 ? 'else' : undefined);
      const ignored = transition.target === undefined && transition.actions.length === 0 ? ' (ignored)' : '';
      return (transition.target ?? [node]).map((target) => ({
        from: node,
        // Mermaid cannot draw an arrow from a state to one around it.
        to: isAbove(target, node) ? initialOf(target) : target,
        label: `${name}${guard === undefined ? '' : ` [${guard}]`}${ignored}`,
        inside: isAbove(node, target),
      }));
    }),
  );
}
