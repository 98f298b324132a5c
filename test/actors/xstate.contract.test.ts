import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import {
  cancel,
  createActor,
  createMachine,
  emit,
  enqueueActions,
  fromCallback,
  fromObservable,
  fromPromise,
  fromTransition,
  log,
  raise,
  sendTo,
  spawnChild,
  stopChild,
  type AnyActorLogic,
  type AnyActorRef,
  type AnyEventObject,
  type AnyStateMachine,
} from 'xstate';
import { from } from 'rxjs';
import { until } from '../support/simulatedClock.ts';

/** What actors/durable.ts takes from XState beyond its documented API, each by itself. The border: nothing here is typed by XState. */

interface Inside {
  _parent?: unknown;
  _actorScope: {
    self: unknown;
    sessionId: string;
    system: System;
    actionExecutor: (action: Executable) => void;
  };
  _snapshot: { status: string; output?: unknown; error?: unknown; children?: Record<string, AnyActorRef> };
  _processingStatus: number;
  _send(event: AnyEventObject): void;
  _stop(): void;
  update(snapshot: object, event: AnyEventObject): void;
  logic: AnyActorLogic;
  options: { input?: unknown };
  sessionId: string;
  src: unknown;
}
interface Executable {
  type: string;
  exec: ((info: unknown, params: unknown) => unknown) | undefined;
}
type Relay = (source: unknown, target: unknown, event: AnyEventObject) => void;
interface System {
  _bookId: () => string;
  _unregister: (actor: AnyActorRef) => void;
  _relay: Relay;
  _sendInspectionEvent: (event: { type: string; actorRef: AnyActorRef }) => void;
  scheduler: {
    schedule: (source: unknown, target: unknown, event: AnyEventObject, delay: number, id: string | undefined) => void;
    cancel: (source: unknown, id: string) => void;
    cancelAll: (source: unknown) => void;
  };
}
const inside = (actor: AnyActorRef): Inside => actor as unknown as Inside;
const systemOf = (actor: AnyActorRef): System => actor.system as unknown as System;

const idle = createMachine({});
const started = (logic: AnyActorLogic): AnyActorRef => {
  const actor = createActor(logic);
  actor.subscribe({ error: () => {} });
  return actor.start();
};
const childOf = (actor: AnyActorRef, id = 'child'): AnyActorRef => {
  const child = inside(actor)._snapshot.children?.[id];
  assert(child !== undefined);
  return child;
};
const parentOf = (src: AnyActorLogic, input?: unknown): AnyStateMachine =>
  createMachine({ invoke: { src, id: 'child', input } });

/** Every relay of a system that starts with this logic: who to whom, and what. */
function relays(logic: AnyActorLogic): {
  root: AnyActorRef;
  said: [source: string | undefined, target: string, type: string][];
} {
  const said: [string | undefined, string, string][] = [];
  const root = createActor(logic, { id: 'root' });
  root.subscribe({ error: () => {} });
  const system = systemOf(root);
  const relay = system._relay;
  system._relay = (source, target, event) => {
    said.push([(source as AnyActorRef | undefined)?.id, (target as AnyActorRef).id, event.type]);
    relay(source, target, event);
  };
  root.start();
  return { root, said };
}

/** The types of actions that reach the executor, and whether they come with something to execute. */
function executed(action: unknown): [type: string, exec: boolean][] {
  const types: [string, boolean][] = [];
  const logic = createMachine({ id: 'm', on: { GO: { actions: action as never } } });
  const actor = started(logic);
  const scope = inside(actor)._actorScope;
  const execute = scope.actionExecutor;
  scope.actionExecutor = (one) => {
    types.push([one.type, one.exec !== undefined]);
    execute(one);
  };
  actor.send({ type: 'GO' });
  return types;
}

