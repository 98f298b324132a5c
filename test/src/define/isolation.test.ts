import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createTroupe, tool, type Tool } from '../../../src/index.ts';

const described = { name: 'resize', description: 'Makes smaller', inputSchema: z.object({ by: z.number() }) };
const module = new URL('./resize.ts', import.meta.url);
const isolated = { ...described, isolation: 'process', module } as const;

test('an isolated tool says how it is run, in bytes and milliseconds', () => {
  expect(tool(isolated).process).toEqual({
    module: module.href,
    memoryBytes: 2 ** 30,
    outputBytes: 2 ** 16,
    graceMs: 3_000,
    env: {},
  });
  const env = { MAGICK_HOME: '/opt/magick' };
  expect(tool({ ...isolated, memory: '256MB', output: 0, grace: '2s', env }).process).toMatchObject({
    memoryBytes: 256e6,
    outputBytes: 0,
    graceMs: 2_000,
    env,
  });
});

test('another tool has none', () => {
  const inline = tool({ ...described, isolation: 'inline', execute: () => 1 });
  expect([inline.process, typeof inline.execute]).toEqual([undefined, 'function']);
});

test.each<[object, RegExp]>([
  [{ ...isolated, execute: () => 1 }, /resize is isolated and has an 'execute'/],
  [{ ...isolated, module: undefined }, /resize is isolated and needs a 'module'/],
  [{ ...isolated, module: './resize.ts' }, /option 'module' of tool\(\) must be a URL, as in new URL/],
  [{ ...isolated, module: new URL('https://example.com/resize.js') }, /needs a 'module': new URL/],
  [{ ...isolated, memory: '1MB' }, /has a memory of 1000000 bytes/],
  [{ ...isolated, memory: 'much' }, /memory of tool resize "much" is not a size/],
  [{ ...isolated, output: -1 }, /output of tool resize -1 is not a size/],
  [{ ...isolated, grace: 'later' }, /grace of tool resize "later" is not a duration/],
  [{ ...isolated, env: { A: 1 } }, /has the variable A in its env/],
  [{ ...described }, /resize has no 'execute'/],
  [{ ...described, module, execute: () => 1 }, /has a 'module' and is not isolated/],
  [{ ...described, isolation: 'thread', execute: () => 1 }, /has the isolation thread/],
])('%j is refused', (wrong, message) => {
  expect(() => tool(wrong as never)).toThrow(
    expect.objectContaining({ code: 'VALIDATION', message: expect.stringMatching(message) as string }),
  );
});

describe('types', () => {
  test('a caller gives what the input schema takes, and is given what the output schema makes', async () => {
    const resize = tool({ ...isolated, outputSchema: z.object({ width: z.number() }) });
    resize satisfies Tool<{ by: number }, { width: number }>;
    // @ts-expect-error: nothing is known of what a module gives but by its schema
    tool(isolated) satisfies Tool<{ by: number }, { width: number }>;
    // @ts-expect-error: a function cannot cross the border of a process
    expect(() => tool({ ...isolated, execute: () => 1 })).toThrow();
    // @ts-expect-error: it has no module
    expect(() => tool({ ...described, isolation: 'process' })).toThrow();
    // @ts-expect-error: it is executed here
    expect(() => tool({ ...described, isolation: 'inline' })).toThrow();

    const troupe = await createTroupe({ recover: false });
    // @ts-expect-error: `by` is a number
    const run = await troupe.start(resize, { by: 'half' });
    expect((await run.result()).error?.code).toBe('VALIDATION');
    await troupe.close();
  });
});
