import { childRun, durable, tool, toolActor } from 'troupe';
import { LifecycleError, proveLifecycle, type Finding, type ProveOptions } from 'troupe/testing';
import { describe, expect, test } from 'vitest';
import { createMachine, fromCallback, fromPromise, fromTransition, raise, setup, type AnyStateMachine } from 'xstate';
import { z } from 'zod';

const call = fromPromise(() => Promise.resolve());

function findingsOf(machine: AnyStateMachine, options?: ProveOptions): readonly Finding[] {
  try {
    proveLifecycle(machine, options);
    return [];
  } catch (error) {
    if (error instanceof LifecycleError) return error.findings;
    throw error;
  }
}
const found = (machine: AnyStateMachine, options?: ProveOptions): string[] =>
  findingsOf(machine, options).map(({ rule, state }) => `${rule} ${state}`);

const KILL = { kill: 'troupe.kill' } as const;

describe('a planted fault is found and named', () => {
  test.each<[string, AnyStateMachine, string[], ProveOptions?]>([
    [
      'a state that does not take the kill',
      createMachine({
        initial: 'a',
        states: {
          a: { on: { 'troupe.kill': 'end' }, after: { 1: 'b' } },
          b: { initial: 'c', states: { c: { after: { 1: '#(machine).end' } } } },
          end: { type: 'final' },
        },
      }),
      ['kill b.c'],
      KILL,
    ],
    [
      'a kill that is forbidden further in',
      createMachine({
        initial: 'a',
        on: { 'troupe.kill': '.end' },
        states: { a: { on: { 'troupe.kill': {} }, after: { 1: 'end' } }, end: { type: 'final' } },
      }),
      ['kill a'],
      KILL,
    ],
    [
      'a way into parallel states that never come to where they would help each other',
      createMachine({
        initial: 'start',
        states: {
          start: { after: { 1: 'both.y.helpful' }, on: { GO: 'middle' } },
          middle: { after: { 1: 'both' } },
          both: {
            type: 'parallel',
            states: {
              x: { initial: 'a', states: { a: { meta: { waitsFor: 'y' } } } },
              y: {
                initial: 'a',
                states: { a: { meta: { waitsFor: 'x' } }, helpful: { after: { 1: '#(machine).end' } } },
              },
            },
          },
          end: { type: 'final' },
        },
      }),
      ['end middle', 'end both.y.a'],
    ],
    [
      'a dead end',
      createMachine({
        initial: 'a',
        states: {
          a: { on: { GO: 'stuck' }, after: { 1: 'end' } },
          stuck: { meta: { waitsFor: 'nobody' } },
          end: { type: 'final' },
        },
      }),
      ['end stuck'],
    ],
    [
      'a way out that an inner state forbids',
      createMachine({
        initial: 'a',
        on: { STOP: '.end' },
        states: { a: { meta: { waitsFor: 'x' }, on: { STOP: {} } }, end: { type: 'final' } },
      }),
      ['unreachable end', 'end a'],
    ],
    [
      'a way out behind one that is always taken',
      createMachine({
        initial: 'a',
        states: {
          a: { meta: { waitsFor: 'x' }, on: { GO: [{ target: 'a' }, { target: 'end' }] } },
          end: { type: 'final' },
        },
      }),
      ['unreachable end', 'end a'],
    ],
    [
      'an inner end that nobody hears of',
      createMachine({
        initial: 'a',
        states: {
          a: { initial: 'b', states: { b: { after: { 1: 'c' } }, c: { type: 'final' } } },
          end: { type: 'final' },
        },
      }),
      ['unreachable end', 'end a.b', 'end a.c', 'wait a.c'],
    ],
    [
      'a region that keeps the others from ending',
      createMachine({
        initial: 'both',
        states: {
          both: {
            type: 'parallel',
            onDone: 'end',
            states: {
              one: { initial: 'a', states: { a: { after: { 1: 'z' } }, z: { type: 'final' } } },
              two: {
                initial: 'a',
                states: { a: { after: { 1: 'b', 2: 'z' } }, b: { meta: { waitsFor: 'x' } }, z: { type: 'final' } },
              },
            },
          },
          end: { type: 'final' },
        },
      }),
      ['end both.two.b'],
    ],
    [
      'regions that can all end, and nobody hears of it',
      createMachine({
        initial: 'both',
        on: { STOP: '.end' },
        states: {
          both: {
            type: 'parallel',
            states: {
              one: { initial: 'z', states: { z: { type: 'final' } } },
              two: { initial: 'a', states: { a: { after: { 1: 'z' } }, z: { type: 'final' } } },
            },
          },
          end: { type: 'final' },
        },
      }),
      ['wait both.one.z', 'wait both.two.z'],
    ],
    [
      'an inner end that is heard of, and leads nowhere',
      createMachine({
        initial: 'a',
        on: { STOP: '.end' },
        states: {
          a: { initial: 'z', onDone: { actions: () => {} }, states: { z: { type: 'final' } } },
          end: { type: 'final' },
        },
      }),
      ['wait a.z'],
    ],
    [
      'the end of a callback, or of a transition function, which never comes',
      setup({ actors: { listen: fromCallback(() => {}) } }).createMachine({
        initial: 'a',
        on: { STOP: '.end' },
        states: {
          a: { invoke: { src: 'listen', onDone: 'end' }, on: { GO: 'b' } },
          b: { invoke: { src: fromTransition((count: number) => count, 0), onDone: 'end' } },
          end: { type: 'final' },
        },
      }),
      ['wait a', 'wait b'],
    ],
    [
      'a machine without an end',
      createMachine({ initial: 'a', states: { a: { after: { 1: 'b' } }, b: { after: { 1: 'a' } } } }),
      ['end a', 'end b'],
    ],
    ['a machine without states', createMachine({ id: 'empty' }), ['end empty']],
    [
      'a wait without a limit',
      createMachine({ initial: 'a', states: { a: { on: { GO: 'end' } }, end: { type: 'final' } } }),
      ['wait a'],
    ],
    [
      'a time limit that leads nowhere',
      createMachine({ initial: 'a', states: { a: { on: { GO: 'end' }, after: { 1: {} } }, end: { type: 'final' } } }),
      ['wait a'],
    ],
    [
      'an invoked actor whose end leads nowhere',
      setup({ actors: { call } }).createMachine({
        initial: 'a',
        states: { a: { invoke: { src: 'call' }, on: { GO: 'end' } }, end: { type: 'final' } },
      }),
      ['wait a'],
    ],
    [
      'a state that nothing leads to, once, however many lie in it',
      createMachine({
        initial: 'a',
        states: {
          a: { after: { 1: 'end' } },
          island: { initial: 'b', states: { b: { after: { 1: 'c' } }, c: { type: 'final' } }, onDone: 'end' },
          end: { type: 'final' },
        },
      }),
      ['unreachable island'],
    ],
    [
      'a state that only an event leads to which is never heard',
      createMachine({
        initial: 'a',
        states: { a: { always: 'end', on: { GO: 'b' } }, b: { after: { 1: 'end' } }, end: { type: 'final' } },
      }),
      ['unreachable b'],
    ],
    [
      'always in a circle',
      createMachine({
        initial: 'a',
        on: { GO: '.end' },
        states: { a: { always: 'b' }, b: { always: 'a' }, end: { type: 'final' } },
      }),
      ['unreachable end', 'loop a', 'end a', 'loop b', 'end b'],
    ],
    [
      'an `onDone` that leads back to its own state',
      createMachine({
        initial: 'a',
        on: { GO: '.end' },
        states: { a: { initial: 'z', onDone: 'a', states: { z: { type: 'final' } } }, end: { type: 'final' } },
      }),
      ['loop a.z'],
    ],
    [
      '`onDone` in a circle',
      createMachine({
        initial: 'a',
        on: { GO: '.end' },
        states: {
          a: { initial: 'z', onDone: 'b', states: { z: { type: 'final' } } },
          b: { initial: 'z', onDone: 'a', states: { z: { type: 'final' } } },
          end: { type: 'final' },
        },
      }),
      ['loop a.z', 'loop b.z'],
    ],
    [
      '`onDone` of a parallel state and `always` in a circle',
      createMachine({
        initial: 'a',
        on: { GO: '.end' },
        states: {
          a: {
            type: 'parallel',
            onDone: 'b',
            states: {
              one: { initial: 'z', states: { z: { type: 'final' } } },
              two: { initial: 'x', states: { x: { always: 'z' }, z: { type: 'final' } } },
            },
          },
          b: { always: 'a' },
          end: { type: 'final' },
        },
      }),
      ['loop a.one.z', 'loop a.two.z', 'loop b'],
    ],
    [
      "states that raise each other's event",
      createMachine({
        initial: 'a',
        on: { GO: '.end' },
        states: {
          a: { entry: raise({ type: 'NEXT' }), on: { NEXT: 'b' }, after: { 1: 'end' } },
          b: { entry: raise({ type: 'NEXT' }), on: { NEXT: 'a' }, after: { 1: 'end' } },
          end: { type: 'final' },
        },
      }),
      ['loop a', 'loop b'],
    ],
    [
      'a state that is listed as unused and is not',
      createMachine({ initial: 'a', states: { a: { after: { 1: 'end' } }, end: { type: 'final' } } }),
      ['unreachable a'],
      { unused: ['a'] },
    ],
  ])('%s', (_, machine, faults, options) => {
    expect(found(machine, options)).toEqual(faults);
  });

  test('in a child machine, provided or inline, after its source', () => {
    const child = createMachine({ initial: 'a', states: { a: { on: { GO: 'z' } }, z: { type: 'final' } } });
    const machine = createMachine({
      initial: 'a',
      states: {
        a: { invoke: { src: 'child', onDone: 'b' } },
        b: {
          invoke: { id: 'inline', src: createMachine({ initial: 'x', states: { x: {} } }), onDone: 'end' },
        },
        end: { type: 'final' },
      },
    }).provide({ actors: { child } });
    expect(found(machine)).toEqual(['wait child: a', 'end inline: x', 'wait inline: x']);
  });

  test('in the machine of a child run, and of one that this begins', () => {
    const idle = createMachine({ initial: 'x', states: { x: { meta: { waitsFor: 'nobody' } } } });
    const inner = durable(idle, { name: 'inner', version: '1' });
    const calls = (run: ReturnType<typeof childRun>): AnyStateMachine =>
      setup({ actors: { run } }).createMachine({
        initial: 'a',
        states: { a: { invoke: { src: 'run', onDone: 'end' } }, end: { type: 'final' } },
      });
    expect(found(calls(childRun(inner)))).toEqual(['end run: x']);
    expect(found(calls(childRun(durable(calls(childRun(inner)), { name: 'outer', version: '1' }))))).toEqual([
      'end run: run: x',
    ]);
  });

  test('is none where there is no machine', () => {
    const machine = createMachine({ initial: 'a', states: { a: { type: 'final' } } });
    for (const other of [undefined, {}, durable(machine, { name: 'd', version: '1' })])
      expect(() => proveLifecycle(other as never)).toThrow(
        expect.objectContaining({ code: 'VALIDATION', message: expect.stringContaining('its `machine`') as string }),
      );
  });

  test('and the error says it all in one text', () => {
    const machine = createMachine({ id: 'lost', initial: 'a', states: { a: {} } });
    expect(() => proveLifecycle(machine, KILL)).toThrow(
      /^The lifecycle of machine lost has 3 faults:\n {2}a: no end.*\n {2}a: it waits without a limit.*\n {2}a: it does not take troupe\.kill/,
    );
  });
});

