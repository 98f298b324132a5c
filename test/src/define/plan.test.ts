import { describe, expect, expectTypeOf, it } from 'vitest';
import type { PromiseActorLogic } from 'xstate';
import { z } from 'zod';
import { childRun, createTroupe } from '../../../src/index.ts';
import { module } from '../../../src/define/module.ts';
import { plan } from '../../../src/define/plan.ts';
import { tool } from '../../../src/define/tool.ts';
import type { OutputOf } from '../../../src/options.ts';
import { NotAllowedError, PlanError, ValidationError } from '../../../src/protocol/errors.ts';

const inputSchema = z.object({ why: z.string().optional() });
const make = (name: string) => tool({ name, description: name, inputSchema, execute: () => ({}) });
const go = make('go');
const a = module({ name: 'a', tools: [go] });
const b = module({ name: 'b', tools: [go], allow: ['a.go'] });
const alone = module({ name: 'alone', tools: [go] });

describe('the module a plan is given', () => {
  it('brings its own tools, whether they are named or not', () => {
    expect(plan.parse('x. go', { module: alone }).spec.steps).toMatchObject([{ call: { tool: 'alone.go' } }]);
    expect(plan.parse('x. go', { module: alone, tools: [alone] }).spec.steps).toMatchObject([
      { call: { tool: 'alone.go' } },
    ]);
    const typed = plan({ name: 'p', module: alone }).step('x', go);
    expect([typed.spec.steps, typed.spec.grants]).toMatchObject([[{ call: { tool: 'alone.go' } }], ['alone.go']]);
  });

  it('is whose tool a step means, where another module has the same', () => {
    const typed = plan({ name: 'p', module: alone, tools: [a] }).step('x', go);
    expect(typed.spec.steps).toMatchObject([{ call: { tool: 'alone.go' } }]);
    expect(plan({ name: 'p', module: b, tools: [a] }).step('x', go).spec.steps).toMatchObject([
      { call: { tool: 'b.go' } },
    ]);
  });

  it('still grants nothing else', () => {
    expect(() => plan({ name: 'p', module: alone }).step('x', make('other'))).toThrow(NotAllowedError);
  });
});

describe('a plan', () => {
  it('takes no second tool for an id that stands for one', () => {
    expect(() => plan({ name: 'p' }).step('x', go).step('y', make('go'))).toThrow(ValidationError);
  });

  it('has at most 10,000 steps', () => {
    let long = plan({ name: 'p' }) as ReturnType<typeof plan.parse>;
    for (let index = 0; index < 10_000; index += 1) long = long.step(`s${index}`, go) as typeof long;
    expect(long.spec.steps).toHaveLength(10_000);
    expect(() => long.step('more', go)).toThrow(PlanError);
    expect(() => long.step('more', go)).toThrow(
      'Plan p: step more is one too many. A plan has at most 10000 steps: split it, or use each.',
    );
  });
});

const person = z.object({ name: z.string() });
const people = tool({
  name: 'people',
  description: '',
  inputSchema: z.object({}),
  outputSchema: z.array(person),
  execute: () => [],
});
const greet = tool({
  name: 'greet',
  description: '',
  inputSchema: z.object({ to: z.string() }),
  outputSchema: z.string(),
  execute: ({ to }) => to,
});

