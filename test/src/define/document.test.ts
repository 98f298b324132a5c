import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { toData } from '../../../src/codec.ts';
import { module } from '../../../src/define/module.ts';
import { plan, type ParseOptions } from '../../../src/define/plan.ts';
import { tool } from '../../../src/define/tool.ts';
import { PlanError } from '../../../src/protocol/errors.ts';
import type { PlanSpec, StepSpec } from '../../../src/protocol/spec.ts';

const person = z.object({ name: z.string(), email: z.string() });
const list = tool({
  name: 'list',
  description: 'list',
  inputSchema: z.object({ limit: z.number().optional() }),
  outputSchema: z.array(person),
  execute: () => [],
});
const note = tool({
  name: 'note',
  description: 'note',
  inputSchema: z.unknown(),
  outputSchema: z.object({ id: z.string(), n: z.number() }),
  execute: () => ({ id: '', n: 1 }),
});
const anything = tool({ name: 'anything', description: '', inputSchema: z.looseObject({}), execute: () => null });
const send = tool({
  name: 'send',
  description: 'send',
  inputSchema: z.object({ to: z.email(), body: z.string(), copies: z.number().optional() }),
  outputSchema: z.object({ id: z.string() }),
  execute: () => ({ id: '' }),
});
const contacts = module({ name: 'contacts', tools: [list] });
const mail = module({ name: 'mail', tools: [send], allow: ['contacts.list'] });
const tools = [contacts, mail, note, anything];

const parse = (text: string, options: Partial<ParseOptions> = {}): PlanSpec =>
  plan.parse(text, { tools, file: 'plan.yaml', ...options }).spec;
/** One step, which calls note. */
const input = (written: string): StepSpec['input'] =>
  parse(`steps:\n  a: { tool: note }\n  b: { tool: note }\n  x:\n    tool: note\n    input: ${written}`).steps[2]
    ?.input;
const step = (rules: string, options?: Partial<ParseOptions>): StepSpec =>
  parse(`steps:\n  a: { tool: note }\n  b: { tool: note }\n  x: { tool: anything, ${rules} }`, options)
    .steps[2] as StepSpec;

const refusal = (text: string, options: Partial<ParseOptions> = {}): PlanError => {
  try {
    parse(text, options);
  } catch (error) {
    if (error instanceof PlanError) return error;
    throw error;
  }
  throw new Error('was not refused');
};

const HELLO = `name: hello
version: '3'
input: { subject: string, limit: number? }
concurrency: 2
steps:
  contacts:
    tool: contacts.list
    input: { limit: '\${input.limit}' }
  mails:
    tool: mail.send
    optional: [contacts]
    when: { step: contacts, field: length, above: 0 }
    each: \${contacts}
    concurrency: 3
    onFailure: skip
    retry: { attempts: 5, delay: 1s }
    timeout: 2m
    input:
      to: \${item.email}
      body: 'Dear \${item.name}: \${input.subject}'
output:
  ids: \${mails}
`;

