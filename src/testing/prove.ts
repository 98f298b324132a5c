import { AssertionError } from 'node:assert';
import type { AnyStateMachine } from 'xstate';
import { begunBy } from '../../actors/child.ts';
import { ValidationError } from '../protocol/errors.ts';
import { invokedBy, nameOf, nodesOf, type StateNode } from './chart.ts';
import { Reach } from './reach.ts';
import { ending, entering, killing, looping, waiting, type Verdict } from './rules.ts';

export interface ProveOptions {
  /** The event that must be taken in every state. False by default: a user's machine need not hear of a kill, the run around it does. */
  kill?: string | false;
  /** States by path, such as `'a.b'`, that cannot be entered in this shape of the machine. That one can be is a finding then. */
  unused?: readonly string[];
}

export interface Proof {
  proved: true;
  /** That can be entered, those with others inside included. */
  states: number;
  /** That these states have. */
  transitions: number;
  /** Where the proof trusts that a guard lets pass one day, in words. */
  assumes: readonly string[];
}

export interface Finding {
  rule: 'kill' | 'end' | 'wait' | 'unreachable' | 'loop';
  /** Path of the state, such as `'ready.open'`; of a child machine with its source in front: `'body: ready.open'`. */
  state: string;
  /** What fails, and what to do. */
  message: string;
}

/** A statechart that does not keep what `proveLifecycle` asks for. */
export class LifecycleError extends AssertionError {
  readonly findings: readonly Finding[];

  constructor(machine: string, findings: readonly Finding[]) {
    const lines = findings.map(({ state, message }) => `  ${state}: ${message}`);
    super({ message: [`The lifecycle of machine ${machine} has ${findings.length} faults:`, ...lines].join('\n') });
    this.name = 'LifecycleError';
    this.findings = findings;
  }
}

/**
 * Proves of any XState v5 machine, by its chart alone: every state can be entered; from each an end can be reached; nothing waits
 * without a time limit (`after`), an invoked actor whose end leads on (callbacks and transition functions have none), or a `meta.waitsFor` that says for whom; nothing goes
 * round for ever by `always`, `onDone` of a state, or an event that a state raises on entry; with `kill`, that event is taken in every state. Nothing is run: a guard counts as one that may let pass, and the
 * proof says where it rests on one. Child machines that it invokes or was provided with, and those of its `childRun`s, are proved with it, without
 * `kill`: whoever leaves its state stops them; and they may have states that cannot be entered: that is asked where they are proved themselves. Children spawned inside an `assign` are not seen.
 * @throws LifecycleError with all findings, ValidationError
 */
export function proveLifecycle(machine: AnyStateMachine, options: ProveOptions = {}): Proof {
  if (!isMachine(machine))
    throw new ValidationError(
      'proveLifecycle takes a machine of XState v5; of a durable definition that is its `machine`.',
      {
        path: 'machine',
      },
    );
  const findings: Finding[] = [];
  const proof = { states: 0, transitions: 0, assumes: [] as string[] };
  const seen = new Set<AnyStateMachine>();
  const visit = (one: AnyStateMachine, at: string, asked?: ProveOptions): void => {
    if (seen.has(one)) return;
    seen.add(one);
    const judged = judge(one, asked);
    findings.push(...judged.findings.map((finding) => ({ ...finding, state: at + finding.state })));
    proof.assumes.push(...judged.assumes.map((assumption) => at + assumption));
    proof.states += judged.states;
    proof.transitions += judged.transitions;
    for (const [source, child] of machinesIn(one)) visit(child, `${at}${source}: `);
  };
  visit(machine, '', options);
  if (findings.length > 0) throw new LifecycleError(machine.id, findings);
  return { proved: true, ...proof };
}

interface Judged {
  findings: Finding[];
  assumes: string[];
  states: number;
  transitions: number;
}

/** `asked` is undefined for a child machine: it may be one of a library, in a shape that does not use every state. */
function judge(machine: AnyStateMachine, asked: ProveOptions | undefined): Judged {
  const { kill = false, unused = [] } = asked ?? {};
  const reach = new Reach(machine.root);
  const findings: Finding[] = [];
  const assumes: string[] = [];
  const note = (rule: Finding['rule'], node: StateNode, verdict: Verdict): void => {
    if (verdict === undefined) return;
    if ('fault' in verdict) findings.push({ rule, state: nameOf(node), message: verdict.fault });
    else assumes.push(`${nameOf(node)}: ${verdict.guards}`);
  };
  if (asked !== undefined)
    for (const node of nodesOf(machine.root)) note('unreachable', node, entering(node, reach, unused));
  for (const leaf of reach.leaves) {
    note('loop', leaf, looping(leaf, reach));
    note('end', leaf, ending(leaf, reach));
    note('wait', leaf, waiting(leaf, reach));
    if (kill !== false) note('kill', leaf, killing(leaf, reach, kill));
  }
  const transitions = [...reach.states].flatMap((node) => [
    ...(node.always ?? []),
    ...[...node.transitions.values()].flat(),
  ]);
  return { findings, assumes, states: reach.states.size, transitions: transitions.length };
}

function machinesIn(machine: AnyStateMachine): [source: string, child: AnyStateMachine][] {
  const invoked = nodesOf(machine.root).flatMap((node) => invokedBy(node).map(({ id, logic }) => [id, logic] as const));
  const provided = Object.entries(machine.implementations.actors);
  return [...provided, ...invoked].flatMap(([source, logic]) => {
    const child = isMachine(logic) ? logic : machineBegun(logic);
    return child === undefined ? [] : [[source, child]];
  });
}

/** Of a `childRun`. A plan and a tool end by what they are. */
function machineBegun(logic: unknown): AnyStateMachine | undefined {
  const definition = begunBy(logic);
  return definition?.kind === 'durable' ? definition.machine : undefined;
}

const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === 'object' && logic !== null && 'root' in logic && 'implementations' in logic;
