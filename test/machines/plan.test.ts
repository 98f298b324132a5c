import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromPromise, initialTransition, transition, type SnapshotFrom } from 'xstate';
import { planMachine, standing } from '../../machines/plan.ts';
import { statusesOf } from '../../machines/policy/schedule.ts';
import { PlanError } from '../../src/protocol/errors.ts';
import type { Exit } from '../../src/protocol/exit.ts';
import type { PlanSpec, StepScope, StepSpec } from '../../src/protocol/spec.ts';

type Machine = ReturnType<typeof planMachine>;
const step = (name: string, needs: readonly string[] = [], rules: Partial<StepSpec> = {}): StepSpec => ({
  name,
  call: { kind: 'tool', tool: `tools.${name}` },
  needs,
  input: (scope) => scope,
  ...rules,
});

/** A plan whose steps' ends the test tells. */
class Work {
  readonly machine: Machine;
  /** Steps in the order they began, and with what. */
  readonly begun: Record<string, unknown> = {};
  state: SnapshotFrom<Machine>;

  constructor(steps: readonly StepSpec[], options: Partial<PlanSpec> & { check?: (input: unknown) => unknown } = {}) {
    const { check, ...rest } = options;
    const spec: PlanSpec = {
      kind: 'plan',
      name: 'hello',
      version: '1',
      input: null,
      grants: [],
      output: null,
      concurrency: 4,
      steps,
      ...rest,
    };
    const call = fromPromise(() => Promise.resolve());
    this.machine = planMachine(spec, check).provide({
      actors: Object.fromEntries(steps.map(({ name }) => [name, call])),
    });
    const [state, actions] = initialTransition(this.machine, 'input');
    this.state = state;
    this.#note(actions);
  }

  end(name: string, output: Exit): this {
    return this.#step({ type: `xstate.done.actor.${name}`, actorId: name, output });
  }
  succeed(name: string, output: unknown = `output of ${name}`): this {
    return this.end(name, { status: 'succeeded', output });
  }
  fail(name: string, message = 'broke'): this {
    return this.end(name, { status: 'failed', error: { name: 'E', message, code: 'X' } });
  }
  throw(name: string, error: unknown): this {
    return this.#step({ type: `xstate.error.actor.${name}`, actorId: name, error });
  }
  doubt(name: string): this {
    return this.#step({ type: 'troupe.inDoubt', actorId: name });
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
  /** What the plan told the machine around it. */
  said: unknown[] = [];

  #step(event: object): this {
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
      this.begun[id] = input;
    }
  }
}

/** a and b begin; c needs both; d needs c. */
const DIAMOND = [step('a'), step('b'), step('c', ['a', 'b']), step('d', ['c'])];
const succeeded = (output: unknown): unknown => ({ status: 'succeeded', output });

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

  test('R42: at most `concurrency` steps at once, in the order they became ready', () => {
    const wide = [step('a'), step('b'), step('c'), step('d'), step('after', ['b'])];
    const work = new Work(wide, { concurrency: 2 });
    expect(work.order).toEqual(['a', 'b']);
    expect(work.succeed('b').order).toEqual(['a', 'b', 'c']);
    expect(work.succeed('a').succeed('c').order).toEqual(['a', 'b', 'c', 'd', 'after']);
  });

  test('only what runs lives: an actor that is done is let go of', () => {
    const work = new Work(DIAMOND).succeed('a').throw('b', new Error('broke'));
    expect(Object.keys(work.state.children)).toEqual([]);
  });
});