describe('what is sound is proved', () => {
  test.each<[string, AnyStateMachine, ProveOptions?]>([
    [
      'a time limit, or a call whose end leads on, of a state around',
      setup({ actors: { call } }).createMachine({
        initial: 'a',
        states: {
          a: { after: { 1: 'b' }, initial: 'x', states: { x: { on: { GO: 'y' } }, y: {} } },
          b: { invoke: { src: 'call', onDone: 'end' }, initial: 'x', states: { x: {} } },
          end: { type: 'final' },
        },
      }),
    ],
    [
      'a kill taken by another region, by a wildcard, or around all',
      createMachine({
        type: 'parallel',
        states: {
          one: { initial: 'a', states: { a: { after: { 1: 'z' } }, z: { type: 'final' } } },
          two: { initial: 'a', on: { 'troupe.*': '.z' }, states: { a: { after: { 1: 'z' } }, z: { type: 'final' } } },
          three: {
            initial: 'a',
            states: { a: { meta: { waitsFor: 'a kill' }, on: { 'troupe.kill': 'z' } }, z: { type: 'final' } },
          },
        },
      }),
      KILL,
    ],
    [
      'a second kill that is ignored',
      createMachine({
        initial: 'a',
        states: {
          a: { after: { 1: 'end' }, on: { 'troupe.kill': 'killing' } },
          killing: { after: { 1: 'end' }, on: { 'troupe.kill': {} } },
          end: { type: 'final' },
        },
      }),
      KILL,
    ],
    [
      'an end of one region beside another that goes on, and of all of them where it leads on',
      setup({ actors: { call } }).createMachine({
        initial: 'one',
        on: { STOP: '.end' },
        states: {
          one: {
            type: 'parallel',
            on: { GO: 'all' },
            states: {
              done: { initial: 'z', states: { z: { type: 'final' } } },
              open: { initial: 'a', states: { a: { meta: { waitsFor: 'GO' } } } },
            },
          },
          all: {
            type: 'parallel',
            onDone: 'person',
            states: {
              done: { initial: 'z', states: { z: { type: 'final' } } },
              calls: { initial: 'a', states: { a: { invoke: { src: 'call', onDone: 'z' } }, z: { type: 'final' } } },
            },
          },
          person: { meta: { waitsFor: 'STOP' }, initial: 'z', states: { z: { type: 'final' } } },
          end: { type: 'final' },
        },
      }),
    ],
    [
      'a tool, whose machine has states for an approval that it does not need',
      setup({
        actors: {
          look: toolActor(
            tool({ name: 'look', description: 'Looks', inputSchema: z.object({}), effect: 'read', execute: () => 1 }),
          ),
        },
      }).createMachine({
        initial: 'a',
        states: { a: { invoke: { src: 'look', input: {}, onDone: 'end' } }, end: { type: 'final' } },
      }),
    ],
    [
      'circles in which something has to happen each time',
      setup({ actors: { call } }).createMachine({
        initial: 'calls',
        states: {
          calls: {
            initial: 'a',
            onDone: 'regions',
            states: { a: { invoke: { src: 'call', onDone: 'z' } }, z: { type: 'final' } },
          },
          regions: {
            type: 'parallel',
            onDone: 'raises',
            states: {
              one: { initial: 'z', states: { z: { type: 'final' } } },
              two: { initial: 'a', states: { a: { after: { 1: 'z' } }, z: { type: 'final' } } },
            },
          },
          raises: { entry: raise({ type: 'AGAIN' }, { delay: 5 }), on: { AGAIN: 'stays' }, after: { 9: 'end' } },
          stays: { entry: raise({ type: 'SAME' }), on: { SAME: 'stays' }, after: { 1: 'calls' } },
          end: { type: 'final' },
        },
      }),
    ],
    [
      'what history leads to',
      createMachine({
        initial: 'a',
        states: {
          a: {
            initial: 'x',
            after: { 9: 'b' },
            states: { x: {}, y: {}, h: { type: 'history', target: 'y' } },
          },
          b: { after: { 1: 'a.h', 2: 'end' } },
          end: { type: 'final' },
        },
      }),
    ],
    [
      'an initial state that lies deeper',
      createMachine({
        initial: 'a',
        states: {
          a: { initial: 'b', states: { b: { initial: 'c', states: { c: { after: { 1: '#z' } } } } } },
          end: { id: 'z', type: 'final' },
        },
      }),
    ],
  ])('%s', (_, machine, options) => {
    expect(proveLifecycle(machine, options)).toMatchObject({ proved: true, assumes: [] });
  });

  test('with the guard that breaks a circle', () => {
    const machine = setup({ guards: { enough: () => true } }).createMachine({
      initial: 'a',
      states: {
        a: {
          initial: 'z',
          onDone: [{ guard: 'enough', target: 'end' }, { target: 'a' }],
          states: { z: { type: 'final' } },
        },
        end: { type: 'final' },
      },
    });
    expect(proveLifecycle(machine).assumes).toContain('a.z: the `onDone` of a comes back to it until a guard says no');
  });

  test('with the guards on which it rests', () => {
    const machine = setup({ guards: { enough: () => false } }).createMachine({
      initial: 'a',
      states: {
        a: {
          after: { 1: { guard: 'enough', target: 'end' } },
          on: { 'troupe.kill': { guard: 'enough', target: 'end' } },
        },
        end: { type: 'final' },
      },
    });
    expect(proveLifecycle(machine, KILL)).toEqual({
      proved: true,
      states: 3,
      transitions: 2,
      assumes: [
        'a: an end is reached only where a guard lets pass',
        'a: its wait ends by itself only where a guard lets pass',
        'a: troupe.kill is taken only where a guard lets pass',
      ],
    });
  });
});

