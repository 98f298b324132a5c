import type { AnyStateMachine } from 'xstate';
import type { PlanSpec, StepSpec } from '../../protocol/spec.ts';
import { flat } from '../terminal.ts';
import { children, edgesOf, everyNode, isAbove, type StateNode } from './edges.ts';

/** Statecharts and plans as mermaid text. */

const nameOf = ({ type, history, key }: StateNode): string => {
  if (type !== 'history') return key;
  return history === 'deep' ? 'H*' : 'H';
};

const shown = ({ path }: StateNode): string => path.join('.');

/** Text that stays text, whatever stands in it. */
const label = (text: string): string => flat(text).replaceAll(/[#;:%`"<]/g, (c) => `#${c.charCodeAt(0)};`);

// Mermaid's own words, in any case.
const RESERVED =
  'accdescr acctitle as call choice class classdef click default direction end fork graph hide href join linkstyle note scale state style subgraph title';

/** Names in a diagram: letters, digits and _, no two alike. */
class Names<T> {
  readonly #names = new Map<T, string>();
  readonly #taken = new Set(RESERVED.split(' '));

  of(item: T, wanted: string): string {
    const known = this.#names.get(item);
    if (known !== undefined) return known;
    const plain = wanted.replaceAll(/\W/g, '_');
    let name = plain;
    for (let n = 2; this.#taken.has(name.toLowerCase()); n += 1) name = `${plain}_${n}`;
    this.#taken.add(name.toLowerCase());
    this.#names.set(item, name);
    return name;
  }
}

/** A statechart. An arrow is drawn in the innermost state that holds both its ends. */
export function stateDiagram({ root }: AnyStateMachine): string[] {
  const names = new Names<StateNode>();
  const idOf = (node: StateNode): string => names.of(node, node.path.join('_') || node.key);
  const all = everyNode(root).flatMap(edgesOf);

  const draw = (node: StateNode, indent: string): string[] => {
    const lines: string[] = [];
    for (const [index, child] of children(node).entries()) {
      if (node.type === 'parallel' && index > 0) lines.push(`${indent}--`);
      const name = nameOf(child);
      const declared = idOf(child) === name ? `state ${name}` : `state "${label(name)}" as ${idOf(child)}`;
      if (children(child).length > 0) lines.push(`${indent}${declared} {`, ...draw(child, `${indent}  `), `${indent}}`);
      else if (idOf(child) !== name) lines.push(`${indent}${declared}`);
    }
    const [initial] = node.type === 'compound' ? (node.initial.target ?? []) : [];
    if (initial !== undefined) lines.push(`${indent}[*] --> ${idOf(initial)}`);
    for (const { from, to, label: says, inside } of all)
      if (
        !inside &&
        isAbove(node, from) &&
        isAbove(node, to) &&
        !children(node).some((child) => isAbove(child, from) && isAbove(child, to))
      )
        lines.push(`${indent}${idOf(from)} --> ${idOf(to)}: ${label(says)}`);
    for (const child of children(node)) if (child.type === 'final') lines.push(`${indent}${idOf(child)} --> [*]`);
    return lines;
  };

  const notes = everyNode(root).flatMap((node) => {
    const says = all.filter(({ from, to, inside }) => from === node && (inside || (node === root && to === root)));
    const [beside] = node === root && node.type !== 'parallel' ? children(node) : [node];
    if (says.length === 0 || beside === undefined) return [];
    const where = node === root ? 'in any state' : 'anywhere in it';
    const lines = says.map(
      ({ to, label: on }) => `    ${where}: ${label(on)}${to === node ? '' : ` leads to ${label(shown(to))}`}`,
    );
    return [`  note right of ${idOf(beside)}`, ...lines, '  end note'];
  });
  // Regions stand within a state.
  const body =
    root.type === 'parallel'
      ? [`  state "${label(root.key)}" as ${idOf(root)} {`, ...draw(root, '    '), '  }']
      : draw(root, '  ');
  return ['stateDiagram-v2', ...body, ...notes];
}

/** A plan: what each step calls, and what it waits for; dotted where that may have been skipped. */
export function flowchart({ steps }: PlanSpec): string[] {
  const names = new Names<string>();
  const idOf = (step: string): string => names.of(step, step);
  const boxes = steps.map((step) => `  ${idOf(step.name)}["${linesOf(step).map(label).join('<br/>')}"]`);
  const arrows = steps.flatMap(({ name, needs, optional = [], anyOf = [] }) => [
    ...needs.map((need) => `  ${idOf(need)} --> ${idOf(name)}`),
    ...optional.map((need) => `  ${idOf(need)} -.-> ${idOf(name)}`),
    ...anyOf.map((need) => `  ${idOf(need)} -->|any| ${idOf(name)}`),
  ]);
  return ['flowchart TD', ...boxes, ...arrows];
}

function linesOf({ name, call, each, when }: StepSpec): string[] {
  const lines = [name, `${calledBy(call)}${each === undefined ? '' : ' for each item'}`];
  return when === undefined ? lines : [...lines, 'on a condition'];
}

export function calledBy(call: StepSpec['call']): string {
  switch (call.kind) {
    case 'tool':
      return call.tool;
    case 'plan':
      return `plan ${typeof call.plan === 'string' ? call.plan : call.plan.name}`;
    case 'function':
      return 'function';
  }
}