describe('what it gives', () => {
  test('of no steps, no outputs, at once', () => {
    expect(new Work([]).exit).toEqual(succeeded({}));
  });

  test('its outputs by name', () => {
    expect(new Work([step('a'), step('b')]).succeed('b', 2).succeed('a', 1).exit).toEqual(succeeded({ a: 1, b: 2 }));
  });

  test('or what its mapper makes of them and of its input', () => {
    const output = ({ a, input }: StepScope): unknown => ({ sent: a, input });
    expect(new Work([step('a')], { output }).succeed('a', 7).exit).toEqual(succeeded({ sent: 7, input: 'input' }));
  });

  test('or its template', () => {
    const output = { fields: { sent: { from: 'a', path: ['ids', 0] }, to: { from: 'input', path: [] } } };
    expect(new Work([step('a')], { output }).succeed('a', { ids: [7] }).exit).toEqual(
      succeeded({ sent: 7, to: 'input' }),
    );
  });

  test('null, if that is what its mapper gives', () => {
    expect(new Work([step('a')], { output: () => null }).succeed('a').exit).toEqual(succeeded(null));
  });
});

describe('a condition that says no', () => {
  const no = { when: () => false };

  test('skips the step and what needs it, and the plan is completed without them', () => {
    const work = new Work([step('a'), step('b', ['a'], no), step('c', ['b']), step('d', ['a'])]);
    work.succeed('a', 1).succeed('d', 2);
    expect([work.order, work.exit]).toEqual([['a', 'd'], succeeded({ a: 1, d: 2 })]);
  });

  test('is asked with what the step reads', () => {
    const seen: unknown[] = [];
    const when = (scope: StepScope): boolean => seen.push(scope) > 0;
    expect(new Work([step('a'), step('b', ['a'], { when })]).succeed('a', 1).order).toEqual(['a', 'b']);
    expect(seen).toEqual([{ input: 'input', a: 1 }]);
  });

  test('on every step leaves a plan of nothing', () => {
    expect(new Work([step('a', [], no), step('b', [], no)]).exit).toEqual(succeeded({}));
  });

  test('may be data', () => {
    const few = { of: { from: 'a', path: ['count'] }, test: 'above', operand: { value: 2 } } as const;
    const steps = [step('a'), step('b', ['a'], { when: few })];
    expect(new Work(steps).succeed('a', { count: 3 }).order).toEqual(['a', 'b']);
    expect(new Work(steps).succeed('a', { count: 2 }).exit).toEqual(succeeded({ a: { count: 2 } }));
  });

  test('of 10,000 steps in a row skips them all', () => {
    const row = Array.from({ length: 10_000 }, (_, index) =>
      step(`s${index}`, [], { ...no, optional: index === 0 ? [] : [`s${index - 1}`] }),
    );
    expect(new Work(row).exit).toEqual(succeeded({}));
  });
});

