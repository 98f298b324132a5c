import { fromPromise, type AnyActorLogic } from 'xstate';
import { eachMachine } from '../../../machines/each.ts';
import { planMachine } from '../../../machines/plan.ts';
import type { Exit } from '../../../src/protocol/exit.ts';
import type { PlanSpec, StepScope, StepSpec } from '../../../src/protocol/spec.ts';
import type { Reference, Rule, World } from '../world.ts';

const BAD = 'bad';

/** Each call answers with what it was given. */
const answers: Rule = ({ world }) => {
  const [call] = ['send', 'lost', 'some', 'one', 'two', 'first'].flatMap((source) => world.open(source));
  if (call?.input === BAD) call.reject(new Error('no such mailbox'));
  else call?.resolve({ status: 'succeeded', output: `<${String(call.input)}>` } satisfies Exit);
  return call !== undefined;
};

const call = (world: World, source: string): AnyActorLogic =>
  fromPromise<Exit, string>(({ input, signal }) => world.call<Exit>(source, input, signal));

const step = (name: string, rules: Partial<StepSpec>): StepSpec => ({
  name,
  call: { kind: 'function' },
  needs: [],
  ...rules,
});
const planOf = (name: string, steps: StepSpec[], output: PlanSpec['output'] = null): PlanSpec => ({
  kind: 'plan',
  name,
  version: '1',
  input: null,
  concurrency: 2,
  grants: [],
  steps,
  output,
});

const sentSome = ({ sent }: StepScope): boolean => Array.isArray(sent) && sent.length > 0;
const whole = planOf('whole', [
  step('sent', { each: () => ['a', BAD, 'c', 'd'] }),
  step('lost', { input: () => BAD, onFailure: 'continue' }),
  step('some', { needs: ['sent'], when: sentSome, input: ({ sent }) => String(sent) }),
  step('none', { needs: ['sent'], when: (scope) => !sentSome(scope) }),
  step('within', { needs: ['lost'], input: ({ lost }) => lost }),
  step('first', { anyOf: ['none', 'some'], input: ({ some }) => some }),
]);
const inner = planOf(
  'inner',
  [step('one', { input: ({ input }) => input }), step('two', { needs: ['one'], input: ({ one }) => one })],
  ({ two }) => two,
);

/** The charts of plans: a list of which one call fails, a failure that is forgiven, a step that is skipped, a plan within, the first of two. */
export const plans: Reference = {
  name: 'a plan: each, when, onFailure, anyOf, a plan within, two at once',
  create: (world) => {
    const send = eachMachine({ id: 'sent', call: 'send', concurrency: 3, onFailure: 'skip' });
    const within = planMachine(inner).provide({ actors: { one: call(world, 'one'), two: call(world, 'two') } });
    return planMachine(whole).provide({
      actors: {
        sent: send.provide({ actors: { send: call(world, 'send') } }),
        lost: call(world, 'lost'),
        some: call(world, 'some'),
        none: call(world, 'none'),
        within,
        first: call(world, 'first'),
      },
    });
  },
  rules: [answers],
  end: {
    type: 'run.completed',
    output: {
      status: 'succeeded',
      output: { sent: ['<a>', '<c>', '<d>'], some: '<<a>,<c>,<d>>', within: '<<undefined>>', first: '<<<a>,<c>,<d>>>' },
    },
  },
  pairs: true,
};
