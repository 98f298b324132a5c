import { describe, expect, test } from 'vitest';
import type { AnyStateMachine, StateNode } from 'xstate';
import * as machines from '../../machines/index.ts';
import type { PlanSpec } from '../../src/protocol/spec.ts';

type Node = StateNode<never, never>;

const plan: PlanSpec = {
  kind: 'plan',
  name: 'plan',
  version: '1',
  input: null,
  concurrency: 4,
  grants: [],
  output: null,
  steps: [
    { name: 'a', call: { kind: 'tool', tool: 'look' }, needs: [], input: { value: 1 } },
    { name: 'b', call: { kind: 'tool', tool: 'mail.send' }, needs: ['a'], each: { value: [] } },
  ],
};

/** Every machine that `machines/` exports, made once. */
const CHARTS: Record<keyof typeof machines, AnyStateMachine> = {
  eachMachine: machines.eachMachine({ id: 'each', call: 'look', concurrency: 2, onFailure: 'fail' }),
  moduleMachine: machines.moduleMachine,
  planMachine: machines.planMachine(plan),
  runMachine: machines.runMachine,
  toolMachine: machines.toolMachine({
    id: 'mail.send',
    effect: 'irreversible',
    timeoutMs: 1,
    retry: { attempts: 3, delayMs: 500, maxDelayMs: 30_000 },
    seed: () => 'run/call',
    accepts: () => true,
  }),
};

const childrenOf = (node: Node): Node[] => Object.values(node.states) as Node[];
const nodesOf = (node: Node): Node[] => [node, ...childrenOf(node).flatMap(nodesOf)];
const lineOf = (node: Node): Node[] => (node.parent === undefined ? [node] : [node, ...lineOf(node.parent as Node)]);

const inside = (machine: AnyStateMachine): Node[] =>
  nodesOf(machine.root as unknown as Node).filter(({ type, parent }) => type !== 'final' && parent !== undefined);

const handles = (node: Node, event: string): boolean =>
  lineOf(node).some(({ transitions }) => (transitions as Map<string, unknown[]>).has(event));

/** Where a state may lead, guards aside: transitions of its own and of those around it, `always` and `done` included. */
const targetsOf = (node: Node): Node[] =>
  lineOf(node).flatMap(({ transitions, always }) =>
    [
      ...[...(transitions as unknown as Map<string, { target?: Node[] }[]>).values()].flat(),
      ...((always ?? []) as unknown as { target?: Node[] }[]),
    ].flatMap(({ target }) => target ?? []),
  );

function reachesAnEnd(from: Node): boolean {
  const seen = new Set<Node>();
  const open = [from];
  for (const node of open) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.type === 'final' && node.parent?.parent === undefined) return true;
    open.push(...targetsOf(node), ...childrenOf(node));
  }
  return false;
}

/** A time limit, or the name of whom it waits for. */
const saysWhatItWaitsFor = ({ after, meta }: Node): boolean =>
  after.length > 0 || typeof (meta as { waitsFor?: unknown } | undefined)?.waitsFor === 'string';

const missing = (machine: AnyStateMachine, rule: (node: Node) => boolean): string[] =>
  inside(machine)
    .filter((node) => !rule(node))
    .map(({ path }) => path.join('.'));

describe.each(Object.entries(CHARTS))('%s', (name, machine) => {
  test('handles a kill in every state that is no end', () => {
    expect(missing(machine, (node) => handles(node, 'troupe.kill'))).toEqual([]);
  });

  test('can reach an end from every state', () => {
    expect(missing(machine, reachesAnEnd)).toEqual([]);
  });

  test('waits nowhere without a time limit or a name for whom it waits', () => {
    expect(missing(machine, (node) => node.type !== 'atomic' || saysWhatItWaitsFor(node))).toEqual([]);
  });
});

test('the walk sees what is wrong with a chart', async () => {
  const { createMachine } = await import('xstate');
  const wrong = createMachine({
    initial: 'a',
    states: {
      a: { on: { GO: 'b', 'troupe.kill': 'end' }, after: { 1: 'b' } },
      b: { initial: 'c', states: { c: { after: { 1: 'd' } }, d: {} } },
      end: { type: 'final' },
    },
  });
  expect(missing(wrong, (node) => handles(node, 'troupe.kill'))).toEqual(['b', 'b.c', 'b.d']);
  expect(missing(wrong, reachesAnEnd)).toEqual(['b', 'b.c', 'b.d']);
  expect(missing(wrong, (node) => node.type !== 'atomic' || saysWhatItWaitsFor(node))).toEqual(['b.d']);
});