describe('a plan as a document', () => {
  it('is its steps, with their rules and what they refer to', () => {
    expect(parse(HELLO)).toEqual({
      kind: 'plan',
      name: 'hello',
      version: '3',
      input: { subject: { type: 'string', required: true }, limit: { type: 'number', required: false } },
      concurrency: 2,
      grants: ['contacts.list', 'mail.send', 'note', 'anything'],
      steps: [
        {
          name: 'contacts',
          call: { kind: 'tool', tool: 'contacts.list' },
          needs: [],
          input: { fields: { limit: { from: 'input', path: ['limit'] } } },
        },
        {
          name: 'mails',
          call: { kind: 'tool', tool: 'mail.send' },
          needs: [],
          optional: ['contacts'],
          when: { of: { from: 'contacts', path: ['length'] }, test: 'above', operand: { value: 0 } },
          each: { from: 'contacts', path: [] },
          concurrency: 3,
          onFailure: 'skip',
          retry: { attempts: 5, delayMs: 1_000 },
          timeoutMs: 120_000,
          input: {
            fields: {
              to: { from: 'item', path: ['email'] },
              body: {
                text: [
                  { value: 'Dear ' },
                  { from: 'item', path: ['name'] },
                  { value: ': ' },
                  { from: 'input', path: ['subject'] },
                ],
              },
            },
          },
        },
      ],
      output: { fields: { ids: { from: 'mails', path: [] } } },
    });
  });

  it('is data: a journal keeps it as it is', () => {
    const spec = parse(HELLO);
    expect(toData(spec)).toEqual(spec);
    expect(plan.parse(HELLO, { tools, format: 'yaml' }).parsed).toBe(true);
  });

  it('is called as its text says, or as the caller', () => {
    expect(parse('steps: { a: { tool: note } }', { name: 'mine', version: '7' })).toMatchObject({
      name: 'mine',
      version: '7',
    });
    expect(parse(HELLO, { name: 'mine', version: '7' })).toMatchObject({ name: 'hello', version: '3' });
  });

  it('is told from words by the name of its file, or by what the caller says', () => {
    const text = '{ "steps": { "a": { "tool": "note" } } }';
    for (const options of [
      { file: 'a.YML' },
      { file: 'a.yaml' },
      { file: 'a.json' },
      { format: 'yaml' },
      { file: 'a.txt', format: 'json' },
    ] as const)
      expect(plan.parse(text, { tools, ...options }).spec.steps).toHaveLength(1);
    expect(() => plan.parse(text, { tools })).toThrow('A step begins with its letter');
  });

  it('may be JSON', () => {
    const json = `{
\t"name": "hello",
\t"steps": {
\t\t"a": { "tool": "note", "input": [1, null, true, "x", { "y": -2.5e3 }] }
\t}
}`;
    expect(parse(json, { file: 'plan.json' }).steps[0]?.input).toEqual({ value: [1, null, true, 'x', { y: -2500 }] });
    expect(parse(`\uFEFF${json}`, { file: 'plan.json' }).steps).toHaveLength(1);
  });

  it('may say things once: an alias is what its anchor was', () => {
    const text = 'steps:\n  a: { tool: note, input: &x { to: ana } }\n  b: { tool: note, input: [*x, *x] }';
    expect(parse(text).steps[1]?.input).toEqual({ value: [{ to: 'ana' }, { to: 'ana' }] });
  });

  it('checks its input at the door as it declares it', () => {
    const { inputSchema } = plan.parse(HELLO, { tools, format: 'yaml' });
    expect(inputSchema?.safeParse({ subject: 'Hi' }).success).toBe(true);
    for (const wrong of [{}, { subject: 7 }, { subject: 'Hi', limit: 'x' }, { subject: 'Hi', more: 1 }, undefined])
      expect(inputSchema?.safeParse(wrong).success).toBe(false);
  });
});

describe('a reference', () => {
  it.each([
    ['${a}', { from: 'a', path: [] }],
    ['"${ a.id }"', { from: 'a', path: ['id'] }],
    ['${a.id[0]["x y"].z-1}', { from: 'a', path: ['id', 0, 'x y', 'z-1'] }],
    [`'\${a.id["}\\""]}'`, { from: 'a', path: ['id', '}"'] }],
    ['x ${a.id}', { text: [{ value: 'x ' }, { from: 'a', path: ['id'] }] }],
    [
      '${a.id}${a.n}',
      {
        text: [
          { from: 'a', path: ['id'] },
          { from: 'a', path: ['n'] },
        ],
      },
    ],
    ['$${a} costs $5', { value: '${a} costs $5' }],
    ['$$${a.id}', { value: '$${a.id}' }],
    [
      '[1, "${a}", { b: "${input}" }]',
      { list: [{ value: 1 }, { from: 'a', path: [] }, { fields: { b: { from: 'input', path: [] } } }] },
    ],
    [
      '|-\n      To ${a.id}\n      it goes',
      { text: [{ value: 'To ' }, { from: 'a', path: ['id'] }, { value: '\nit goes' }] },
    ],
    ['', { value: null }],
    [
      '${a.id ?? b}',
      {
        first: [
          { from: 'a', path: ['id'] },
          { from: 'b', path: [] },
        ],
      },
    ],
    [
      `'to \${input.x ?? "n?? }" ?? 7}'`,
      { text: [{ value: 'to ' }, { first: [{ from: 'input', path: ['x'] }, { value: 'n?? }' }, { value: 7 }] }] },
    ],
  ])('%s', (written, template) => {
    expect(input(written)).toEqual(template);
  });

  it('makes its step need what it refers to, unless it waits for it otherwise', () => {
    expect(step('input: { p: "${a}", q: "${a.id} ${b}" }').needs).toEqual(['a', 'b']);
    expect(step('needs: [b], when: { step: a, exists: true }')).toMatchObject({ needs: ['b', 'a'] });
    expect(step('optional: [a], anyOf: [b], each: ["${a}", "${b}"]')).toMatchObject({
      needs: [],
      optional: ['a'],
      anyOf: ['b'],
    });
    expect(step('needs: a')).toMatchObject({ needs: ['a'] });
  });
});