describe('a step', () => {
  it('is what its options say, as data for the machine', () => {
    const when = () => true;
    const each = () => [{ to: 'ana' }];
    const rules = {
      optional: ['a'],
      when,
      each,
      concurrency: 2,
      onFailure: 'skip',
      retry: { attempts: 5, delay: '1s' },
      timeout: '2m',
    } as const;
    const { spec } = plan({ name: 'p', concurrency: 7 })
      .step('a', people)
      .step('b', greet, rules)
      .step('c', greet, { anyOf: ['b'], input: () => ({ to: 'x' }) });
    expect(spec).toMatchObject({ concurrency: 7, input: null, output: null, grants: ['people', 'greet'] });
    expect(spec.steps).toEqual([
      { name: 'a', call: { kind: 'tool', tool: 'people' }, needs: [], input: expect.any(Function) as unknown },
      {
        name: 'b',
        call: { kind: 'tool', tool: 'greet' },
        needs: [],
        optional: ['a'],
        when,
        each,
        concurrency: 2,
        onFailure: 'skip',
        retry: { attempts: 5, delayMs: 1_000 },
        timeoutMs: 120_000,
      },
      {
        name: 'c',
        call: { kind: 'tool', tool: 'greet' },
        needs: [],
        anyOf: ['b'],
        input: expect.any(Function) as unknown,
      },
    ]);
  });

  it('reads what it waits for, and no more', () => {
    const made = plan({ name: 'p', inputSchema: z.object({ who: z.string() }) })
      .step('people', people)
      .step('count', ({ people: all }) => all.length, { needs: ['people'] })
      .step('greeted', greet, {
        needs: ['people'],
        optional: ['count'],
        when: ({ people: all, input, count }) => {
          expectTypeOf(count).toEqualTypeOf<number | undefined>();
          return all.length > 0 && input.who !== '';
        },
        each: ({ people: all }) => all.map(({ name }) => ({ to: name })),
      })
      .step('one', greet, { input: ({ input }) => ({ to: input.who }), onFailure: 'continue' })
      .step('lengths', (item: { name: string }) => Promise.resolve(item.name.length), {
        needs: ['people'],
        each: ({ people: all }) => all,
      })
      .step('last', ({ greeted, one }) => [greeted?.length, one?.length], { anyOf: ['greeted', 'one'] });
    expectTypeOf<OutputOf<typeof made>>().toEqualTypeOf<{
      people: { name: string }[];
      count: number;
      greeted: string[] | undefined;
      one: string | undefined;
      lengths: number[];
      last: (number | undefined)[] | undefined;
    }>();
    // @ts-expect-error: it does not need count
    made.step('x', ({ count }) => count, { needs: ['people'] });
    // @ts-expect-error: greet takes a text
    made.step('y', greet, { input: () => ({ to: 7 }) });
    // @ts-expect-error: greet takes something
    expect(() => made.step('z', greet)).not.toThrow();
  });

  it('may be skipped where what it needs may be', () => {
    const made = plan({ name: 'p' })
      .step('a', () => 1, { onFailure: 'skip' })
      .step('b', ({ a }) => a, { needs: ['a'] })
      .step('c', ({ a }) => a, { optional: ['a'] });
    expectTypeOf<OutputOf<typeof made>>().toEqualTypeOf<{
      a: number | undefined;
      b: number | undefined;
      c: number | undefined;
    }>();
    const given = plan({ name: 'p', output: () => ({ sent: 1 }) }).step('a', () => 1, { when: () => true });
    expectTypeOf<OutputOf<typeof given>>().toEqualTypeOf<{ sent: number }>();
  });

  it('gives what is made of its input and the steps', async () => {
    const made = plan({ name: 'p', inputSchema: z.object({ by: z.number() }) })
      .step('found', () => 20)
      .step('more', () => 1, { when: () => false })
      .output(({ found, more, input }) => {
        expectTypeOf(more).toEqualTypeOf<number | undefined>();
        return found * input.by + (more ?? 0);
      });
    expectTypeOf<OutputOf<typeof made>>().toEqualTypeOf<number>();
    expectTypeOf(childRun(made)).toEqualTypeOf<PromiseActorLogic<number, { by: number }>>();
    const troupe = await createTroupe();
    expect(await troupe.execute(made, { by: 2 })).toBe(40);
    await troupe.close();
    // @ts-expect-error: there is no step lost
    made.output(({ lost }) => lost);
  });

  it('forgives each call of a list, and says so', () => {
    const each = () => [{ to: 'x' }];
    const made = plan({ name: 'p' })
      .step('a', greet, { each, onFailure: 'continue' })
      .step('b', greet, { each, onFailure: 'skip' });
    expectTypeOf<OutputOf<typeof made>>().toEqualTypeOf<{
      a: (string | undefined)[] | undefined;
      b: string[] | undefined;
    }>();
  });

  it.each<[string, () => unknown, string]>([
    [
      'that waits for one that is not there',
      () => plan({ name: 'p' }).step('a', go, { anyOf: ['b' as never] }),
      'step a needs b, which is no step before it',
    ],
    ['that is there', () => plan({ name: 'p' }).step('a', go).step('a', go), 'two steps named a'],
    ['whose name is reserved', () => plan({ name: 'p' }).step('item', go), 'reserved (input, item)'],
    [
      'that is a plan with a timeout',
      () => plan({ name: 'p' }).step('a', plan({ name: 'q' }), { timeout: '1s' }),
      'give timeout and retry to the steps of q',
    ],
  ])('is refused, one %s', (_, make, message) => {
    expect(make).toThrow(PlanError);
    expect(make).toThrow(message);
  });

  it.each<[string, () => unknown]>([
    ['no call at once', () => plan({ name: 'p' }).step('a', go, { each: () => [], concurrency: 0 })],
    ['no step at once', () => plan({ name: 'p', concurrency: 1.5 })],
    ['no try', () => plan({ name: 'p' }).step('a', go, { retry: { attempts: 0 } })],
    ['no duration', () => plan({ name: 'p' }).step('a', go, { timeout: 'soon' as never })],
  ])('is refused with %s', (_, make) => {
    expect(make).toThrow(ValidationError);
  });
});

