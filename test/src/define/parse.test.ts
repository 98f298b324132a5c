import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { module } from '../../../src/define/module.ts';
import { parseSteps } from '../../../src/define/parse.ts';
import { tool } from '../../../src/define/tool.ts';
import { toolbox } from '../../../src/define/toolbox.ts';
import { PlanError } from '../../../src/protocol/errors.ts';
import type { AnyTool } from '../../../src/protocol/spec.ts';

const make = (name: string, phrases: string[], inputSchema: z.ZodType, outputSchema?: z.ZodType): AnyTool => {
  const described = { name, description: name, phrases, inputSchema, execute: () => null };
  return outputSchema === undefined ? tool(described) : tool({ ...described, outputSchema });
};

const person = z.object({ name: z.string(), email: z.string() });
const contacts = module({
  name: 'contacts',
  tools: [make('list', ['get all contacts'], z.object({}), z.array(person))],
});
const text = module({
  name: 'text',
  tools: [
    make('compose', ['compose email message'], z.object({ body: z.string() }), z.object({ body: z.string() })),
    make('pair', [], z.object({ left: z.string(), right: z.string() })),
    make('shout', [], z.object({ body: z.string() }).meta({ id: 'Loud' }), z.object({ body: z.string() })),
    make('count', [], z.object({}), z.object({ body: z.number() })),
    make('address', [], z.object({ email: z.email(), note: z.string().optional() })),
    make('raw', [], z.string()),
  ],
});
const mail = module({
  name: 'mail',
  tools: [
    make(
      'send_email',
      ['Send emails', 'send an email'],
      z.object({ name: z.string(), email: z.string(), body: z.string(), subject: z.string().optional() }),
      z.object({ id: z.string() }),
    ),
    make('archive', ['tidy up'], z.object({ id: z.string() })),
  ],
});
const spam = module({ name: 'spam', tools: [make('clean', ['tidy up'], z.object({}))] });
const tools = toolbox([contacts, text, mail, spam]);
const grants = [...tools.keys()];
const parse = (plan: string, file: string | undefined = 'plan.txt', allowed: readonly string[] = grants) =>
  parseSteps(plan, { file, tools, grants: allowed });

const refusal = (plan: string, allowed?: readonly string[]): PlanError => {
  try {
    parse(plan, 'plan.txt', allowed);
  } catch (error) {
    if (error instanceof PlanError) return error;
    throw error;
  }
  throw new Error('was not refused');
};

const hello = `a. Get all contacts
b. Compose Email message: "Hello World!"
c. Send emails (requires steps a and b)`;

describe('a plan in words', () => {
  it('is the steps of the example, with one call per contact', () => {
    expect(parse(hello)).toEqual([
      { name: 'a', call: { kind: 'tool', tool: 'contacts.list' }, needs: [], input: { fields: {} } },
      {
        name: 'b',
        call: { kind: 'tool', tool: 'text.compose' },
        needs: [],
        input: { fields: { body: { value: 'Hello World!' } } },
      },
      {
        name: 'c',
        call: { kind: 'tool', tool: 'mail.send_email' },
        needs: ['a', 'b'],
        each: { from: 'a', path: [] },
        input: {
          fields: {
            name: { from: 'item', path: ['name'] },
            email: { from: 'item', path: ['email'] },
            body: { from: 'b', path: ['body'] },
          },
        },
      },
    ]);
  });

  it.each([
    ['(after a, b)'],
    ['(REQUIRES A, and b)'],
    ['( requires   step a and  b )'],
    ['(requires steps b , a)'],
    ['(requires a and b and a)'],
  ])('reads %s', (needs) => {
    const [, , send] = parse(hello.replace('(requires steps a and b)', needs));
    expect(send?.needs.toSorted()).toEqual(['a', 'b']);
  });

  it.each([
    ['# a comment\r\n\r\n  A.  get   ALL contacts :\r'],
    ['\uFEFFa. list'],
    ['a. contacts.list'],
    ['a.get\tall contacts()'.slice(0, -2)],
  ])('takes %j for the same', (plan) => {
    expect(parse(plan)).toMatchObject([{ name: 'a', call: { tool: 'contacts.list' } }]);
  });

  it('reads a name with underscores as words, steps in any order, and curly or escaped quotes', () => {
    const steps = parse('late. Send email (after a, b)\na. list\nb. compose “say \\“hi\\” \\\\ (requires z)”');
    expect(steps.map(({ name, call }) => [name, 'tool' in call && call.tool])).toEqual([
      ['late', 'mail.send_email'],
      ['a', 'contacts.list'],
      ['b', 'text.compose'],
    ]);
    expect(steps[2]?.input).toMatchObject({ fields: { body: { value: 'say \\“hi” \\ (requires z)' } } });
  });

  it('fans out again over what a fanned-out step gave', () => {
    const steps = parse(`${hello}\nd. archive (after c)`);
    expect(steps[3]).toMatchObject({
      each: { from: 'c', path: [] },
      input: { fields: { id: { from: 'item', path: ['id'] } } },
    });
  });

  it('takes a need that fills nothing as order only', () => {
    const [, compose] = parse('a. list\nb. compose "x" (after a)');
    expect([compose?.needs, compose?.each]).toEqual([['a'], undefined]);
  });

  it('reads schemas behind a reference', () => {
    expect(parse('a. shout "x"')[0]?.input).toMatchObject({ fields: { body: { value: 'x' } } });
  });
});

