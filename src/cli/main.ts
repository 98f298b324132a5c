#!/usr/bin/env node
import { createRequire } from 'node:module';
import { CommanderError } from 'commander';
import { watch } from './cut.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { control } from './groups/control.ts';
import { driving } from './groups/driving.ts';
import { looking } from './groups/looking.ts';
import { shell } from './groups/shell.ts';
import { toJson } from './json.ts';
import { Program } from './program.ts';
import { answer, leave } from './stdout.ts';

// A command is imported when it is called: help and version need none of what stands behind them.

const { version } = createRequire(import.meta.url)('troupe/package.json') as { version: string };
const json = process.argv.includes('--json');
const program = new Program(version, json ? (text) => answer(toJson({ text })) : undefined);
for (const group of [driving, control, looking, shell]) group(program);

async function main(): Promise<ExitCode> {
  try {
    return await program.run();
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.completed;
    const { fail } = await import('./fail.ts');
    return fail(error, json);
  }
}

watch(json);
leave(await main());