describe('the work grows with the chart, and no faster', () => {
  type States = Record<string, object>;
  const chain = (count: number, link: (next: string) => object, last: object = { type: 'final' }): AnyStateMachine => {
    const states: States = {};
    for (let at = 0; at < count; at += 1) states[`s${at}`] = link(`s${at + 1}`);
    return createMachine({ initial: 's0', states: { ...states, [`s${count}`]: last } });
  };

  /** How often the kind of a state is looked at. */
  function looksAt(machine: AnyStateMachine): number {
    let looks = 0;
    const watch = (node: AnyStateMachine['root']): void => {
      const { type } = node;
      Object.defineProperty(node, 'type', {
        get: () => {
          looks += 1;
          return type;
        },
      });
      Object.values(node.states).forEach(watch);
    };
    watch(machine.root);
    findingsOf(machine);
    return looks;
  }

  const timed = (target: string): object => ({ after: { 1: target } });
  const region = { initial: 'a', states: { a: { after: { 1: 'b' } }, b: { type: 'final' } } };

  test.each<[string, (count: number) => AnyStateMachine]>([
    ['of states that lead to an end', (count) => chain(count, timed)],
    ['of states that lead to none', (count) => chain(count, timed, {})],
    [
      'of states that come to an end of their own',
      (count) => chain(count, (target) => ({ ...region, onDone: target })),
    ],
    [
      'of states that lead into parallel ones',
      (count) => chain(count, timed, { type: 'parallel', states: { x: region, y: region } }),
    ],
  ])('in a chain %s', (_, make) => {
    // Four times as much were its square.
    expect(looksAt(make(160))).toBeLessThan(3 * looksAt(make(80)));
  });
});