describe('is refused at load', () => {
  it.each<[string, string, string]>([
    ['an unknown phrase', 'a. Get al contacts', '1:4: No tool goes by "get al contacts"; closest: "get all contacts"'],
    ['an ambiguous phrase', 'a. Tidy up', '1:4: "tidy up" could be mail.archive or spam.clean'],
    ['no step', '# nothing\n', '1:1: The plan has no step'],
    ['a number', 'a. list\n 1. list', '2:2: A step begins with its letter'],
    ['the first line after a byte order mark', '\uFEFFa. lost', '1:4: No tool goes by'],
    ['no letter', 'Get all contacts', '1:1: A step begins with its letter'],
    ['no phrase', 'a. (after b)', '1:4: Step a says nothing'],
    ['a reserved name', 'input. list', '1:1: No step can be named input'],
    ['a letter twice', 'a. list\nA. list', '2:1: There is a step a in line 1'],
    ['an unknown step', 'a. list (requires b)', '1:19: Step a requires b, and there is no such step'],
    ['a step that waits for itself', 'a. list (after a)', '1:16: These steps wait for each other: a → a'],
    [
      'a cycle',
      'x. list (after a)\na. list (after b)\nb. list (after a)',
      '2:16: These steps wait for each other: a → b → a',
    ],
    ['an open quote', 'a. compose "x', '1:12: The quoted text of step a is not closed'],
    ['an open parenthesis', 'a. list (after b', '1:9: The parenthesis of step a is not closed'],
    ['a parenthesis of another kind', 'a. list (see below)', '1:10: A parenthesis says which steps come before'],
    ['an empty parenthesis', 'a. list ()', '1:10: A parenthesis says which steps come before'],
    ['needs without a letter', 'a. list (requires steps)', '1:10: A step\'s letter is missing after "requires"'],
    ['needs that end in and', 'a. list (after b and)', '1:18: A step\'s letter is missing after "and"'],
    ['two commas', 'a. list (after b,, c)', '1:18: "," is not expected here'],
    ['needs side by side', 'a. list (after b c)', '1:18: "c" is not expected here'],
    ['more after the end', 'a. list (after b) now', '1:19: Step a goes on after its end'],
    ['two quoted texts', 'a. compose "x" "y"', '1:16: Step a goes on after its end'],
    ['a quoted text with no place', 'a. list "x"', '1:9: The quoted text of step a has no place to go'],
    ['one left over', 'a. compose "x"\nb. compose "y" (after a)', '2:12: The quoted text of step b has no place to go'],
    ['one with two places', 'a. pair "x"', '1:9: The quoted text of step a could fill left or right of text.pair'],
    ['one the field cannot hold', 'a. address "x"', '1:12: The quoted text of step a is no email for text.address'],
    ['a field nothing fills', 'a. pair', '1:4: Nothing fills left (string), right (string) of text.pair in step a'],
    [
      'a field filled twice',
      'a. compose "x"\nb. compose "y"\nc. shout (after a, b)',
      '3:20: Steps a and b both fill the field body',
    ],
    [
      'a field of another type',
      'a. count\nb. shout (after a)',
      '2:17: Step a gives body as number, but text.shout takes string',
    ],
    [
      'two lists to fan out',
      'a. list\nb. list\nc. address (after a and b)',
      '3:25: Steps a and b both give text.address a list',
    ],
    ['an input that is no object', 'a. raw "x"', '1:4: text.raw takes string'],
    ['half a surrogate pair', 'a. compose "\uD800"', '1:1: Step a holds half a surrogate pair'],
    ['too long a text', `#${'x'.repeat(1_000_000)}`, '1:1: The plan has 1000001 bytes'],
    [
      'too many steps',
      Array.from({ length: 10_001 }, (_, index) => `s${index}. list`).join('\n'),
      '10001:1: A plan has at most 10000 steps: split it, or use each.',
    ],
  ])('%s', (_, plan, message) => {
    const error = refusal(plan);
    expect(error.message).toContain(`plan.txt:${message}`);
    const [line, column] = message.split(':').map(Number);
    expect(error.context).toMatchObject({ file: 'plan.txt', line, column });
  });

  it('a tool that is not granted, by its id', () => {
    const error = refusal(hello, ['contacts.list', 'text.compose']);
    expect(error.message).toContain('plan.txt:3:4: This plan may not call mail.send_email');
    expect(error.context).toMatchObject({ tool: 'mail.send_email', allowed: ['contacts.list', 'text.compose'] });
  });

  it('says plan where the text came from no file', () => {
    expect(() => parseSteps('a. nothing', { file: undefined, tools, grants })).toThrow(/^plan:1:4: /);
  });

  it('shows a short way round a long cycle', () => {
    const steps = Array.from({ length: 200 }, (_, index) => `s${index}. list (after s${(index + 1) % 200})`);
    expect(refusal(steps.join('\n')).message).toMatch(/: s0 → s1 → .{30,80} → … → s0\.$/);
  });
});