describe('the order in which an actor comes to be', () => {
  test("the inspection event '@xstate.actor' comes from the constructor, before the initial state, with scope and options in place", () => {
    const seen: unknown[] = [];
    const child = createMachine({
      context: ({ input }: { input: unknown }) => {
        seen.push(['context', input]);
        return {};
      },
    });
    const root = createActor(parentOf(fromTransition((s) => s, null)));
    const system = systemOf(root);
    const inspect = system._sendInspectionEvent;
    system._sendInspectionEvent = (event) => {
      if (event.type === '@xstate.actor') {
        const actor = inside(event.actorRef);
        seen.push([
          'actor',
          actor._snapshot,
          actor._processingStatus,
          actor._actorScope.self === actor,
          actor.options.input,
          actor._parent === root,
        ]);
        actor.options.input = 'replaced';
      }
      inspect(event);
    };
    createActor(child, { parent: root, input: 'given' } as never);
    assert.deepStrictEqual(seen, [
      ['actor', undefined, 0, true, 'given', true],
      ['context', 'replaced'],
    ]);
  });

  test('logic and input that are replaced at that moment are the ones that are used', () => {
    const root = createActor(idle);
    const system = systemOf(root);
    system._sendInspectionEvent = ({ type, actorRef }) => {
      if (type === '@xstate.actor')
        inside(actorRef).logic = fromTransition((s: string) => s, 'replaced') as AnyActorLogic;
    };
    const child = createActor(
      fromTransition((s: string) => s, 'own'),
      { parent: root } as never,
    );
    assert.equal((child.getSnapshot() as { context: string }).context, 'replaced');
  });

  test('`getInitialSnapshot` of the root is called in its constructor, with the scope that has self and system', () => {
    const seen: unknown[] = [];
    const logic = Object.assign(Object.create(idle) as AnyStateMachine, {
      getInitialSnapshot: (scope: Inside['_actorScope'], input: unknown) => {
        seen.push([
          inside(scope.self as AnyActorRef)._actorScope === scope,
          scope.system === systemOf(scope.self as AnyActorRef),
          input,
        ]);
        return idle.getInitialSnapshot(scope as never, undefined);
      },
    });
    const root = createActor(logic as AnyStateMachine, { input: 'input' } as never);
    assert.deepStrictEqual(seen, [[true, true, 'input']]);
    assert.equal(inside(root.start())._snapshot.status, 'active');
  });

  test('`_processingStatus` is 0 before start, 1 while running, 2 when stopped', () => {
    const root = createActor(idle);
    const seen = [inside(root)._processingStatus];
    root.start();
    seen.push(inside(root)._processingStatus);
    root.stop();
    seen.push(inside(root)._processingStatus);
    assert.deepStrictEqual(seen, [0, 1, 2]);
  });

  test('an actor that is stopped before it has started does not start', () => {
    const root = createActor(idle);
    inside(root)._stop();
    assert.equal(inside(root)._processingStatus, 2);
  });

  test('`_bookId` gives the session id, and with it the id of a child without one', () => {
    const root = createActor(createMachine({ entry: spawnChild(idle) }));
    const system = systemOf(root);
    system._bookId = () => 'booked';
    const child = createActor(idle, { parent: root } as never);
    assert.deepStrictEqual(
      [child.sessionId, child.id, inside(child)._actorScope.sessionId],
      ['booked', 'booked', 'booked'],
    );
  });

  test('`src` of an actor is the name of its source, of an invoked inline one too; of a spawned inline one it is the logic', () => {
    const named = createMachine({ invoke: { src: 'named', id: 'child' } }).provide({
      actors: { named: idle as never },
    });
    assert.equal(inside(childOf(started(named))).src, 'named');
    assert.equal(inside(childOf(started(parentOf(idle)))).src, 'xstate.invoke.0.(machine)');
    assert.equal(inside(childOf(started(createMachine({ entry: spawnChild(idle, { id: 'child' }) })))).src, idle);
  });
});

describe('kinds of logic', () => {
  test("a machine has '__xstatenode', nothing else has", () => {
    assert('__xstatenode' in idle);
    for (const other of [
      fromPromise(async () => {}),
      fromCallback(() => {}),
      fromObservable(() => from([])),
      fromTransition((s) => s, null),
    ])
      assert(!('__xstatenode' in other));
  });

  test('promises, callbacks and observables have `start`, a reducer has not', () => {
    for (const leaf of [fromPromise(async () => {}), fromCallback(() => {}), fromObservable(() => from([]))])
      assert.equal(typeof (leaf as AnyActorLogic).start, 'function');
    assert.equal((fromTransition((s) => s, null) as AnyActorLogic).start, undefined);
  });

  test('`events` of a machine lists the types it does something about', () => {
    assert.deepStrictEqual(
      createMachine({ on: { A: '.x' }, initial: 'x', states: { x: { on: { B: 'x', C: {} } } } }).events,
      ['A', 'B'],
    );
  });

  test('`start` and `transition` of a logic work on an object that has it as its prototype', () => {
    const seen: string[] = [];
    const logic = fromCallback(({ receive }) => receive(({ type }) => seen.push(type)));
    const root = started(parentOf(Object.create(logic) as AnyActorLogic));
    childOf(root).send({ type: 'A' });
    assert.deepStrictEqual(seen, ['A']);
  });
});

