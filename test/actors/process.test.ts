import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { createTroupe, durable, tool, toolActor, type Effect, type RunHandle, type Troupe } from '../../src/index.ts';
import { comesTrue, Marks } from '../support/isolated/marks.ts';
import type { Deed } from '../support/isolated/tools.ts';

let troupe: Troupe;
let marks: Marks;
beforeEach(async () => {
  marks = new Marks();
  troupe = await createTroupe({ recover: false });
});
afterEach(async () => {
  marks.close();
  await troupe.close();
});

const MODULE = new URL('../support/isolated/tools.ts', import.meta.url);
interface Options {
  effect?: Effect;
  timeout?: number;
  grace?: number;
  memory?: '64MiB' | '128MiB' | '256MiB';
  output?: number;
  env?: Record<string, string>;
  module?: URL;
}
const isolated = ({ module = MODULE, ...options }: Options = {}) =>
  tool({
    name: 'apart',
    description: 'Does what it is told, in a process of its own',
    isolation: 'process',
    module,
    effect: 'read',
    retry: { attempts: 1 },
    grace: 200,
    inputSchema: z.object({ deed: z.custom<Deed>(), marks: z.string() }),
    ...options,
  });

const start = (deed: Deed, options?: Options): Promise<RunHandle> =>
  troupe.start(isolated(options), { deed, marks: marks.file });
const outputOf = async (deed: Deed, options?: Options): Promise<unknown> =>
  troupe.execute(isolated(options), { deed, marks: marks.file });
const errorOf = async (deed: Deed, options?: Options) => (await (await start(deed, options)).result()).error;
const begun = (many = 1): Promise<void> => comesTrue(() => marks.pids().length >= many, 'the tool is called');

describe('what comes back', () => {
  test('is its output: plain data, dates and bytes', async () => {
    const given = { list: [1, null], at: new Date(7), bytes: Buffer.from('abc'), big: 2n ** 40n };
    expect(await outputOf({ do: 'answer', with: given })).toEqual(given);
  });

  test('is refused where it cannot be kept, with the path to it', async () => {
    const error = await errorOf({ do: 'map' });
    expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('output.at') as string });
  });

  test('is what it throws, with its status, as if it were here', async () => {
    expect(await errorOf({ do: 'throw', message: 'who are you?', status: 401 })).toEqual({
      name: 'Error',
      message: 'who are you?',
      data: { status: 401 },
    });
  });

  test.each([
    { type: 'succeeded', output: 'theirs' },
    { type: 'failed', error: new Error('theirs') },
    { type: 'succeeded', output: 'theirs', token: '' },
  ])('is not what the tool, or a library, sends to its parent: %j', async (message) => {
    expect(await outputOf({ do: 'send', message, with: 'mine' })).toBe('mine');
  });

  test('goes through the schemas of its tool, which stay here', async () => {
    const dated = tool({
      name: 'dated',
      description: 'd',
      isolation: 'process',
      module: MODULE,
      inputSchema: z
        .object({ year: z.number() })
        .transform(({ year }) => ({ deed: { do: 'answer', with: String(year) } })),
      outputSchema: z.string().transform(Number),
    });
    expect(await troupe.execute(dated, { year: 1984 })).toBe(1984);
  });
});

describe('what it is given', () => {
  test('is what any tool is told, and another process', async () => {
    const run = await start({ do: 'show', variables: [] });
    const { data } = await run.result();
    expect(data).toMatchObject({ run: run.id, call: 'body', attempt: 1, idempotencyKey: expect.any(String) as string });
    expect((data as { pid: number }).pid).not.toBe(process.pid);
  });

  test('of the environment: where things are, and what its `env` says; no secrets', async () => {
    process.env['SOME_API_KEY'] = 'secret';
    try {
      const shown = await outputOf(
        { do: 'show', variables: ['PATH', 'SOME_API_KEY', 'TOKEN'] },
        { env: { TOKEN: 'its own' } },
      );
      expect(shown).toMatchObject({ env: { PATH: process.env['PATH'], SOME_API_KEY: null, TOKEN: 'its own' } });
    } finally {
      delete process.env['SOME_API_KEY'];
    }
  });

  test('is the budget: what it charges is charged here, and it hears when that was too much', async () => {
    const run = await troupe.start(
      isolated(),
      { deed: { do: 'charge', usd: 0.4, times: 20 }, marks: marks.file },
      { budget: { usd: 1 } },
    );
    const { error, metadata } = await run.result();
    expect([error?.code, metadata.status]).toEqual(['BUDGET_EXCEEDED', 'failed']);
  });
});

