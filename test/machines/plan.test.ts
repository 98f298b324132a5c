import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { planMachine } from '../../machines/plan.ts';
import type { Exit } from '../../src/protocol/exit.ts';
import type { PlanSpec, StepScope, StepSpec } from '../../src/protocol/spec.ts';

type Machine = ReturnType<typeof planMachine>;
const step = (name: string, needs: readonly string[] = [], input?: (scope: StepScope) => unknown): StepSpec => ({
  name,
  tool: `tools.${name}`,
  needs,
  arguments: { form: 'function', input: input ?? ((scope) => scope) },
});

/** A plan whose steps' ends the test tells. */
class Work {
  readonly machine: Machine;
  /** Steps in the order they began, and with what. */
  readonly begun: Record<string, unknown> = {};
  state: SnapshotFrom<Machine>;

  constructor(steps: readonly StepSpec[], options: Partial<PlanSpec> = {}, input: unknown = 'input') {
    const spec: PlanSpec = { kind: 'plan', name: 'hello', version: '1', grants: [], output: null, steps, ...options };
    const call = fromPromise(() => Promise.resolve());
    this.machine = planMachine(spec).provide({ actors: Object.fromEntries(steps.map(({ name }) => [name, call])) });
    const [state, actions] = initialTransition(this.machine, input);
    this.state = state;
    this.#note(actions);
  }

  end(name: string, output: Exit): this {
    return this.#step({ type: `xstate.done.actor.${name}`, output });
  }
  succeed(name: string, output: unknown = `output of ${name}`): this {
    return this.end(name, { status: 'succeeded', output });
  }
  fail(name: string, message = 'broke'): this {
    return this.end(name, { status: 'failed', error: { name: 'E', message, code: 'X' } });
  }
  throw(name: string, error: unknown): this {
    return this.#step({ type: `xstate.error.actor.${name}`, error });
  }
  kill(): this {
    return this.#step({ type: 'troupe.kill' });
  }
  get order(): string[] {
    return Object.keys(this.begun);
  }
  get exit(): unknown {
    return this.state.output;
  }

  #step(event: object): this {
    const [state, actions] = transition(this.machine, this.state, event as never);
    this.state = state;
    this.#note(actions);
    return this;
  }

  #note(actions: readonly { type: string; params: unknown }[]): void {
    for (const { type, params } of actions) {
      if (type !== 'xstate.spawnChild') continue;
      const { id, input } = params as { id: string; input: unknown };
      this.begun[id] = input;
    }
  }
}

/** a and b begin; c needs both; d needs c. */
const DIAMOND = [step('a'), step('b'), step('c', ['a', 'b']), step('d', ['c'])];

describe('order', () => {
  test('independent steps begin at once, others when what they need is done', () => {
    const work = new Work(DIAMOND);
    expect(work.order).toEqual(['a', 'b']);
    expect(work.succeed('b').order).toEqual(['a', 'b']);
    expect(work.succeed('a').order).toEqual(['a', 'b', 'c']);
    expect(work.succeed('c').order).toEqual(['a', 'b', 'c', 'd']);
    expect(work.state.status).toBe('active');
    expect(work.succeed('d').state.value).toBe('completed');
  });

  test('a step reads the input of the plan and the outputs it needs, no other', () => {
    const work = new Work(DIAMOND).succeed('a', 1).succeed('b', 2).succeed('c', 3);
    expect(work.begun).toEqual({
      a: { input: 'input' },
      b: { input: 'input' },
      c: { input: 'input', a: 1, b: 2 },
      d: { input: 'input', c: 3 },
    });
  });

  test('a step is done whatever it gave, undefined too', () => {
    expect(new Work([step('a'), step('b', ['a'])]).succeed('a', undefined).order).toEqual(['a', 'b']);
  });

  test('in any plan no step begins before all it needs, none twice, and each once', () => {
    const plans = fc
      .integer({ min: 1, max: 8 })
      .chain((n) =>
        fc.tuple(...[...Array(n).keys()].map((i) => fc.subarray([...Array(i).keys()].map((at) => `s${at}`)))),
      );
    fc.assert(
      fc.property(plans, fc.array(fc.nat()), (needs, picks) => {
        const work = new Work(needs.map((names, index) => step(`s${index}`, names)));
        const done: string[] = [];
        for (let turn = 0; work.state.status === 'active'; turn += 1) {
          for (const name of work.order)
            for (const need of needs[Number(name.slice(1))] ?? []) expect(done).toContain(need);
          const open = work.order.filter((name) => !done.includes(name));
          const next = open[(picks[turn] ?? 0) % open.length] ?? 'none is open';
          done.push(next);
          work.succeed(next);
        }
        expect(work.order.toSorted()).toEqual(needs.map((_, index) => `s${index}`));
      }),
      { numRuns: 50 },
    );
  });
});