describe('what is said', () => {
  test('`send` relays from nobody', () => {
    const { root, said } = relays(idle);
    root.send({ type: 'A' });
    assert.deepStrictEqual(said, [[undefined, 'root', 'A']]);
  });

  test('a machine relays `sendTo` from itself, when its own state has been entered', () => {
    const { said } = relays(createMachine({ entry: sendTo(({ self }) => self, { type: 'A' }) }));
    assert.deepStrictEqual(said, [['root', 'root', 'A']]);
  });

  test("a promise says 'xstate.promise.resolve' to itself, then its end to its parent", async () => {
    const { said } = relays(parentOf(fromPromise(async () => 1)));
    await until(() => said.length === 2, 'it resolves');
    assert.deepStrictEqual(said, [
      ['child', 'child', 'xstate.promise.resolve'],
      ['child', 'root', 'xstate.done.actor.child'],
    ]);
  });

  test("a promise says 'xstate.promise.reject' to itself, then its end to its parent", async () => {
    const { said } = relays(parentOf(fromPromise(async () => Promise.reject(new Error('no')))));
    await until(() => said.length === 2, 'it rejects');
    assert.deepStrictEqual(said, [
      ['child', 'child', 'xstate.promise.reject'],
      ['child', 'root', 'xstate.error.actor.child'],
    ]);
  });

  test("an observable says 'xstate.observable.next' and 'xstate.observable.complete' to itself", () => {
    const { said } = relays(parentOf(fromObservable(() => from([1]))));
    assert.deepStrictEqual(said.slice(0, 2), [
      ['child', 'child', 'xstate.observable.next'],
      ['child', 'child', 'xstate.observable.complete'],
    ]);
  });

  test("an observable says 'xstate.observable.error' to itself", () => {
    const { said } = relays(
      parentOf(
        fromObservable(() =>
          from([1]).pipe(() => {
            throw new Error('no');
          }),
        ),
      ),
    );
    assert.deepStrictEqual(said[0], ['child', 'root', 'xstate.error.actor.child']);
    const failing = {
      subscribe: ({ error }: { error: (e: unknown) => void }) => (error(new Error('no')), { unsubscribe: () => {} }),
    };
    assert.deepStrictEqual(relays(parentOf(fromObservable(() => failing as never))).said[0], [
      'child',
      'child',
      'xstate.observable.error',
    ]);
  });

  test('`sendBack` of a callback goes from it to its parent', () => {
    const { said } = relays(parentOf(fromCallback(({ sendBack }) => sendBack({ type: 'A' }))));
    assert.deepStrictEqual(said, [['child', 'root', 'A']]);
  });

  test("`onSnapshot` is told by 'xstate.snapshot.<id>', from the child to its parent", () => {
    const { said } = relays(
      createMachine({ invoke: { src: fromTransition((s) => s, 1), id: 'child', onSnapshot: {} } }),
    );
    assert.deepStrictEqual(said, [['child', 'root', 'xstate.snapshot.child']]);
  });

  test("a stopped child is told 'xstate.stop' through its logic's `transition`", () => {
    const seen: string[] = [];
    const logic = { ...fromCallback(() => {}) };
    const { transition } = logic;
    logic.transition = (state, event, scope) => {
      seen.push(event.type);
      return transition(state, event, scope);
    };
    const root = started(
      createMachine({ initial: 'a', states: { a: { invoke: { src: logic }, on: { NEXT: 'b' } }, b: {} } }),
    );
    root.send({ type: 'NEXT' });
    assert.deepStrictEqual(seen, ['xstate.stop']);
  });
});

describe('`update` and the end of an actor', () => {
  test("`update` to 'done' stops the actor, unregisters it and tells its parent the output", () => {
    const { root, said } = relays(parentOf(fromCallback(() => {})));
    const gone: string[] = [];
    const system = systemOf(root);
    const unregister = system._unregister;
    system._unregister = (actor) => {
      gone.push(actor.id);
      unregister(actor);
    };
    const child = childOf(root);
    inside(child).update({ ...inside(child)._snapshot, status: 'done', output: 1 }, { type: 'x' });
    assert.deepStrictEqual(
      [said, gone, inside(child)._processingStatus],
      [[['child', 'root', 'xstate.done.actor.child']], ['child'], 2],
    );
  });

  test("`update` to 'error' stops the actor, unregisters it and tells its parent the error; the snapshot says so already", () => {
    const root = createActor(createMachine({ invoke: { src: fromCallback(() => {}), id: 'child', onError: {} } }), {
      id: 'root',
    }).start();
    const system = systemOf(root);
    const seen: unknown[] = [];
    system._relay = (source, _, event) =>
      seen.push(event.type, inside(source as AnyActorRef)._snapshot.status, event['error']);
    const child = childOf(root);
    inside(child).update({ ...inside(child)._snapshot, status: 'error', error: 'why' }, { type: 'x' });
    assert.deepStrictEqual([seen, inside(child)._processingStatus], [['xstate.error.actor.child', 'error', 'why'], 2]);
  });

  test('an actor that throws does not stop its children', () => {
    const root = started(
      createMachine({
        invoke: { src: fromCallback(() => {}), id: 'child' },
        on: {
          A: {
            actions: () => {
              throw new Error('no');
            },
          },
        },
      }),
    );
    const child = childOf(root);
    root.send({ type: 'A' });
    assert.deepStrictEqual([inside(root)._snapshot.status, inside(child)._processingStatus], ['error', 1]);
  });

  test('`_send` to a running actor is handled at once, in the order sent', () => {
    const seen: string[] = [];
    const root = started(createMachine({ on: { '*': { actions: ({ event }) => seen.push(event.type) } } }));
    inside(root)._send({ type: 'A' });
    inside(root)._send({ type: 'B' });
    assert.deepStrictEqual(seen, ['A', 'B']);
  });
});

