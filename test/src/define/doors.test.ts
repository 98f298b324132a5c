import { describe, expect, test } from 'vitest';
import { createMachine } from 'xstate';
import { z } from 'zod';
import { childRun, durable, module, plan, tool, toolActor, ValidationError } from '../../../src/index.ts';
import { script, troupeMatchers } from '../../../src/testing.ts';

/** What definitions are made of, handed in as no compiler would let it pass. */

const described = { name: 'send', description: 'Sends', inputSchema: z.object({}) };
const send = tool({ ...described, execute: () => 1 });
const isolated = { ...described, isolation: 'process', module: new URL('file:///send.js') } as const;
const machine = createMachine({});
const first = durable(machine, { name: 'd', version: '1' });
const empty = plan({ name: 'p' });
const throws = (): never => {
  throw new TypeError('looked at');
};
const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};

const GIVEN: Record<string, unknown> = {
  null: null,
  number: 5,
  NaN,
  symbol: Symbol('s'),
  text: 'x y',
  function: () => 1,
  date: new Date(),
  map: new Map(),
  list: [null],
  object: { no: 'such' },
  revoked: revoked({}),
  revokedList: revoked([]),
  getter: Object.defineProperty({}, 'name', { get: throws, enumerable: true }),
  unreadable: new Proxy({}, { get: throws }),
  unlisted: new Proxy({}, { ownKeys: throws }),
  ofNoClass: new Proxy({}, { getPrototypeOf: throws }),
  durable: { kind: 'durable' },
  plan: { kind: 'plan' },
  tool: { kind: 'tool' },
  module: { kind: 'module' },
};

const step = (options: object): unknown => empty.step('a', send, { input: () => ({}), ...options } as never);

/** What is made with each of these, and what of them is no mistake there, or another one. */
const DOORS: [string, (given: never) => unknown, (keyof typeof GIVEN)[]?][] = [
  ['tool(it)', (it) => tool(it)],
  ['tool({ description })', (description) => tool({ ...described, description, execute: () => 1 }), ['text']],
  ['tool({ phrases })', (phrases) => tool({ ...described, phrases, execute: () => 1 })],
  ['tool({ inputSchema })', (inputSchema) => tool({ ...described, inputSchema, execute: () => 1 })],
  ['tool({ outputSchema })', (outputSchema) => tool({ ...described, outputSchema, execute: () => 1 })],
  ['tool({ effect })', (effect) => tool({ ...described, effect, execute: () => 1 })],
  ['tool({ retry })', (retry) => tool({ ...described, retry, execute: () => 1 })],
  ['tool({ cost })', (cost) => tool({ ...described, cost, execute: () => 1 }), ['function', 'unreadable']],
  ['tool({ isolation, module })', (it) => tool({ ...isolated, module: it })],
  [
    'tool({ isolation, env })',
    (env) => tool({ ...isolated, env }),
    ['object', 'unreadable', 'durable', 'plan', 'tool', 'module'],
  ],
  ['module(it)', (it) => module(it)],
  ['module({ tools })', (tools) => module({ name: 'm', tools })],
  ['module({ allow })', (allow) => module({ name: 'm', tools: [], allow })],
  ['module({ rateLimit })', (rateLimit) => module({ name: 'm', tools: [], rateLimit })],
  ['module({ breaker })', (breaker) => module({ name: 'm', tools: [], breaker })],
  ['module({ start })', (start) => module({ name: 'm', tools: [], start }), ['function']],
  ['durable(it)', (it) => durable(it, { name: 'd', version: '1' })],
  ['durable(machine, it)', (it) => durable(machine, it)],
  ['durable({ effects })', (effects) => durable(machine, { name: 'd', version: '1', effects }), ['unreadable']],
  ['durable({ costs })', (costs) => durable(machine, { name: 'd', version: '1', costs }), ['unreadable']],
  ['durable({ continueAs })', (continueAs) => durable(machine, { name: 'd', version: '1', continueAs }), ['function']],
  ['durable({ migrate })', (migrate) => durable(machine, { name: 'd', version: '2', migrate })],
  ['migrate.from', (from) => durable(machine, { name: 'd', version: '2', migrate: { from, to: () => ({}) } })],
  ['migrate.to', (to) => durable(machine, { name: 'd', version: '2', migrate: { from: first, to } }), ['function']],
  ['plan(it)', (it) => plan(it)],
  ['plan({ version })', (version) => plan({ name: 'p', version }), ['text']],
  ['plan({ inputSchema })', (inputSchema) => plan({ name: 'p', inputSchema })],
  ['plan({ tools })', (tools) => plan({ name: 'p', tools })],
  ['plan({ module })', (it) => plan({ name: 'p', module: it })],
  ['plan({ output })', (output) => plan({ name: 'p', output }), ['function']],
  ['output(it)', (it) => empty.output(it), ['function']],
  ['step(it)', (it) => empty.step(it, send, { input: () => ({}) })],
  ['step(name, it)', (it) => empty.step('a', it), ['function']],
  ['step(name, call, it)', (it) => empty.step('a', send, it)],
  ...['needs', 'optional', 'anyOf', 'onFailure', 'retry', 'effect', 'concurrency', 'timeout'].map(
    (name): (typeof DOORS)[number] => [
      `step({ ${name} })`,
      (it) => step({ [name]: it }),
      name === 'timeout' ? ['number'] : name === 'concurrency' ? ['number'] : [],
    ],
  ),
  ...['when', 'input', 'each'].map((name): (typeof DOORS)[number] => [
    `step({ ${name} })`,
    (it) => step({ [name]: it }),
    ['function'],
  ]),
  ['plan.parse(it)', (it) => plan.parse(it, { tools: [send] }), ['text']],
  ['plan.parse(text, it)', (it) => plan.parse('a. send', it)],
  ...['tools', 'module', 'name', 'version', 'file', 'format', 'plans'].map((name): (typeof DOORS)[number] => [
    `plan.parse({ ${name} })`,
    (it) => plan.parse('a. send', { tools: [send], [name]: it }),
    ['version', 'file'].includes(name) ? ['text'] : [],
  ]),
  ['toolActor(it)', (it) => toolActor(it)],
  ['toolActor(tool, it)', (it) => toolActor(send, it)],
  ['childRun(it)', (it) => childRun(it), ['function']],
  ['script(it)', (it) => script(it), ['list']],
];

