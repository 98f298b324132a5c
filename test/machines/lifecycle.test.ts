import { describe, expect, test } from 'vitest';
import type { AnyStateMachine } from 'xstate';
import { proveLifecycle } from 'troupe/testing';
import * as machines from '../../machines/index.ts';
import type { OnFailure, PlanSpec, StepSpec, ToolPolicy } from '../../src/protocol/spec.ts';

const look = (name: string, more: Partial<StepSpec> = {}): StepSpec => ({
  name,
  call: { kind: 'tool', tool: 'look' },
  needs: [],
  input: { value: 1 },
  ...more,
});

const plan = (...steps: StepSpec[]): AnyStateMachine =>
  machines.planMachine({
    kind: 'plan',
    name: 'plan',
    version: '1',
    input: null,
    concurrency: 4,
    grants: [],
    output: null,
    steps,
  } satisfies PlanSpec);

const each = (onFailure: OnFailure): AnyStateMachine =>
  machines.eachMachine({ id: 'each', call: 'look', concurrency: 2, onFailure });

const policy: ToolPolicy = {
  id: 'mail.send',
  effect: 'irreversible',
  timeoutMs: 1,
  retry: { attempts: 3, delayMs: 500, maxDelayMs: 30_000 },
  seed: () => 'run/call',
  isJudged: false,
  approvalTimeoutMs: 60_000,
};

interface Shape {
  machine: AnyStateMachine;
  /** States that only other shapes of it use. */
  unused?: string[];
}

/** Every machine that `machines/` exports, in each of its shapes. The compiler asks for one that is missing. */
const SHAPES: Record<keyof typeof machines, Record<string, Shape>> = {
  eachMachine: {
    'that fails': { machine: each('fail') },
    'that skips': { machine: each('skip') },
    'that goes on': { machine: each('continue') },
  },
  moduleMachine: { 'the only one': { machine: machines.moduleMachine } },
  planMachine: {
    'of no step': { machine: plan() },
    'of one step': { machine: plan(look('a')) },
    'of steps that need each other': { machine: plan(look('a'), look('b', { needs: ['a'], each: { value: [] } })) },
  },
  runMachine: {
    'without a body': { machine: machines.runMachine },
    // A border: the run machine declares `body` by kind only.
    'of a plan': { machine: machines.runMachine.provide({ actors: { body: plan(look('a')) as never } }) },
  },
  toolMachine: {
    'without approval': { machine: machines.toolMachine(policy), unused: ['asking', 'awaitingApproval'] },
    'with approval': { machine: machines.toolMachine({ ...policy, isJudged: true }) },
    'that reads': {
      machine: machines.toolMachine({ ...policy, effect: 'read' }),
      unused: ['asking', 'awaitingApproval'],
    },
  },
};

test('every machine of the room is here', () => {
  expect(Object.keys(SHAPES).toSorted()).toEqual(Object.keys(machines).toSorted());
});

describe.each(Object.entries(SHAPES))('%s', (_, shapes) => {
  test.each(Object.entries(shapes))('%s', (_name, { machine, unused = [] }) => {
    const { proved, states, transitions } = proveLifecycle(machine, { kill: 'troupe.kill', unused });
    expect(proved).toBe(true);
    expect(states).toBeGreaterThan(3);
    expect(transitions).toBeGreaterThan(3);
  });
});