describe('actions', () => {
  const builtin: [name: string, action: unknown, types: [string, boolean][]][] = [
    ['raise', raise({ type: 'X' }), [['xstate.raise', true]]],
    ['sendTo', sendTo(({ self }) => self, { type: 'X' }), [['xstate.sendTo', true]]],
    ['spawnChild', spawnChild(idle, { id: 'child' }), [['xstate.spawnChild', true]]],
    ['stopChild', stopChild('nobody'), [['xstate.stopChild', true]]],
    ['cancel', cancel('nothing'), [['xstate.cancel', true]]],
    ['emit', emit({ type: 'x' }), [['xstate.emit', true]]],
    ['enqueueActions', enqueueActions(({ enqueue }) => enqueue.raise({ type: 'X' })), [['xstate.raise', true]]],
    ['a function of the user', function mine() {}, [['mine', true]]],
    ['a name without an implementation', 'nobody', [['nobody', false]]],
  ];
  test.each(builtin)('%s reaches the executor by its type', (_, action, types) => {
    assert.deepStrictEqual(executed(action), types);
  });

  test('log reaches the executor by its type', () => {
    const types: string[] = [];
    const root = createActor(createMachine({ on: { A: { actions: log('x') } } }), { logger: () => {} }).start();
    inside(root)._actorScope.actionExecutor = ({ type }) => types.push(type);
    root.send({ type: 'A' });
    assert.deepStrictEqual(types, ['xstate.log']);
  });

  test('an action of the initial state is deferred until the actor has started', () => {
    const seen: string[] = [];
    const root = createActor(createMachine({ entry: () => seen.push('entry') }));
    assert.deepStrictEqual(seen, []);
    root.start();
    assert.deepStrictEqual(seen, ['entry']);
  });
});

describe('the scheduler', () => {
  const scheduled = (config: object): { calls: unknown[]; root: AnyActorRef } => {
    const calls: unknown[] = [];
    const root = createActor(createMachine({ id: 'm', ...config }), { id: 'root' });
    const { scheduler } = systemOf(root);
    const id = (actor: unknown): string => (actor as AnyActorRef).id;
    scheduler.schedule = (source, target, event, delay, name) =>
      calls.push(['schedule', id(source), id(target), event.type, delay, name]);
    scheduler.cancel = (source, name) => calls.push(['cancel', id(source), name]);
    scheduler.cancelAll = (source) => calls.push(['cancelAll', id(source)]);
    root.start();
    return { calls, root };
  };

  test('`after` schedules under an id that leaving the state cancels', () => {
    const { calls, root } = scheduled({ initial: 'a', states: { a: { after: { 10: {} }, on: { NEXT: 'b' } }, b: {} } });
    root.send({ type: 'NEXT' });
    assert.deepStrictEqual(calls, [
      ['schedule', 'root', 'root', 'xstate.after.10.m.a', 10, 'xstate.after.10.m.a'],
      ['cancel', 'root', 'xstate.after.10.m.a'],
    ]);
  });

  test('a delayed raise or sendTo schedules under the id it was given, undefined otherwise', () => {
    const { calls } = scheduled({
      entry: [
        raise({ type: 'A' }, { delay: 1 }),
        sendTo(({ self }: { self: unknown }) => self as AnyActorRef, { type: 'B' }, { delay: 2, id: 'b' }),
      ],
    });
    assert.deepStrictEqual(calls, [
      ['schedule', 'root', 'root', 'A', 1, undefined],
      ['schedule', 'root', 'root', 'B', 2, 'b'],
    ]);
  });

  test('an actor that stops cancels all of its own', () => {
    const { calls, root } = scheduled({});
    root.stop();
    assert.deepStrictEqual(calls, [['cancelAll', 'root']]);
  });
});
