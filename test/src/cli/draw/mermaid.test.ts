import { describe, expect, it, test } from 'vitest';
import { and, createMachine, fromPromise, not, or, setup, stateIn } from 'xstate';
import { flowchart, stateDiagram } from '../../../../src/cli/draw/mermaid.ts';
import { machineData, planData } from '../../../../src/cli/draw/stately.ts';
import type { PlanSpec, StepSpec } from '../../../../src/protocol/spec.ts';
import { references } from '../../../support/machines/index.ts';
import { World } from '../../../support/world.ts';

const odd = setup({
  types: { context: {} as { n: number } },
  guards: { big: ({ context }) => context.n > 1 },
  actors: { load: fromPromise(async () => 1) },
  delays: { soon: () => 1 },
}).createMachine({
  id: 'odd',
  context: { n: 1 },
  initial: 'a b',
  on: { KILL: '.end', TICK: { actions: () => {} } },
  states: {
    'a b': {
      invoke: [
        { src: 'load', onDone: { target: 'c', guard: ({ context }) => context.n === 3 } },
        { src: fromPromise(async () => 2), onError: 'c' },
      ],
      after: { soon: 'c', 100: { target: 'hist', guard: and(['big', not('big'), or(['big', stateIn('c')])]) } },
    },
    c: {
      type: 'parallel',
      on: { IN: '.x.p' },
      onDone: 'end',
      states: {
        x: { initial: 'p', states: { p: { on: { 'say "hi"; #1': 'q' } }, q: { type: 'final' } } },
        y: { type: 'final' },
      },
    },
    hist: { type: 'history', history: 'deep' },
    end: { type: 'final' },
  },
});

test('a chart with all that charts may have', () => {
  expect(stateDiagram(odd).join('\n')).toBe(`stateDiagram-v2
  state "a b" as a_b
  state c {
    state "x" as c_x {
      state "p" as c_x_p
      state "q" as c_x_q
      [*] --> c_x_p
      c_x_p --> c_x_q: say #34;hi#34;#59; #35;1
      c_x_q --> [*]
    }
    --
    state "y" as c_y
    c_y --> [*]
  }
  state "H*" as hist
  state "end" as end_2
  [*] --> a_b
  a_b --> c: done(load) [n === 3]
  a_b --> c: error(inline)
  a_b --> hist: after 100 [big && (!big) && (big || (in c))]
  a_b --> c: after soon
  c --> end_2: done(c)
  end_2 --> [*]
  note right of a_b
    in any state: KILL leads to end
    in any state: TICK
  end note
  note right of c
    anywhere in it: IN leads to c.x.p
  end note`);
});

test('regions at the top stand in a state, and no two states share a name', () => {
  const machine = createMachine({
    id: 'top',
    type: 'parallel',
    states: { 'a-b': { initial: 'c', states: { c: {} } }, a_b: {}, 'a b c': {} },
  });
  expect(stateDiagram(machine).slice(0, 5)).toEqual([
    'stateDiagram-v2',
    '  state "top" as top {',
    '    state "a-b" as a_b {',
    '      state "c" as a_b_c',
    '      [*] --> a_b_c',
  ]);
  const names = stateDiagram(machine).flatMap((line) => / as (\w+)/.exec(line)?.[1] ?? []);
  expect(new Set(names).size).toBe(5);
});

test('nothing in a name breaks out of its line', () => {
  const machine = createMachine({
    initial: 'a\n  b --> c',
    states: { 'a\n  b --> c': { on: { 'x\x1b[31m\ny': {} } } },
  });
  const lines = stateDiagram(machine);
  expect(lines.some((line) => line.includes('\n') || line.includes('\x1b'))).toBe(false);
  expect(lines).toContain('  state "a   b --> c" as a___b_____c');
});

describe('what Stately takes', () => {
  const machines = [
    ...references.map((reference) => [reference.name, reference.create(new World())] as const),
    ['odd', odd] as const,
  ];
  it.each(machines)('is JSON, and makes the same chart: %s', (_, machine) => {
    const data = JSON.parse(JSON.stringify(machineData(machine))) as object;
    expect(stateDiagram(createMachine(data))).toEqual(stateDiagram(machine));
  });

  it('names functions and leaves out what it cannot show', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const machine = createMachine({
      context: () => circle,
      entry: ['greet', function wave() {}, () => {}],
      initial: 'a',
      states: {
        a: { meta: circle, tags: ['t'], on: { X: undefined, Y: { guard: ({ event }) => event.type.length > 1 } } },
      },
    });
    expect(machineData(machine)).toEqual({
      entry: ['greet', { type: 'wave' }, { type: 'action' }],
      initial: 'a',
      states: { a: { tags: ['t'], on: { X: {}, Y: { guard: { type: 'type.length > 1' } } } } },
    });
  });
});

describe('a plan', () => {
  const steps: StepSpec[] = [
    { name: 'list', call: { kind: 'tool', tool: 'mail.list' }, needs: [] },
    { name: 'end', call: { kind: 'plan', plan: 'other' }, needs: ['list'], each: () => [], when: () => true },
    { name: 'sum', call: { kind: 'function' }, needs: ['list'], optional: ['end'] },
    { name: 'say', call: { kind: 'tool', tool: 'say' }, needs: [], anyOf: ['sum', 'end'] },
  ];
  const spec: PlanSpec = {
    kind: 'plan',
    name: 'p',
    version: '1',
    input: null,
    steps,
    concurrency: 4,
    grants: [],
    output: null,
  };

  it('is drawn with what each step calls and waits for', () => {
    expect(flowchart(spec)).toEqual([
      'flowchart TD',
      '  list["list<br/>mail.list"]',
      '  end_2["end<br/>plan other for each item<br/>on a condition"]',
      '  sum["sum<br/>function"]',
      '  say["say<br/>say"]',
      '  list --> end_2',
      '  list --> sum',
      '  end_2 -.-> sum',
      '  sum -->|any| say',
      '  end_2 -->|any| say',
    ]);
  });

  it('is a machine for Stately: a region for each step', () => {
    const machine = createMachine(JSON.parse(JSON.stringify(planData(spec))) as object);
    expect(Object.keys(machine.states)).toEqual(['list', 'end', 'sum', 'say']);
    expect(stateDiagram(machine)).toContain('      sum_waiting --> sum_running: always [done#58; list, end]');
  });
});