describe('a condition', () => {
  it.each([
    ['{ step: a, field: n, atLeast: 2 }', { of: { from: 'a', path: ['n'] }, test: 'atLeast', operand: { value: 2 } }],
    ['{ step: a, equals: "${b}" }', { of: { from: 'a', path: [] }, test: 'equals', operand: { from: 'b', path: [] } }],
    [
      '{ input: "urgent[0]", in: [1] }',
      { of: { from: 'input', path: ['urgent', 0] }, test: 'in', operand: { value: [1] } },
    ],
    [
      '{ all: [{ step: a, exists: true }, { any: [{ step: b, not: 1 }] }] }',
      {
        all: [
          { of: { from: 'a', path: [] }, test: 'exists', operand: { value: true } },
          { any: [{ of: { from: 'b', path: [] }, test: 'not', operand: { value: 1 } }] },
        ],
      },
    ],
  ])('%s', (written, condition) => {
    expect(step(`when: ${written}`).when).toEqual(condition);
  });
});

describe('a plan within a plan', () => {
  const inner = plan.parse(
    'input: { to: string }\nsteps: { one: { tool: mail.send, input: { to: "${input.to}", body: x } } }',
    {
      name: 'inner',
      tools: [mail],
      format: 'yaml',
    },
  );

  it('is written in place, with names of its own', () => {
    const [outer] = parse(
      'steps:\n  a:\n    plan: { input: { x: any }, steps: { a: { tool: note, input: "${input.x}" } }, output: "${a.id}" }\n    input: { x: 1 }',
    ).steps;
    expect(outer?.call).toMatchObject({
      kind: 'plan',
      plan: { name: 'a', output: { from: 'a', path: ['id'] }, grants: parse(HELLO).grants },
    });
  });

  it('or named: one that is data is taken in, any other stays a name', () => {
    const typed = plan({ name: 'typed' }).step('a', () => 1);
    const text = (name: string): string => `steps: { a: { plan: ${name}, input: { to: ana } } }`;
    expect(parse(text('inner'), { plans: [inner] }).steps[0]?.call).toEqual({ kind: 'plan', plan: inner.spec });
    expect(parse(text('typed'), { plans: [typed] }).steps[0]?.call).toEqual({ kind: 'plan', plan: 'typed' });
  });

  it('brings its tools, where nobody says what may be called', () => {
    const outer = plan.parse('steps: { a: { plan: inner, input: { to: ana } } }', {
      tools: [],
      plans: [inner],
      format: 'yaml',
    });
    expect([...outer.tools.keys()]).toContain('mail.send');
    expect(outer.spec.grants).toContain('mail.send');
  });

  it.each<[string, string, string, Partial<ParseOptions>]>([
    [
      'one that nobody knows',
      'steps: { a: { plan: iner } }',
      '1:21: There is no plan iner; closest: inner',
      { plans: [inner] },
    ],
    [
      'more than it may reach',
      'steps: { a: { plan: inner, input: { to: x } } }',
      '1:21: Plan plan, given module contacts, and so its plan inner may not call mail.send',
      { plans: [inner], module: contacts },
    ],
    [
      'an input it does not take',
      'steps: { a: { plan: inner, input: { too: x } } }',
      '1:37: plan inner takes no too; closest: to',
      { plans: [inner] },
    ],
    [
      'timeout',
      'steps: { a: { plan: inner, input: { to: x }, timeout: 1s } }',
      '1:46: A plan has no timeout',
      { plans: [inner] },
    ],
    [
      'a step of the plan around it',
      'steps: { a: { tool: note }, b: { plan: { steps: { c: { tool: note, input: "${a}" } } } } }',
      '1:76: There is no step a',
      {},
    ],
  ])('is refused %s', (_, text, message, options) => {
    expect(refusal(text, options).message).toContain(`plan.yaml:${message}`);
  });
});