describe('a step that may go without', () => {
  const no = { when: () => false };

  test('an optional step is waited for, and is undefined when it was skipped', () => {
    const work = new Work([step('a'), step('b', [], no), step('c', ['a'], { optional: ['b'] })]);
    expect(work.succeed('a', 1).begun['c']).toEqual({ input: 'input', a: 1, b: undefined });
    const both = new Work([step('a'), step('b'), step('c', ['a'], { optional: ['b'] })]).succeed('a', 1);
    expect(both.order).toEqual(['a', 'b']);
    expect(both.succeed('b', 2).begun['c']).toEqual({ input: 'input', a: 1, b: 2 });
  });

  test('anyOf begins with the first that is done, once', () => {
    const work = new Work([step('a'), step('b'), step('c', [], { anyOf: ['a', 'b'] })]);
    expect(work.succeed('b', 2).begun['c']).toEqual({ input: 'input', a: undefined, b: 2 });
    work.succeed('c', 3).succeed('a', 1);
    expect([work.order, work.exit]).toEqual([['a', 'b', 'c'], succeeded({ a: 1, b: 2, c: 3 })]);
  });

  test('anyOf passes over what was skipped, and is skipped when all of it was', () => {
    expect(new Work([step('a', [], no), step('b'), step('c', [], { anyOf: ['a', 'b'] })]).succeed('b').order).toEqual([
      'b',
      'c',
    ]);
    expect(new Work([step('a', [], no), step('b', [], no), step('c', [], { anyOf: ['a', 'b'] })]).exit).toEqual(
      succeeded({}),
    );
  });

  test('what it needs must be done all the same', () => {
    const steps = [step('a'), step('b'), step('x'), step('c', ['x'], { anyOf: ['a'], optional: ['b'] })];
    const work = new Work(steps).succeed('a').succeed('b');
    expect(work.order).not.toContain('c');
    expect(work.succeed('x').order).toContain('c');
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

  test('holds back also what needs only steps that are done, and what waits for a place', () => {
    const work = new Work([step('a'), step('b'), step('e', ['b'])]).fail('a').succeed('b');
    expect([work.order, work.state.value]).toEqual([['a', 'b'], 'failed']);
    expect(new Work([step('a'), step('b')], { concurrency: 1 }).fail('a').order).toEqual(['a']);
  });

  test('asks the author nothing more', () => {
    const asked: unknown[] = [];
    const when = (scope: StepScope): boolean => asked.push(scope) > 0;
    new Work([step('a'), step('b'), step('c', ['b'], { when })]).fail('a').succeed('b');
    expect(asked).toEqual([]);
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

  test("with onFailure 'skip' is skipped, and so is what needs it", () => {
    const work = new Work([step('a', [], { onFailure: 'skip' }), step('b', ['a']), step('c', [], { optional: ['a'] })]);
    expect(work.fail('a').begun).toEqual({ a: { input: 'input' }, c: { input: 'input', a: undefined } });
    expect(work.succeed('c', 3).exit).toEqual(succeeded({ c: 3 }));
  });

  test("with onFailure 'continue' is done without an output", () => {
    const work = new Work([step('a', [], { onFailure: 'continue' }), step('b', ['a'])]).fail('a');
    expect(work.begun['b']).toEqual({ input: 'input', a: undefined });
    expect(work.succeed('b', 2).exit).toEqual(succeeded({ b: 2 }));
  });
});

describe('a function of the author that throws', () => {
  const throwing = (): never => {
    throw new Error('no such field');
  };

  test('for the input of a step fails that step, which has not begun', () => {
    const work = new Work([step('a'), step('b'), step('c', ['a'], { input: throwing })]).succeed('a');
    expect(work.state.status).toBe('active');
    expect(work.succeed('b').exit).toMatchObject({
      status: 'failed',
      error: { message: 'Step c: input: no such field' },
    });
    expect(work.order).toEqual(['a', 'b']);
  });

  test('for its condition or its list does so too', () => {
    for (const rules of [{ when: throwing }, { each: throwing }])
      expect(new Work([step('a', [], rules)]).exit).toMatchObject({
        error: { message: `Step a: ${Object.keys(rules)[0]}: no such field` },
      });
  });

  test('is forgiven like any failure', () => {
    const forgiven = step('a', [], { input: throwing, onFailure: 'continue' });
    expect(new Work([forgiven, step('b', ['a'])]).succeed('b', 2).exit).toEqual(succeeded({ b: 2 }));
    const skipped = step('a', [], { when: throwing, onFailure: 'skip' });
    expect(new Work([skipped, step('b', ['a'])]).exit).toEqual(succeeded({}));
  });

  test('for the output fails the plan', () => {
    const work = new Work([step('a')], { output: throwing }).succeed('a');
    expect([work.state.value, work.exit]).toEqual([
      'failed',
      expect.objectContaining({
        error: expect.objectContaining({ message: 'The output of plan hello: no such field' }) as object,
      }),
    ]);
  });

  test('for the input of the plan fails it before anything begins', () => {
    const work = new Work(DIAMOND, { check: throwing });
    expect([work.order, work.exit]).toMatchObject([[], { error: { message: 'no such field' } }]);
  });
});

test('the input is what its check gives', () => {
  expect(new Work([step('a')], { check: () => 'checked' }).begun).toEqual({ a: { input: 'checked' } });
});

describe('a step in doubt', () => {
  const wide = [step('a'), step('b'), step('c'), step('d', ['a'])];

  test('gives its place up, and is waited for', () => {
    const work = new Work(wide, { concurrency: 1 }).doubt('a');
    expect(work.order).toEqual(['a', 'b']);
    work.succeed('b').succeed('c');
    expect([work.order, work.state.status]).toEqual([['a', 'b', 'c'], 'active']);
    work.succeed('a').succeed('d', 4);
    expect(work.exit).toMatchObject({ status: 'succeeded', output: { d: 4 } });
  });

  test('takes none back when it ends, however often it is in doubt', () => {
    const work = new Work(wide, { concurrency: 1 }).doubt('a').doubt('a').succeed('a');
    expect(work.order).toEqual(['a', 'b']);
    expect(work.succeed('b').order).toEqual(['a', 'b', 'c']);
    expect(work.succeed('c').order).toEqual(['a', 'b', 'c', 'd']);
  });

  test('holds a failed plan open', () => {
    const work = new Work(wide).doubt('a').fail('b').succeed('c');
    expect(work.state.status).toBe('active');
    expect(work.succeed('a').exit).toMatchObject({ error: { message: 'Step b: broke' } });
  });

  test('is told on, once nothing else is under way', () => {
    const work = new Work(wide).doubt('a').doubt('b');
    expect(work.said).toEqual([]);
    work.succeed('c');
    expect(work.said).toEqual([expect.objectContaining({ type: 'troupe.inDoubt' })]);
    expect(work.doubt('a').said).toHaveLength(1);
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

test('a step that needs one that is not there is refused', () => {
  expect(() => new Work([step('a', ['b'])])).toThrow(PlanError);
});

test('the steps are part of the chart: a plan of other steps is another one', () => {
  const config = (steps: StepSpec[]): string => JSON.stringify(new Work(steps).machine.config);
  expect(config([step('a')])).not.toBe(config([step('b')]));
});

test('how its steps stand can be told from its snapshot, and from no other', () => {
  const steps = [step('a'), step('b', ['a']), step('c', [], { when: () => false }), step('d'), step('e')];
  const work = new Work(steps, { concurrency: 2 }).doubt('d').fail('e');
  expect(Object.fromEntries(standing(work.state) ?? [])).toEqual({
    a: 'running',
    b: 'waiting',
    c: 'skipped',
    d: 'inDoubt',
    e: 'failed',
  });
  expect(standing({ context: {} })).toBeUndefined();
});

interface Drawn {
  step: StepSpec;
  says: boolean;
  fails: boolean;
}
const ROLES = ['needs', 'optional', 'anyOf'] as const;

/** Steps that wait in any way for steps before them, some of which say no, fail, and are forgiven or not. */
const plans = (onFailures: readonly (StepSpec['onFailure'] & string)[]): fc.Arbitrary<Drawn[]> =>
  fc.integer({ min: 1, max: 9 }).chain((count) =>
    fc.tuple(
      ...[...Array(count).keys()].map((index) =>
        fc
          .record({
            waits: fc.array(fc.constantFrom('', '', ...ROLES), { minLength: index, maxLength: index }),
            says: fc.integer({ max: 4, min: 0 }).map((n) => n > 0),
            fails: fc.integer({ max: 3, min: 0 }).map((n) => n === 0),
            onFailure: fc.constantFrom(...onFailures),
          })
          .map(({ waits, says, fails, onFailure }): Drawn => {
            const of = (role: string): string[] => waits.flatMap((wait, at) => (wait === role ? [`s${at}`] : []));
            const rules = { optional: of('optional'), anyOf: of('anyOf'), when: () => says, onFailure };
            return { step: step(`s${index}`, of('needs'), rules), says, fails };
          }),
      ),
    ),
  );

type Fate = 'done' | 'failed' | 'skipped' | undefined;

/** What becomes of each step, told from the definitions alone, without an order of events. */
function fates(drawn: readonly Drawn[]): Fate[] {
  const byName = new Map<string, Fate>();
  const counts = (name: string): 'done' | 'skipped' | undefined => {
    const fate = byName.get(name);
    if (fate !== 'failed') return fate;
    return drawn.find(({ step: { name: own } }) => own === name)?.step.onFailure === 'continue' ? 'done' : 'skipped';
  };
  // each waits only for steps before it
  for (const {
    step: { name, needs, anyOf = [] },
    says,
    fails,
  } of drawn) {
    const possible = needs.every((need) => counts(need) === 'done');
    const chosen = anyOf.length === 0 || anyOf.some((one) => counts(one) === 'done');
    byName.set(name, possible && chosen && says ? (fails ? 'failed' : 'done') : 'skipped');
  }
  return [...byName.values()];
}

/** Lets a plan's steps end in some order, some of them after a doubt. */
function drive(drawn: readonly Drawn[], concurrency: number, picks: readonly number[]): Work {
  const work = new Work(
    drawn.map((one) => one.step),
    { concurrency },
  );
  const over = new Set<string>();
  const doubtful = new Set<string>();
  let begun = 0;
  for (let turn = 0; work.state.status === 'active'; turn += 1) {
    for (const name of work.order.slice(begun)) {
      const { needs, anyOf = [] } = drawn[Number(name.slice(1))]?.step ?? step('none');
      expect([...over]).toEqual(expect.arrayContaining([...needs]));
      if (anyOf.length > 0) expect(anyOf.some((one) => over.has(one))).toBe(true);
    }
    begun = work.order.length;
    const open = work.order.filter((name) => !over.has(name));
    const held = open.filter((name) => !doubtful.has(name));
    const mayBegin = statusesOf(work.state.context.schedule).includes('ready');
    if (work.state.context.schedule.error === undefined) {
      expect(held.length).toBeLessThanOrEqual(concurrency);
      if (mayBegin) expect(held.length).toBe(concurrency);
    }
    const pick = picks[turn % picks.length] ?? 0;
    const name = open[pick % open.length] ?? 'nothing is open';
    if (pick % 3 === 0 && !doubtful.has(name)) {
      doubtful.add(name);
      work.doubt(name);
      continue;
    }
    over.add(name);
    if (drawn[Number(name.slice(1))]?.fails === true) work.fail(name);
    else work.succeed(name);
  }
  return work;
}

describe('any plan', () => {
  const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 40 });
  const concurrency = fc.integer({ min: 1, max: 4 });

  test('ends with what each step comes to, whatever the order of events', () => {
    fc.assert(
      fc.property(plans(['skip', 'continue']), concurrency, picks, (drawn, most, order) => {
        const work = drive(drawn, most, order);
        const expected = fates(drawn);
        expect(statusesOf(work.state.context.schedule)).toEqual(expected);
        const outputs = drawn.flatMap(({ step: { name } }, at) =>
          expected[at] === 'done' ? [[name, `output of ${name}`]] : [],
        );
        expect(work.exit).toEqual(succeeded(Object.fromEntries(outputs)));
        expect(work.order.toSorted()).toEqual(
          drawn.flatMap(({ step: { name } }, at) => (expected[at] === 'skipped' ? [] : [name])),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('begins nothing before what it waits for, and nothing after a failure', () => {
    fc.assert(
      fc.property(plans(['fail', 'skip']), concurrency, picks, (drawn, most, order) => {
        const work = drive(drawn, most, order);
        const fatal = drawn.filter(
          ({ step: { name, onFailure }, fails }) => fails && onFailure === 'fail' && work.order.includes(name),
        );
        expect(work.state.value).toBe(fatal.length === 0 ? 'completed' : 'failed');
        expect(new Set(work.order).size).toBe(work.order.length);
      }),
      { numRuns: 300 },
    );
  });
});
