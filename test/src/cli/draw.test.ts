import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMachine, type AnyStateMachine } from 'xstate';
import { Folder } from './folder.ts';

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
  folder.write('mail.txt', 'a. Get all contacts\nb. Send emails (requires step a)\n');
});
afterEach(() => folder.remove());

const ORDER = `stateDiagram-v2
  [*] --> charging
  charging --> open: done(charge)
  open --> closed: CLOSE
  closed --> [*]
`;

describe('troupe draw', () => {
  it('draws a plan by its steps', async () => {
    const { code, stdout, stderr } = await folder.troupe('draw', 'mail.txt');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^flowchart TD\n {2}a\["a<br\/>mail\.list"\]\n {2}b\["b<br\/>mail\.send.*"\]\n {2}a --> b\n$/,
    );
  });

  it('draws a document that calls a plan of the config', async () => {
    folder.write(
      'bare.ts',
      "import config from './troupe.config.ts'; export default { ...config, module: undefined };",
    );
    folder.write(
      'two.yaml',
      'steps:\n  list: { tool: mail.list }\n  hi: { plan: greet, input: { to: ana }, needs: [list] }\n',
    );
    const { code, stdout, stderr } = await folder.troupe('draw', 'two.yaml', '--config', 'bare.ts');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('hi["hi<br/>plan greet"]\n  list --> hi\n');
  });

  it('draws a definition by its name, or by its file and export', async () => {
    expect((await folder.troupe('draw', 'order')).stdout).toBe(ORDER);
    expect((await folder.troupe('draw', 'troupe.config.ts#order')).stdout).toBe(ORDER);
    expect((await folder.troupe('draw', 'greet')).stdout).toContain('sent["sent<br/>send"]');
    expect((await folder.troupe('draw', 'mail.send')).stdout).toContain('--> succeeded: done(attempt)');
  });

  it('draws a machine that is no definition, and needs no config for it', async () => {
    const xstate = JSON.stringify(import.meta.resolve('xstate'));
    folder.write(
      'light.ts',
      `import { createMachine } from ${xstate}; console.log('imported');
       export default createMachine({ initial: 'on', states: { on: { on: { FLIP: 'off' } }, off: {} } });`,
    );
    folder.write('troupe.config.ts', 'throw new Error("not needed")');
    const { code, stdout, stderr } = await folder.troupe('draw', 'light.ts');
    expect([code, stdout]).toEqual([0, 'stateDiagram-v2\n  [*] --> on\n  on --> off: FLIP\n']);
    // Whatever its file prints is no part of the drawing.
    expect(stderr).toBe('imported\n');
  });

  it('gives Stately what makes the same machine', async () => {
    const { stdout } = await folder.troupe('draw', 'order', '--format', 'stately');
    const machine: AnyStateMachine = createMachine(JSON.parse(stdout));
    expect(Object.keys(machine.states)).toEqual(['charging', 'open', 'closed']);
    expect(machine.root.initial.target?.[0]?.key).toBe('charging');
    const plan = JSON.parse((await folder.troupe('draw', 'mail.txt', '--format', 'stately')).stdout) as object;
    expect(plan).toMatchObject({
      id: 'mail',
      states: { b: { states: { running: { invoke: { src: 'mail.send' } } } } },
    });
  });

  it('writes a file, and one object with --json', async () => {
    const { code, stdout } = await folder.troupe('draw', 'order', '-o', 'order.mmd');
    expect([code, stdout]).toEqual([0, '']);
    expect(readFileSync(join(folder.path, 'order.mmd'), 'utf8')).toBe(ORDER);
    expect((await folder.json('draw', 'order')).data).toEqual({ format: 'mermaid', drawing: ORDER.trimEnd() });
    expect((await folder.json('draw', 'order', '-o', 'x')).data).toEqual({ format: 'mermaid', file: 'x' });
  });

  it('opens no store', async () => {
    await folder.troupe('draw', 'order');
    expect(() => readFileSync(join(folder.path, '.troupe/troupe.db'))).toThrow('ENOENT');
  });

  it('refuses what it does not know, and says what is nearest', async () => {
    const refused = async (...args: string[]): Promise<object> => {
      const { code, data } = await folder.json<{ error: object }>('draw', ...args);
      expect(code).toBe(2);
      return data.error;
    };
    expect(await refused('ordr')).toMatchObject({
      code: 'NOT_FOUND',
      message: "There is no definition, tool or file 'ordr'; did you mean order?",
    });
    expect(await refused('zzzzzzzzzzzz')).toMatchObject({ message: expect.stringContaining('the config has greet, ') });
    expect(await refused('troupe.config.ts#nothing')).toMatchObject({ code: 'VALIDATION' });
    expect(await refused('order', '-o', 'no/such/folder/x')).toMatchObject({ code: 'VALIDATION' });
    expect(await refused('order', '--format', 'svg')).toMatchObject({ code: 'USAGE' });
    folder.write('bad.txt', 'a. Send emials\n');
    expect(await refused('bad.txt')).toMatchObject({ code: 'PLAN' });
  });
});