describe('on any text', () => {
  const names = ['a', 'b', 'c', 'd'];
  const pieces = [
    ...'a. |b. |1. |list|compose|send emails|shout|"Hi"|"|(|)|(after a)|(requires steps a and b)'.split('|'),
    ...'\n|\r\n| |,|and|#|.|:|\\|__proto__. |input. |constructor'.split('|'),
  ];
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((chosen) => chosen.join('')),
  );

  it('gives steps that are plain data, or a PlanError that says where; the same each time', () => {
    fc.assert(
      fc.property(anyText, (plan) => {
        try {
          const steps = parse(plan);
          expect(JSON.parse(JSON.stringify(steps))).toEqual(steps);
          expect(parse(plan)).toEqual(steps);
        } catch (error) {
          if (!(error instanceof PlanError)) throw error;
          const { line, column } = error.context;
          expect(error.message.startsWith(`plan.txt:${String(line)}:${String(column)}: `)).toBe(true);
          expect(Number(line)).toBeGreaterThan(0);
          expect(Number(column)).toBeGreaterThan(0);
          expect(refusal(plan).message).toBe(error.message);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same steps however they are spelled', () => {
    const spelling = fc.record({
      upper: fc.boolean(),
      verb: fc.constantFrom('requires steps ', 'requires ', 'after ', 'AFTER step '),
      joint: fc.constantFrom(', ', ' and ', ', and ', ' , '),
      space: fc.constantFrom(' ', '  ', '\t'),
      end: fc.constantFrom('\n', '\r\n', '\n\n# why not\n'),
      quoted: fc.string(),
    });
    // a step needs only steps before it, as listed here; the lines come in any order
    const graph = fc.tuple(...names.map((_, index) => fc.subarray(names.slice(0, index))));
    fc.assert(
      fc.property(
        graph,
        spelling,
        spelling,
        fc.shuffledSubarray(names, { minLength: 4 }),
        (needs, one, other, order) => {
          const write = ({ upper, verb, joint, space, end }: typeof one): string =>
            order
              .map((name) => {
                const before = needs[names.indexOf(name)] ?? [];
                const line = `${name}.${space}get${space}all contacts${space}${before.length > 0 ? `(${verb}${before.join(joint)})` : ''}`;
                return upper ? line.toUpperCase() : line;
              })
              .join(end);
          expect(parse(write(one))).toEqual(parse(write(other)));
          const quoted = JSON.stringify(one.quoted.replaceAll(/\s/g, ' ')).slice(1, -1);
          const [step] = parse(`a. compose "${quoted}"`);
          expect(step?.input).toMatchObject({ fields: { body: { value: one.quoted.replaceAll(/\s/g, ' ') } } });
        },
      ),
    );
  });

  it('is read in little time, even where it is made to be slow', () => {
    const spaces = ' '.repeat(900_000);
    for (const plan of [
      `a. list${spaces}x`,
      `a. list (${spaces}`,
      `a. list (after ${'a,'.repeat(400_000)}`,
      `a.${spaces}`,
      `a. compose "${'\\'.repeat(900_000)}`,
    ])
      refusal(plan);
    const chain = Array.from({ length: 10_000 }, (_, index) => `s${index}. list (after s${Math.max(0, index - 1)})`);
    chain[0] = 's0. list';
    expect(parse(chain.join('\n'))).toHaveLength(10_000);
    expect(parse(chain.toReversed().join('\n'))).toHaveLength(10_000);
  });
});