const refusalOf = (ask: () => unknown): unknown => {
  try {
    return ask();
  } catch (error) {
    return error;
  }
};

describe('what is none of it', () => {
  test.each(DOORS)('is refused by %s where it is defined', (_, ask, fine = []) => {
    for (const [name, given] of Object.entries(GIVEN)) {
      const refused = refusalOf(() => ask(given as never));
      if (fine.includes(name)) expect(refused, name).not.toBeInstanceOf(TypeError);
      else expect(refused, name).toBeInstanceOf(ValidationError);
    }
  });

  test('is refused by toReplay before the fixture is read', async () => {
    for (const given of Object.values(GIVEN))
      await expect(troupeMatchers.toReplay({} as never, given as never)).rejects.toBeInstanceOf(ValidationError);
  });

  test.each<[() => unknown, string]>([
    [() => tool(null as never), 'What is given to tool() must be an object of options, not null.'],
    [
      () => tool({ ...described, inputSchema: undefined, execute: () => 1 } as never),
      "The option 'inputSchema' of tool() must be a schema of Zod 4, such as z.object({}), not undefined.",
    ],
    [
      () => tool({ ...described, effect: 'reed', execute: () => 1 } as never),
      `The option 'effect' of tool() must be one of read, idempotent, irreversible, not "reed".`,
    ],
    [
      () => tool({ ...described, retry: { attempt: 1 }, execute: () => 1 } as never),
      "retry of tool send has no option 'attempt'; closest: attempts.",
    ],
    [
      () => module({ name: 'm', tools: [null] } as never),
      "The option 'tools' of module() must be an array, each of it a tool: what tool() gives, not an array.",
    ],
    [
      () => durable({} as never, { name: 'd', version: '1' }),
      'What durable() makes durable must be a machine of XState: what createMachine() gives, not such an object.',
    ],
    [
      () => durable(machine, { name: 'd', version: '2', migrate: { from: first } as never }),
      "The option 'to' of migrate of definition d must be a function, not undefined.",
    ],
    [
      () => plan.parse('a. send', revoked({}) as never),
      'What is given to plan.parse() must be an object of options, not something that cannot be read.',
    ],
    [() => step({ needs: 'a' }), `The option 'needs' of step a must be an array, each of it a text, not "a".`],
  ])('is told with what it must be and what it was: %#', (ask, message) => {
    expect(ask).toThrow(expect.objectContaining({ code: 'VALIDATION', message }));
  });
});
