import { describe, expect, test } from 'vitest';
import { assign, sendParent, setup } from 'xstate';
import { z } from 'zod';
import {
  createTroupe,
  DefinitionChangedError,
  durable,
  plan,
  tool,
  ValidationError,
  type Troupe,
} from '../../src/index.ts';
import { Working } from '../support/working.ts';
import { directory, openedWith } from '../support/opened.ts';

/** What callers hand in that no honest caller would. */

const opened = openedWith();

const counting = durable(
  setup({ types: { context: {} as { n: number }, events: {} as { type: 'INC' } } }).createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  }),
  { name: 'counting', version: '1' },
);

describe('start', () => {
  test('with a signal that is aborted already begins nothing', async () => {
    const [troupe, working] = [await opened(), new Working()];
    const signal = AbortSignal.abort();
    await expect(troupe.start(working.definition(), undefined, { signal })).rejects.toBe(signal.reason);
    expect(await troupe.runs()).toEqual([]);
    expect(working.begun).toBe(0);
  });

  test('and kill at once: an irreversible call does not begin', async () => {
    const [troupe, working] = [await opened(), new Working()];
    const run = await troupe.start(working.definition('irreversible'));
    expect(await run.kill()).toMatchObject({ status: 'killed' });
    expect(working.begun).toBe(0);
  });

  test('of another text under the name and the id of a run is refused', async () => {
    const [troupe, tools] = [await opened(), [step('first'), step('second')]];
    await troupe.execute(plan.parse('a. do first', { tools }), {}, { id: 'x' });
    await expect(troupe.start(plan.parse('a. do second', { tools }), {}, { id: 'x' })).rejects.toBeInstanceOf(
      DefinitionChangedError,
    );
    expect(await troupe.execute(plan.parse('a. do first', { tools }), {}, { id: 'x' })).toEqual({ a: 'first' });
  });
});

function thrower(): never {
  throw new TypeError('looked at');
}
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const GIVEN = {
  null: null,
  zero: 0,
  none: NaN,
  bigint: 5n,
  empty: '',
  text: 'x',
  true: true,
  symbol: Symbol('s'),
  function: () => 1,
  array: [],
  map: new Map([['tenant', 'a']]),
  misspelt: { tenat: 'a' },
  bare: Object.create(null) as unknown,
  revoked: revoked(),
  getter: Object.defineProperty({}, 'by', { get: thrower, enumerable: true }),
  unreadable: new Proxy({}, { get: thrower }),
  unlisted: new Proxy({}, { ownKeys: thrower }),
  durable: { kind: 'durable', name: 'counting' },
  tool: { kind: 'tool', name: 'counting' },
};

