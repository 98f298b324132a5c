import { MemoryLimitError, ProcessExitError } from '../../src/protocol/errors.ts';
import { CHANNEL } from './channel.ts';
import type { Printed } from './printed.ts';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Unanswered {
  tool: string;
  /** Undefined: it cannot be killed. */
  exit: Exit | undefined;
  memoryBytes: number;
  /** What it held when it was ended for that. */
  residentBytes: number | undefined;
  /** Why it was ended, where it wrote what is no message to its channel. */
  unreadable: string | undefined;
  printed: Printed;
}

/** What an attempt fails with whose process ended without an answer. */
export function unanswered({ tool, exit, memoryBytes, residentBytes, unreadable, printed }: Unanswered): Error {
  const raise = `its memory is ${mib(memoryBytes)}. Have it hold less, or raise 'memory'.`;
  if (residentBytes !== undefined) {
    const context = { tool, memoryBytes, residentBytes, ...printed.said() };
    return new MemoryLimitError(`Tool ${tool} was ended: it held ${mib(residentBytes)}, and ${raise}`, context);
  }
  if (typeof exit?.signal === 'string' && HEAP_FULL.test(printed.stderr)) {
    const context = { tool, memoryBytes, ...printed.said() };
    return new MemoryLimitError(`Tool ${tool} was ended: its heap was full, and ${raise}`, context);
  }
  const context = { tool, exitCode: exit?.code ?? null, signal: exit?.signal ?? null, ...printed.said() };
  if (unreadable !== undefined)
    return new ProcessExitError(
      `The process of tool ${tool} was ended without an answer: it wrote into file descriptor ${CHANNEL}, by which its answer comes. ${unreadable}`,
      context,
    );
  return new ProcessExitError(
    `The process of tool ${tool} ${wayOf(exit)} without an answer${printed.lastWords()}`,
    context,
  );
}

/** Node's last words. */
const HEAP_FULL = /heap out of memory|Reached heap limit/;

function wayOf(exit: Exit | undefined): string {
  if (exit === undefined) return 'could not be killed and is left';
  return exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
}

const mib = (size: number): string => `${Math.round(size / 2 ** 20)} MiB`;