describe('what it charges', () => {
  const spent = async (deed: Deed) => {
    const run = await troupe.start(isolated(), { deed, marks: marks.file }, { budget: { usd: 1 } });
    await run.result();
    for await (const { action, cost } of troupe.audit({ run: run.id })) if (action === 'end') return cost?.usd;
    return undefined;
  };

  test('is counted, also after it was too much and it went on', async () => {
    expect(await spent({ do: 'charge', usd: 0.5, times: 6, regardless: true })).toBe(3);
  });

  test('is refused at once where it is no cost', async () => {
    const error = await errorOf({ do: 'charge', usd: -1, times: 1 });
    expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('charge of body') as string });
  });
});

test('without file descriptors a call is refused, nothing is left of it, and later ones are performed', async () => {
  const host = fileURLToPath(new URL('../support/isolated/short.ts', import.meta.url));
  const script = `ulimit -n 50; exec "$0" --conditions=troupe-source "$1"`;
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script, process.execPath, host]);
  expect(JSON.parse(stdout)).toEqual({ refused: ['OverloadedError'], children: 0, later: ['here', 'here'] });
}, 20_000);

describe('what it writes into the pipe by which its answer comes', () => {
  test.each<[what: string, signed: boolean, bytes: Buffer, why: RegExp]>([
    ['text', false, Buffer.from('listening on port 80\n'), /A message of \d+ bytes is announced/],
    ['what cannot be unpacked', true, Buffer.alloc(20, 0xff), /more bytes than the value has/],
    ['lists in lists', true, Buffer.alloc(2_000, 0x91), /more than 300 levels/],
    ['code for an unpacker', true, Buffer.from([0xc7, 3, 0x72, 0x40, 0x90, 0xc0]), /an extension of type 114/],
  ])('%s: fails the call, and ends all that it has begun', async (_, signed, bytes, why) => {
    const error = await errorOf({ do: 'scribble', bytes, signed });
    expect(error).toMatchObject({ name: 'ProcessExitError', code: 'PROCESS_EXIT', data: { tool: 'apart' } });
    expect(error?.message).toMatch(/wrote into file descriptor 3, by which its answer comes/);
    expect(error?.message).toMatch(why);
    expect([marks.pids().length, marks.alive()]).toEqual([2, []]);
  });

  test('leaves a call in doubt that is irreversible', async () => {
    const run = await start({ do: 'scribble', bytes: Buffer.alloc(64, 0xff) }, { effect: 'irreversible' });
    expect(await run.settled()).toBe('waiting');
    expect(await run.inDoubt()).toMatchObject([{ call: 'body' }]);
  });

  test('keeps nobody from an answer of many megabytes', async () => {
    const given = { text: 'ä'.repeat(10 * 2 ** 20), bytes: Buffer.alloc(2 ** 20, 7) };
    expect(await outputOf({ do: 'answer', with: given })).toEqual(given);
  });

  test('an answer that would take too much memory here is refused there, and says so', async () => {
    const error = await errorOf({ do: 'swell', many: 3_000 });
    expect(error).toMatchObject({ code: 'VALIDATION', data: { tool: 'apart', path: 'output' } });
    expect(error?.message).toMatch(/output is too large to be handed over.*more than 130 MiB of values/);
  });
});

describe('an end without an answer', () => {
  test('is an error with the code, and what it wrote last', async () => {
    const error = await errorOf({ do: 'exit', code: 3, says: 'one line\nand another\n' });
    expect(error).toMatchObject({
      name: 'ProcessExitError',
      code: 'PROCESS_EXIT',
      message: expect.stringMatching(
        /apart exited with code 3 without an answer; it wrote last:\none line\nand another$/,
      ) as string,
      data: { tool: 'apart', exitCode: 3, signal: null, stderr: 'one line\nand another\n' },
    });
  });

  test('is one of its attempts, unless the call is irreversible: then it is in doubt', async () => {
    const twice = { ...isolated(), retry: { attempts: 2, delayMs: 1, maxDelayMs: 1 } };
    const input = { deed: { do: 'crash' } as const, marks: marks.file };
    expect((await (await troupe.start(twice, input)).result()).error?.message).toContain('nobody catches this');
    expect(marks.pids()).toHaveLength(2);

    const run = await troupe.start({ ...twice, name: 'once', effect: 'irreversible' }, input);
    expect(await run.settled()).toBe('waiting');
    expect(await run.inDoubt()).toMatchObject([{ call: 'body' }]);
  });

  test.each([
    ['is not there', './nowhere.ts', /module file:.*nowhere.ts cannot be loaded/],
    ['exports no function', './marks.ts', /default export of its module file:.*marks.ts is not a function/],
  ])('a module that %s is the mistake of whoever defined it', async (_, file, message) => {
    const error = await errorOf({ do: 'answer', with: 1 }, { module: new URL(file, MODULE), effect: 'irreversible' });
    expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringMatching(message) as string });
  });
});