/** What is asked with each of these, and what of them is no mistake there. */
const DOORS: [string, (troupe: Troupe, given: never) => Promise<unknown>, (keyof typeof GIVEN)[]][] = [
  ['start(it)', (troupe, it) => troupe.start(it, undefined as never), []],
  ['execute(it)', (troupe, it) => troupe.execute(it, undefined as never), []],
  ['start({ signal })', (troupe, signal) => troupe.start(counting, undefined, { signal }), []],
  ['start({ budget: { onExhausted } })', (troupe, it) => begun(troupe, { onExhausted: it }), []],
  ['start({ budget: { wallClock } })', (troupe, it) => begun(troupe, { wallClock: it }), ['zero']],
  ['attach(id, it)', (troupe, it) => troupe.attach('r', it), []],
  ['diff(id, it)', (troupe, it) => troupe.diff('r', it), []],
  ['fork({ definition })', (troupe, definition) => troupe.fork('r', { definition }), []],
  ['fork({ replace })', (troupe, replace) => troupe.fork('r', { replace }), ['bare', 'unreadable']],
  ['fork({ at })', (troupe, at) => troupe.fork('r', { at }), ['empty', 'text']],
  ['kill(it)', (troupe, it) => troupe.kill(it), ['text']],
  ['kill({ grace })', (troupe, grace) => troupe.kill('nobody', 'why', { grace }), ['zero']],
  ['lift(it)', (troupe, it) => troupe.lift(it), []],
  ['lift(width, it)', (troupe, it) => troupe.lift({ tenant: 'a' }, it), ['bare']],
  ['runs(it)', (troupe, it) => troupe.runs(it), ['bare']],
  ['runs({ tenant })', (troupe, tenant) => troupe.runs({ tenant }), ['empty', 'text']],
  ['runs({ status })', (troupe, status) => troupe.runs({ status }), ['empty', 'text']],
  ['runs({ unfinished })', (troupe, unfinished) => troupe.runs({ unfinished }), ['true']],
  ['audit(it)', (troupe, it) => troupe.audit(it).next(), ['bare']],
  ['audit({ since })', (troupe, since) => troupe.audit({ since }).next(), ['zero']],
  ['send({ cause })', (troupe, cause) => sent(troupe, cause), ['null', 'empty', 'text']],
  ['approve(it)', async (troupe, it) => (await troupe.attach('r')).approve(it), ['empty', 'text']],
  ['resolve(it)', async (troupe, it) => (await troupe.attach('r')).resolve(it, { retry: true }), ['empty', 'text']],
  ['resolve(call, it)', async (troupe, it) => (await troupe.attach('r')).resolve('c', it), []],
  ['fork({ replace: { 2: it } })', (troupe, it) => troupe.fork('r', { replace: { 2: it } }), []],
  ['fork({ budget })', (troupe, budget) => troupe.fork('r', { budget }), ['null', 'bare', 'unreadable']],
  ['send(event, it)', async (troupe, it) => (await troupe.attach('r')).send({ type: 'INC' }, it), ['bare']],
  ['replay().steps(it)', async (troupe, it) => (await troupe.replay('r')).steps(it).next(), ['bare']],
  ['createTroupe(it)', (_, it) => createTroupe(it), ['bare']],
  ['createTroupe({ backend })', (_, backend) => createTroupe({ backend }), []],
  ['createTroupe({ definitions })', (_, definitions) => createTroupe({ definitions }), ['array']],
  ['createTroupe({ definitions: [it] })', (_, it) => createTroupe({ definitions: [it] }), []],
  ['createTroupe({ tools: [it] })', (_, it) => createTroupe({ tools: [it] }), []],
  ['createTroupe({ clock })', (_, clock) => createTroupe({ clock }), []],
  ['createTroupe({ report })', (_, report) => createTroupe({ report }), ['function']],
  ['createTroupe({ inspect })', (_, inspect) => createTroupe({ inspect }), ['function']],
  ['createTroupe({ random })', (_, random) => createTroupe({ random }), []],
  ['createTroupe({ random: () => it })', (_, it) => createTroupe({ random: () => it }), []],
  ['createTroupe({ recover })', (_, recover) => createTroupe({ recover }), ['true']],
  ['createTroupe({ random })', (_, random) => createTroupe({ random }), ['function']],
];

const sent = async (troupe: Troupe, cause: string): Promise<unknown> =>
  (await troupe.attach('r')).send({ type: 'INC' }, { cause });
const begun = (troupe: Troupe, budget: object): Promise<unknown> => troupe.start(counting, undefined, { budget });

describe('what is none of it', () => {
  test.each(DOORS)('is refused by %s, with what was given', async (_, ask, fine) => {
    const troupe = await opened({ definitions: [counting] });
    await troupe.start(counting, undefined, { id: 'r', tenant: 'secret' });
    for (const [name, given] of Object.entries(GIVEN)) {
      if ((fine as string[]).includes(name)) continue;
      const refused = await ask(troupe, given as never).catch((error: unknown) => error);
      expect(refused, name).toBeInstanceOf(ValidationError);
    }
    expect(await troupe.runs()).toHaveLength(1);
    expect(await troupe.switches()).toEqual([]);
  });

  const NOTHING = DOORS.filter(([door]) => ['start(it)', 'diff(id, it)', 'kill(it)', 'lift(it)'].includes(door));
  test.each(NOTHING)('is nothing at all, and is refused by %s', async (_, ask) => {
    await expect(ask(await opened(), undefined as never)).rejects.toBeInstanceOf(ValidationError);
  });

  test('as a filter says what it is that nobody knows', async () => {
    const troupe = await opened();
    await expect(troupe.runs({ tenat: 'a' } as never)).rejects.toThrow(
      "runs() has no option 'tenat'; closest: tenant.",
    );
    await expect(troupe.audit({ tenat: 'a' } as never).next()).rejects.toThrow("audit() has no option 'tenat'");
    await expect(troupe.lift({ tenant: 'a' }, { bye: 'ana' } as never)).rejects.toThrow("lift() has no option 'bye'");
    await expect(troupe.runs({ status: 'complete' } as never)).rejects.toThrow(
      'must be one of created, running, paused, wrappingUp, completed, failed, killed, unreadable, not "complete".',
    );
    await expect(troupe.runs({ tenant: null } as never)).rejects.toThrow(
      "The option 'tenant' of runs() must be a text, not null.",
    );
    await expect(troupe.start(counting, undefined, { signal: {} } as never)).rejects.toThrow(
      "The option 'signal' of start() must be an AbortSignal, not such an object.",
    );
  });
});