describe('is refused at load', () => {
  const x = (rules: string): string => `steps:\n  a: { tool: note }\n  x: { ${rules} }`;
  it.each<[string, string, string]>([
    ['nothing', '', '1:1: The plan is empty'],
    ['a text', 'hello', '1:1: A plan is a map, and this is "hello"'],
    ['a plan without steps', 'name: x', '1:1: A plan has steps'],
    ['a plan of no steps', 'steps: {}', '1:8: The plan has no step'],
    ['steps that are a list', 'steps:\n  - tool: note', '2:3: steps is a map, and this is a list'],
    ['a field nobody knows', 'stepps: {}', '1:1: A plan has no field stepps; closest: steps'],
    ['a field of a step nobody knows', x('tool: note, neds: [a]'), '3:20: Step x has no field neds; closest: needs'],
    ['a name that is none', 'name: a b\nsteps: {}', '1:7: A name is 1 to 128 characters'],
    ['a step whose name is none', 'steps: { "a b": { tool: note } }', '1:10: a b is no name for a step'],
    ['a reserved name', 'steps: { item: { tool: note } }', '1:10: No step can be named item'],
    ['the same name twice', 'steps:\n  a: { tool: note }\n  a: { tool: note }', '3:3: There is a a in line 2 already'],
    [
      'a name that would change a prototype',
      'steps: { __proto__: { tool: note } }',
      '1:10: A field cannot be named __proto__',
    ],
    ['a step that calls nothing', x('needs: [a]'), '3:6: Step x has either a tool or a plan'],
    ['a step that calls two things', x('tool: note, plan: y'), '3:3: Step x has either a tool or a plan'],
    ['an unknown tool', x('tool: nite'), '3:14: There is no tool nite; closest: note'],
    ['a tool that is no text', x('tool: 7'), '3:14: tool is a text, and this is 7'],
    ['an unknown need', x('tool: note, needs: [b]'), '3:28: Step x requires b, and there is no such step'],
    ['a need that is no text', x('tool: note, needs: [[a]]'), '3:28: needs is a text, and this is a list'],
    ['a reference to no step', x('tool: note, input: { y: "to ${ab.c}" }'), '3:36: There is no step ab; closest: a'],
    ['a reference that is none', x('tool: note, input: "${a b}"'), '3:28: ${a b} is no reference'],
    ['a choice of nothing', x('tool: note, input: "${a ?? }"'), '3:28: ${a ?? } is no reference'],
    ['a choice of no step', x('tool: note, input: "${a ?? c}"'), '3:28: There is no step c'],
    ['a reference that is not closed', x('tool: note, input: "${a"'), '3:28: ${a is no reference'],
    [
      'a reference that is not in quotes',
      x('tool: note, input: { y: ${a} }'),
      '3:33: A reference within { } or [ ] stands in quotes',
    ],
    [
      'item without each',
      x('tool: note, input: "${item}"'),
      '3:28: item is there in the input of a step that has each',
    ],
    ['item within each', x('tool: note, each: ["${item}"]'), '3:28: item is there in the input'],
    [
      'a field of the input that is not declared',
      `input: { who: string }\n${x('tool: note, input: "${input.whom}"')}`,
      '4:28: The input of this plan has no whom; closest: who',
    ],
    [
      'a type nobody knows',
      'input: { a: int }\nsteps: {}',
      '1:13: The type of a is string, number, boolean, list, map or any',
    ],
    [
      'a cycle',
      'steps:\n  a: { tool: note, needs: [b] }\n  b: { tool: note, input: "${a}" }',
      '2:28: These steps wait for each other: a → b → a',
    ],
    [
      'a step that waits for itself',
      'steps:\n  a: { tool: note, anyOf: [a] }',
      '2:28: These steps wait for each other: a → a',
    ],
    ['an output of no step', 'steps: { a: { tool: note } }\noutput: ${b}', '2:9: There is no step b'],
    ['a condition without a test', x('tool: note, when: { step: a }'), '3:26: A condition has one test'],
    ['a condition with two', x('tool: note, when: { step: a, above: 1, below: 3 }'), '3:26: A condition has one test'],
    [
      'a condition about nothing',
      x('tool: note, when: { above: 1 }'),
      '3:26: A condition is about the output of a step',
    ],
    [
      'a condition about two things',
      x('tool: note, when: { step: a, input: b, above: 1 }'),
      '3:26: A condition is about',
    ],
    ['all beside something else', x('tool: note, when: { all: [], step: a }'), '3:28: all stands alone'],
    ['a path that is none', x('tool: note, when: { step: a, field: "b..c", above: 1 }'), '3:44: b..c is no path'],
    ['exists what is neither', x('tool: note, when: { step: a, exists: yes }'), '3:45: exists is true or false'],
    ['in no list', x('tool: note, when: { step: a, in: 3 }'), '3:41: in is a list'],
    ['above a list', x('tool: note, when: { step: a, above: [] }'), '3:44: above is a number'],
    ['each of no list', x('tool: note, each: { a: 1 }'), '3:26: each is a list'],
    [
      'each of what a step gives that gives none',
      x('tool: note, each: "${a}"'),
      '3:26: each is a list, and a gives object',
    ],
    ['concurrency without each', x('tool: note, concurrency: 2'), '3:20: A step has a concurrency where it has each'],
    [
      'no number of calls',
      x('tool: note, each: [1], concurrency: 0'),
      '3:44: concurrency is a whole number from 1, and this is 0',
    ],
    [
      'an onFailure nobody knows',
      x('tool: note, onFailure: contineu'),
      '3:31: onFailure is fail, skip or continue, and this is "contineu"; closest: continue',
    ],
    ['a retry that is a number', x('tool: note, retry: 3'), '3:27: retry is a map, and this is 3'],
    [
      'a field of retry nobody knows',
      x('tool: note, retry: { atempts: 3 }'),
      '3:29: retry has no field atempts; closest: attempts',
    ],
    ['a timeout that is none', x('tool: note, timeout: 5x'), '3:29: The timeout "5x" is not a duration'],
    ['a version that is no text', 'version: 1\nsteps: { a: { tool: note } }', '1:10: version is a text, and this is 1'],
    [
      'a field the tool does not take',
      x('tool: mail.send, input: { to: a@b.co, body: x, bdoy: y }'),
      '3:55: mail.send takes no bdoy; closest: body',
    ],
    [
      'a field nothing fills',
      x('tool: mail.send, input: { to: a@b.co }'),
      '3:32: Nothing fills body (string) of mail.send in step x',
    ],
    [
      'no fields where some are needed',
      x('tool: mail.send'),
      '3:3: Nothing fills to (string), body (string) of mail.send',
    ],
    [
      'a field the tool cannot take',
      x('tool: mail.send, input: { to: nobody, body: x }'),
      '3:38: This is no to for mail.send: Invalid email',
    ],
    [
      'a reference of another type',
      x('tool: mail.send, input: { to: "${a.n}", body: x }'),
      '3:38: to is number here, and mail.send takes string',
    ],
    ['a field that an output does not have', x('tool: note, input: "${a.idd}"'), '3:28: a gives no idd; closest: id'],
    ['an item of what is no list', x('tool: note, input: "${a[0]}"'), '3:28: a gives object, which has no item 0'],
    [
      'a field of a list',
      'steps:\n  a: { tool: contacts.list }\n  x: { tool: note, input: "${a.email}" }',
      '3:28: a gives a list: write ${a[0].email}',
    ],
    [
      'a field that an item does not have',
      'steps:\n  a: { tool: contacts.list }\n  x: { tool: note, each: "${a}", input: "${item.mail}" }',
      '3:42: item gives no mail; closest: email',
    ],
    ['an alias of nothing', 'steps: *a', '1:8: There is no &a before this *a'],
    ['an alias of what it is in', 'steps: &a { b: *a }', '1:16: There is no &a before this *a'],
    ['a tag', 'steps: !!js/function x', '1:8: Unresolved tag'],
    ['a second document', 'steps: { a: { tool: note } }\n---\nsteps: {}', '2:1: A file holds one plan'],
    ['a key that is no text', '? [a]\n: 1', '1:3: With stringKeys, all keys must be strings'],
    ['a tab as indentation', 'steps:\n\ta: 1', '2:1: Tabs are not allowed as indentation'],
    ['half a surrogate pair', 'name: "\\ud800"', '1:7: This text holds half a surrogate pair'],
    [
      'a number that is not exact',
      x('tool: note, input: 12345678901234567890'),
      '3:27: This number is too large to be exact',
    ],
    ['too long a text', `#${'x'.repeat(1_000_000)}`, '1:1: The plan has 1000001 bytes'],
    [
      'too many steps',
      `steps:\n${Array.from({ length: 10_001 }, (_, index) => `  s${index}: { tool: note }\n`).join('')}`,
      '10002:3: A plan has at most 10000 steps',
    ],
    [
      'too deep a value',
      `steps:\n  a: { tool: note, input: ${'['.repeat(65)}${']'.repeat(65)} }`,
      '2:89: This is nested deeper than 64 levels',
    ],
  ])('%s', (_, text, message) => {
    const error = refusal(text);
    expect(error.message).toContain(`plan.yaml:${message}`);
    const [line, column] = message.split(':').map(Number);
    expect(error.context).toMatchObject({ file: 'plan.yaml', line, column });
  });

  it('what is not granted', () => {
    const error = refusal('steps:\n  a: { tool: note }', { module: mail });
    expect(error.message).toContain('plan.yaml:2:14: This plan may not call note; allowed: mail.send, contacts.list.');
    expect(error.context).toMatchObject({ tool: 'note' });
  });

  it.each([
    ['{"steps": {"a": {"tool": "note",}}}', '1:33: This is YAML, but no JSON: Expected double-quoted property name'],
    ['{"steps": {"a": {"tool": note}}}', '1:26: In JSON a text stands in double quotes'],
    ['{\'steps\': {"a": {"tool": \'note\'}}}', '1:26: In JSON a text stands in double quotes'],
    ['steps: {"a": {"tool": "note"}}', '1:1: In JSON a map stands in { } and a list in [ ]'],
    ['{"steps": {"a": {"tool": "note"}}} # hello', '1:36: This is YAML, but no JSON'],
    ['{"steps": {"a": {"tool": "note"}, "a": {"tool": "note"}}}', '1:35: There is a a in line 1 already'],
    ['{"steps": ', '1:11: '],
  ])('what is no JSON where it should be: %s', (text, message) => {
    expect(refusal(text, { file: 'plan.json' }).message).toContain(`plan.json:${message}`);
  });

  it('a text made to grow: aliases of aliases', () => {
    const lines = Array.from(
      { length: 30 },
      (_, index) =>
        `a${index}: &a${index} [${Array(10)
          .fill(index === 0 ? 'x' : `*a${index - 1}`)
          .join(',')}]`,
    );
    expect(refusal(lines.join('\n')).message).toContain('more than 250000 values, with what its aliases repeat');
  });
});

