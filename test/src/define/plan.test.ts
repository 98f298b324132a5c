import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { module } from '../../../src/define/module.ts';
import { plan } from '../../../src/define/plan.ts';
import { tool } from '../../../src/define/tool.ts';
import { NotAllowedError, PlanError, ValidationError } from '../../../src/protocol/errors.ts';

const inputSchema = z.object({ why: z.string().optional() });
const make = (name: string) => tool({ name, description: name, inputSchema, execute: () => ({}) });
const go = make('go');
const a = module({ name: 'a', tools: [go] });
const b = module({ name: 'b', tools: [go], allow: ['a.go'] });
const alone = module({ name: 'alone', tools: [go] });

describe('the module a plan is given', () => {
  it('brings its own tools, whether they are named or not', () => {
    expect(plan.parse('x. go', { module: alone }).spec.steps).toMatchObject([{ tool: 'alone.go' }]);
    expect(plan.parse('x. go', { module: alone, tools: [alone] }).spec.steps).toMatchObject([{ tool: 'alone.go' }]);
    const typed = plan({ name: 'p', module: alone }).step('x', go);
    expect([typed.spec.steps, typed.spec.grants]).toMatchObject([[{ tool: 'alone.go' }], ['alone.go']]);
  });

  it('is whose tool a step means, where another module has the same', () => {
    const typed = plan({ name: 'p', module: alone, tools: [a] }).step('x', go);
    expect(typed.spec.steps).toMatchObject([{ tool: 'alone.go' }]);
    expect(plan({ name: 'p', module: b, tools: [a] }).step('x', go).spec.steps).toMatchObject([{ tool: 'b.go' }]);
  });

  it('still grants nothing else', () => {
    expect(() => plan({ name: 'p', module: alone }).step('x', make('other'))).toThrow(NotAllowedError);
  });
});

describe('a plan', () => {
  it('takes no second tool for an id that stands for one', () => {
    expect(() => plan({ name: 'p' }).step('x', go).step('y', make('go'))).toThrow(ValidationError);
  });

  it('has at most 200 steps', () => {
    let long = plan({ name: 'p' }) as ReturnType<typeof plan.parse>;
    for (let index = 0; index < 200; index += 1) long = long.step(`s${index}`, go) as typeof long;
    expect(long.spec.steps).toHaveLength(200);
    expect(() => long.step('more', go)).toThrow(PlanError);
    expect(() => long.step('more', go)).toThrow(
      'Plan p: step more is one too many. A plan has at most 200 steps: split it, or use each.',
    );
  });
});