describe('a plan as a step', () => {
  const inner = plan({ name: 'inner', inputSchema: z.object({ to: z.string() }) }).step('one', greet, {
    input: ({ input }) => input,
  });

  it('takes its input and gives its output', () => {
    const outer = plan({ name: 'outer' })
      .step('a', inner, { input: () => ({ to: 'ana' }) })
      .step('b', ({ a }) => a.one, { needs: ['a'] });
    expectTypeOf<OutputOf<typeof outer>>().toEqualTypeOf<{ a: { one: string }; b: string }>();
    expect(outer.spec.steps[0]?.call).toEqual({ kind: 'plan', plan: 'inner' });
    // @ts-expect-error: it takes something
    expect(() => plan({ name: 'x' }).step('a', inner)).not.toThrow();
  });

  it('brings its tools where nobody says what may be called', () => {
    expect(plan({ name: 'outer' }).step('a', inner, { input: () => ({ to: '' }) }).spec.grants).toEqual(['greet']);
  });

  it('reaches no more than the plan it is in', () => {
    const given = () => plan({ name: 'outer', module: alone });
    expect(() => given().step('a', inner, { input: () => ({ to: '' }) })).toThrow(NotAllowedError);
    const through = plan({ name: 'through' }).step('a', inner, { input: () => ({ to: '' }) });
    expect(() => given().step('a', through)).toThrow(
      'Plan outer, given module alone, and so its plan through may not call greet',
    );
    expect(given().step('a', plan({ name: 'same', module: alone }).step('x', go)).spec.grants).toEqual(['alone.go']);
  });

  it('means the same tools by the same ids', () => {
    const other = plan({ name: 'other' }).step('x', make('greet'));
    const outer = plan({ name: 'outer' }).step('a', inner, { input: () => ({ to: '' }) });
    expect(() => outer.step('b', other)).toThrow('Two tools have the id greet');
  });

  it('is the only one of its name', () => {
    const outer = plan({ name: 'outer' }).step('a', inner, { input: () => ({ to: '' }) });
    expect(outer.step('b', inner, { input: () => ({ to: '' }) }).spec.steps).toHaveLength(2);
    expect(() => outer.step('b', plan({ name: 'inner' }))).toThrow('two plans named inner');
  });
});