describe('replay', () => {
  test('of a parsed plan finds the tools of its definition beside those of the troupe', async () => {
    const parsed = plan.parse('a. do first', { tools: [step('first')] });
    const troupe = await opened({ tools: [step('second')], definitions: [parsed] });
    await troupe.execute(parsed, {}, { id: 'x' });
    expect(await troupe.replay('x')).toMatchObject({ equal: true, summary: { output: { a: 'first' } } });
  });
});

describe('send', () => {
  const malformed = [{}, { type: 5 }, 'X', [], null, undefined, { type: '*' }, { type: '' }];
  test.each(malformed.map((event) => [event]))('of %j is refused, and the run lives', async (event) => {
    const troupe = await opened();
    const run = await troupe.start(counting);
    await expect(run.send(event as never)).rejects.toBeInstanceOf(ValidationError);
    await run.send({ type: 'INC' });
    expect(run.getSnapshot()?.context).toEqual({ n: 1 });
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, status: 'running', entries: 3 });
  });

  test('by a body to its parent is not a command to the run', async () => {
    const troupe = await opened();
    const machine = setup({}).createMachine({
      entry: sendParent({ type: 'troupe.kill' }),
      initial: 'waiting',
      states: { waiting: { on: { GO: 'done' } }, done: { type: 'final' } },
    });
    const run = await troupe.start(durable(machine, { name: 'selfless', version: '1' }));
    expect(run.status).toBe('running');
    await run.send({ type: 'GO' });
    expect((await run.result()).success).toBe(true);
    expect(await troupe.replay(run.id)).toMatchObject({ equal: true, status: 'completed' });
  });
});

describe('what throws something that cannot be shown', () => {
  const throws = (): never => {
    throw revoked();
  };

  test('as the input schema of a plan is a refusal', async () => {
    const troupe = await opened();
    const asking = plan({ name: 'asking', inputSchema: z.unknown().refine(throws) });
    await expect(troupe.start(asking, 1)).rejects.toThrow('throws, so that nobody knows whether it takes this input');
  });

  test('as a migration is a definition that does not fit', async () => {
    const backend = directory();
    const version = (name: string, rest: object) =>
      durable(setup({}).createMachine({ initial: name, states: { [name]: {} } }), {
        name: 'm',
        version: name,
        ...rest,
      });
    const first = version('one', {});
    const before = await opened({ backend, definitions: [first] });
    await before.start(first, undefined, { id: 'x' });
    await before.close();
    const reported: unknown[] = [];
    const second = version('two', { migrate: { from: first, to: throws } });
    await opened({ backend, definitions: [second], report: (error) => void reported.push(error) });
    expect(reported).toEqual([expect.any(DefinitionChangedError)]);
  });
});

describe('what throws where nobody listens', () => {
  test('an observer, an inspector and a report disturb nobody', async () => {
    const troupe = await opened({ report: thrower, inspect: thrower });
    const run = await troupe.start(counting);
    run.on('*', thrower);
    run.subscribe(thrower);
    await run.send({ type: 'INC' });
    await run.send({ type: 'INC' });
    expect(run.getSnapshot()?.context).toEqual({ n: 2 });
    expect(await run.kill()).toMatchObject({ status: 'killed' });
  });
});

function step(name: string) {
  return tool({
    name,
    description: name,
    phrases: [`do ${name}`],
    effect: 'read',
    inputSchema: z.object({}),
    execute: () => name,
  });
}