describe('what it gives', () => {
  test('of no steps, no outputs, at once', () => {
    expect(new Work([]).exit).toEqual({ status: 'succeeded', output: {} });
  });

  test('its outputs by name', () => {
    const work = new Work([step('a'), step('b')]).succeed('b', 2).succeed('a', 1);
    expect(work.exit).toEqual({ status: 'succeeded', output: { a: 1, b: 2 } });
  });

  test('or what its mapper makes of them', () => {
    const output = ({ a }: StepScope): unknown => ({ sent: a });
    expect(new Work([step('a')], { output }).succeed('a', 7).exit).toEqual({
      status: 'succeeded',
      output: { sent: 7 },
    });
  });

  test('null, if that is what its mapper gives', () => {
    expect(new Work([step('a')], { output: () => null }).succeed('a').exit).toEqual({
      status: 'succeeded',
      output: null,
    });
  });
});

describe('a step that fails', () => {
  test('begins nothing new, lets what runs end, and is named', () => {
    const work = new Work(DIAMOND).fail('a', 'no contacts');
    expect(work.state.status).toBe('active');
    expect(work.succeed('b').order).toEqual(['a', 'b']);
    expect([work.state.value, work.exit]).toEqual([
      'failed',
      { status: 'failed', error: { name: 'E', code: 'X', message: 'Step a: no contacts' } },
    ]);
  });

  test('holds back also what needs only steps that are done', () => {
    const work = new Work([step('a'), step('b'), step('e', ['b'])]).fail('a').succeed('b');
    expect([work.order, work.state.value]).toEqual([['a', 'b'], 'failed']);
  });

  test('the first one is told', () => {
    expect(new Work(DIAMOND).fail('b', 'first').fail('a', 'second').exit).toMatchObject({
      error: { message: 'Step b: first' },
    });
  });

  test('by throwing fails like any other', () => {
    const work = new Work(DIAMOND).throw('b', new TypeError('no body'));
    expect(work.state.status).toBe('active');
    expect(work.succeed('a').exit).toMatchObject({ error: { name: 'TypeError', message: 'Step b: no body' } });
  });

  test('because its call was killed says so', () => {
    expect(new Work([step('a')]).end('a', { status: 'killed' }).exit).toMatchObject({
      error: { code: 'KILLED', message: 'Step a: killed' },
    });
  });
});

describe('a function of the author that throws', () => {
  const throwing = (): never => {
    throw new Error('no such field');
  };

  test('for the input of a step fails that step', () => {
    const work = new Work([step('a'), step('b'), step('c', ['a'], throwing)]).succeed('a');
    expect(work.state.status).toBe('active');
    expect(work.succeed('b').exit).toMatchObject({ status: 'failed', error: { message: 'Step c: no such field' } });
  });

  test('for the output fails the plan', () => {
    const work = new Work([step('a')], { output: throwing }).succeed('a');
    expect(work.exit).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('no such field') } });
  });
});

describe('a kill', () => {
  test('ends it at once', () => {
    const work = new Work(DIAMOND).kill();
    expect([work.state.value, work.state.status]).toEqual(['killed', 'done']);
  });

  test('is not a success', () => {
    expect(new Work(DIAMOND).succeed('a').kill().exit).toEqual({ status: 'killed' });
  });
});