describe('what it prints', () => {
  test('comes with its error: the end, within the cap, and how much there was before', async () => {
    const error = await errorOf({ do: 'print', bytes: 3_000_000, next: 'throw' }, { output: 10_000 });
    expect(error).toMatchObject({
      message: 'that was it',
      data: { stdout: 'x'.repeat(5_000), discardedBytes: 2_995_000 },
    });
  });

  test('is nobody’s concern where it succeeds', async () => {
    expect(await outputOf({ do: 'print', bytes: 3_000_000 })).toBe('printed');
  });
});

describe('memory', () => {
  test.each(['heap', 'buffers', 'child'] as const)(
    'beyond the cap (%s) ends the call, and it is not tried again',
    async (what) => {
      const greedy = { ...isolated({ memory: '256MiB' }), retry: { attempts: 3, delayMs: 1, maxDelayMs: 1 } };
      const run = await troupe.start(greedy, { deed: { do: 'hold', what }, marks: marks.file });
      const { error } = await run.result();
      expect(error).toMatchObject({ name: 'MemoryLimitError', data: { tool: 'apart', memoryBytes: 256 * 2 ** 20 } });
      expect(marks.pids()).toHaveLength(what === 'child' ? 2 : 1);
      expect(marks.alive()).toEqual([]);
    },
  );
});

describe('when it is to end', () => {
  test('it hears of it, and may put things in order', async () => {
    const told = join(marks.folder, 'told');
    const run = await start({ do: 'wait', told });
    await begun();
    await run.kill();
    expect([existsSync(told), marks.alive()]).toEqual([true, []]);
  });

  test.each<Deed>([
    { do: 'ignore' },
    { do: 'block', in: 'loop' },
    { do: 'block', in: 'native' },
    { do: 'print', bytes: 2_000_000, next: 'ignore' },
    { do: 'daemon', next: 'ignore' },
  ])('%j is dead with the grace, and the receipt of the kill waits for that', async (deed) => {
    const run = await start(deed);
    await begun(deed.do === 'daemon' ? 2 : 1);
    const receipt = await run.kill('enough');
    expect(marks.alive()).toEqual([]);
    expect(receipt.unanswered).toEqual([]);
    expect(receipt.ms).toBeGreaterThanOrEqual(190);
  });

  test('a timeout ends it', async () => {
    const error = await errorOf({ do: 'block', in: 'loop' }, { timeout: 1_000 });
    expect(error).toMatchObject({ code: 'TOOL_TIMEOUT' });
    await comesTrue(() => marks.pids().length === 1 && marks.alive().length === 0, 'its process is gone');
  });

  test('a daemon that it leaves behind is ended with its answer', async () => {
    const pid = await outputOf({ do: 'daemon' });
    expect(marks.pids()).toContain(pid);
    expect(marks.alive()).toEqual([]);
  });

  test('closing the troupe ends it, and waits for that', async () => {
    await start({ do: 'ignore' });
    await begun();
    await troupe.close();
    expect(marks.alive()).toEqual([]);
  });

  test('leaving the state that called ends it', async () => {
    const machine = setup({
      types: { events: {} as { type: 'LEAVE' } },
      actors: { apart: toolActor(isolated()), nothing: fromPromise(async () => {}) },
    }).createMachine({
      initial: 'calling',
      states: {
        calling: {
          invoke: { src: 'apart', input: { deed: { do: 'ignore' }, marks: marks.file } },
          on: { LEAVE: 'left' },
        },
        left: { type: 'final' },
      },
    });
    const run = await troupe.start(durable(machine, { name: 'leaves', version: '1' }), undefined);
    await begun();
    await run.send({ type: 'LEAVE' });
    await run.result();
    await comesTrue(() => marks.alive().length === 0, 'its process is gone');
  });
});