describe('on any text', () => {
  const pieces = [
    ...'steps|a|b|x|tool|note|plan|needs|input|when|step|each|output|retry|"${a}"|${b.c[0]}|$${|${|&q|*q|!t|~|1|1e9|-'.split(
      '|',
    ),
    ...': |\n  |\n    |\n|{ | }|[ |]|, |"|\'|#|---\n|\t|\r\n|<<: |? |__proto__: |constructor: '.split('|'),
  ];
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((chosen) => chosen.join('')),
    fc.jsonValue().map((value) => stringify({ steps: value })),
  );

  it('gives a plan that is data, or a PlanError that says where', () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom('plan.yaml', 'plan.json'), (text, file) => {
        try {
          const spec = parse(text, { file });
          expect(toData(spec)).toEqual(spec);
        } catch (error) {
          if (!(error instanceof PlanError)) throw error;
          const { line, column } = error.context;
          expect(error.message.startsWith(`${file}:${String(line)}:${String(column)}: `)).toBe(true);
          expect(Math.min(Number(line), Number(column))).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps whatever a value holds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const written = { steps: { a: { tool: 'note', input: { value } } } };
        const text = JSON.stringify(written).replaceAll('${', '$$${');
        fc.pre(!text.includes('__proto__'));
        expect(parse(text).steps[0]?.input).toEqual({ value: JSON.parse(JSON.stringify({ value })) });
        expect(parse(text, { file: 'plan.json' })).toEqual(parse(text));
      }),
    );
  });

  it('is read in little time, even where it is made to be slow', { timeout: 30_000 }, () => {
    const many = (line: (index: number) => string): string =>
      Array.from({ length: 5_000 }, (_, index) => line(index)).join('\n');
    expect(
      parse(`steps:\n${many((index) => `  s${index}: { tool: note, needs: [${index > 0 ? `s${index - 1}` : ''}] }`)}`)
        .steps,
    ).toHaveLength(5_000);
    for (const text of [
      '['.repeat(100_000),
      `steps: { a: { tool: note, input: "${'${'.repeat(200_000)}" } }`,
      `steps: { a: { tool: note, input: '${'${a["'.repeat(150_000)}' } }`,
      many((index) => `a${index}: &a *a`),
      many((index) => `${'a'.repeat(90)}${index}: 1`),
    ])
      refusal(text);
  });
});
