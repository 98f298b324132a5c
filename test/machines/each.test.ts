import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { eachMachine } from '../../machines/each.ts';
import type { Exit } from '../../src/protocol/exit.ts';
import type { OnFailure } from '../../src/protocol/spec.ts';

type Machine = ReturnType<typeof eachMachine>;

/** A fan of calls, whose ends the test tells. */
class Fan {
  readonly machine: Machine;
  /** Inputs in the order their calls began. */
  readonly begun: unknown[] = [];
  readonly #open = new Set<number>();
  state: SnapshotFrom<Machine>;

  /** What it told the machine around it. */
  readonly said: unknown[] = [];

  constructor(items: readonly unknown[], concurrency = 4, onFailure: OnFailure = 'fail') {
    const call = fromPromise(() => Promise.resolve());
    this.machine = eachMachine({ id: 'send', call: 'mail.send', concurrency, onFailure }).provide({
      actors: { 'mail.send': call },
    });
    const [state, actions] = initialTransition(this.machine, items);
    this.state = state;
    this.#note(actions);
  }

  end(index: number, exit: Exit): this {
    return this.#step({ type: `xstate.done.actor.call-${index}`, actorId: `call-${index}`, output: exit }, index);
  }
  succeed(index: number, output: unknown = index): this {
    return this.end(index, { status: 'succeeded', output });
  }
  fail(index: number, message: string): this {
    return this.end(index, { status: 'failed', error: { name: 'E', message } });
  }
  throw(index: number, error: unknown): this {
    return this.#step({ type: `xstate.error.actor.call-${index}`, actorId: `call-${index}`, error }, index);
  }
  doubt(index: number): this {
    return this.#step({ type: 'troupe.inDoubt', actorId: `call-${index}` });
  }
  kill(): this {
    return this.#step({ type: 'troupe.kill' });
  }
  /** Calls under way, by index. */
  get open(): number[] {
    return [...this.#open];
  }
  get exit(): unknown {
    return this.state.output;
  }

  #step(event: object, ended?: number): this {
    if (ended !== undefined) this.#open.delete(ended);
    const [state, actions] = transition(this.machine, this.state, event as never);
    this.state = state;
    this.#note(actions);
    return this;
  }

  #note(actions: readonly { type: string; params: unknown }[]): void {
    for (const { type, params } of actions) {
      if (type === 'xstate.sendTo') this.said.push((params as { event: unknown }).event);
      if (type !== 'xstate.spawnChild') continue;
      const { id, input } = params as { id: string; input: unknown };
      this.#open.add(Number(id.slice('call-'.length)));
      this.begun.push(input);
    }
  }
}

test('an empty list is done with an empty list', () => {
  expect(new Fan([]).exit).toEqual({ status: 'succeeded', output: [] });
});

test('each item is a call, at most so many at once, in their order', () => {
  const fan = new Fan(['a', 'b', 'c', 'd', 'e'], 2);
  expect([fan.open, fan.begun]).toEqual([
    [0, 1],
    ['a', 'b'],
  ]);
  expect(fan.succeed(1).open).toEqual([0, 2]);
  expect(fan.succeed(0).succeed(2).open).toEqual([3, 4]);
  expect(fan.state.status).toBe('active');
  expect(fan.succeed(4).succeed(3).exit).toEqual({ status: 'succeeded', output: [0, 1, 2, 3, 4] });
});

test('outputs stand in the order of the items, whatever order they came in', () => {
  const order = fc
    .integer({ min: 0, max: 30 })
    .chain((n) => fc.shuffledSubarray([...Array(n).keys()], { minLength: n }));
  fc.assert(
    fc.property(order, fc.integer({ min: 1, max: 6 }), (places, concurrency) => {
      const fan = new Fan(places, concurrency);
      for (let ended = 0; ended < places.length; ended += 1) {
        expect(fan.open.length).toBe(Math.min(concurrency, places.length - ended));
        const [next] = fan.open.toSorted((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
        fan.succeed(next ?? -1, `output ${next}`);
      }
      expect(fan.begun).toEqual(places);
      expect(fan.exit).toEqual({ status: 'succeeded', output: places.map((_, index) => `output ${index}`) });
    }),
  );
});

describe('a failure', () => {
  test('begins nothing new, and what runs ends', () => {
    const fan = new Fan(['a', 'b', 'c', 'd', 'e'], 2).fail(0, 'no such mailbox');
    expect([fan.state.status, fan.open]).toEqual(['active', [1]]);
    expect(fan.succeed(1).exit).toEqual({ status: 'failed', error: { name: 'E', message: 'no such mailbox' } });
    expect(fan.begun).toEqual(['a', 'b']);
  });

  test('the first one is told', () => {
    expect(new Fan(['a', 'b'], 2).fail(1, 'first').fail(0, 'second').exit).toMatchObject({
      error: { message: 'first' },
    });
    expect(new Fan(['a', 'b'], 2).throw(1, new Error('first')).throw(0, 'second').exit).toMatchObject({
      status: 'failed',
      error: { message: 'first' },
    });
  });

  test('of a machine counts like one of its tool', () => {
    const fan = new Fan(['a', 'b', 'c'], 2).throw(0, new Error('broke'));
    expect([fan.state.status, fan.open]).toEqual(['active', [1]]);
    expect(fan.succeed(1).exit).toMatchObject({ status: 'failed', error: { message: 'broke' } });
  });
});

describe('a failure that is forgiven', () => {
  test('begins the others, and leaves its item out', () => {
    const fan = new Fan(['a', 'b', 'c'], 1, 'skip').succeed(0, 'A').fail(1, 'no such mailbox');
    expect(fan.open).toEqual([2]);
    expect(fan.succeed(2, 'C').exit).toEqual({ status: 'succeeded', output: ['A', 'C'] });
  });

  test('or leaves its place empty', () => {
    const fan = new Fan(['a', 'b', 'c'], 3, 'continue').throw(1, new Error('broke')).succeed(0, 'A').fail(2, 'broke');
    expect(fan.exit).toEqual({ status: 'succeeded', output: ['A', undefined, undefined] });
  });
});

describe('a call in doubt', () => {
  test('gives its place up, and is waited for', () => {
    const fan = new Fan(['a', 'b', 'c', 'd'], 2).doubt(0).doubt(1);
    expect(fan.open).toEqual([0, 1, 2, 3]);
    fan.succeed(2).succeed(3);
    expect(fan.state.status).toBe('active');
    expect(fan.succeed(1, 'B').succeed(0, 'A').exit).toEqual({ status: 'succeeded', output: ['A', 'B', 2, 3] });
  });

  test('takes none back when it ends, however often it is in doubt', () => {
    const fan = new Fan(['a', 'b', 'c', 'd'], 1).doubt(0).doubt(0).succeed(0);
    expect(fan.open).toEqual([1]);
    expect(fan.succeed(1).open).toEqual([2]);
  });

  test('is told on, once nothing else is under way', () => {
    const fan = new Fan(['a', 'b'], 2).doubt(0);
    expect(fan.said).toEqual([]);
    expect(fan.succeed(1).said).toEqual([expect.objectContaining({ type: 'troupe.inDoubt' })]);
    expect(fan.doubt(0).said).toHaveLength(1);
  });
});

test('among 1,000 items no more actors live than may', () => {
  const items = [...Array(1_000).keys()];
  const fan = new Fan(items, 4);
  for (const index of items) {
    expect(Object.keys(fan.state.children).length).toBeLessThanOrEqual(4);
    fan.succeed(index);
  }
  expect(fan.exit).toEqual({ status: 'succeeded', output: items });
});

describe('a kill', () => {
  test('ends it with its calls', () => {
    const fan = new Fan(['a', 'b', 'c'], 2).kill();
    expect([fan.state.value, fan.state.status]).toEqual(['killed', 'done']);
  });

  test('is not a success', () => {
    expect(new Fan(['a', 'b', 'c'], 2).kill().exit).toEqual({ status: 'killed' });
  });

  test('of one call is a failure of the list', () => {
    expect(new Fan(['a']).end(0, { status: 'killed' }).exit).toMatchObject({ status: 'failed' });
  });
});
