import { bytes, type Bytes } from '../protocol/bytes.ts';
import { milliseconds, type Duration } from '../protocol/duration.ts';
import { ValidationError } from '../protocol/errors.ts';
import { text } from '../protocol/shown.ts';
import type { ProcessSpec } from '../protocol/spec.ts';

/**
 * A tool each attempt of which has a process of its own, and nothing of it is left when the attempt is over: its group is killed and, on Linux, also
 * what has left the group, by its parents and by a variable of its environment, TROUPE_CALL. Only a daemon that has both left its parents and
 * emptied its environment is not found. All of it is killed, too, when the process of the troupe is gone.
 *
 * It bounds a tool that misbehaves, not one that means harm: it has the rights of its user. After a timeout the next attempt begins at once,
 * while the one before may still be in its grace. Starting takes 50 to 100 ms for each attempt.
 */
export interface ProcessOptions {
  isolation: 'process';
  /**
   * The file whose default export is what `execute` would be: `new URL('./resize.ts', import.meta.url)`, as it is at run time. A function cannot
   * cross the border of a process with what it closes over; a file can be loaded there. Input and output are plain data.
   *
   * In there `signal` aborts when the attempt is to end. `charge` is sent and does not wait: that a budget is spent, it says when it is next called.
   */
  module: URL;
  /**
   * What its processes may hold together; `'1GiB'` by default. They are looked at ten times a second, and killed when they hold more: the call
   * fails with MemoryLimitError and is not tried again (an irreversible one is in doubt). Elsewhere than on Linux only the heap of its
   * JavaScript is bounded.
   */
  memory?: Bytes;
  /** Of what it prints, the end that is kept for its error, half of it for each of stdout and stderr; `'64KiB'` by default. The rest is counted and let go of. */
  output?: Bytes;
  /** From being told to end (its `signal`, and SIGTERM to its group) to being killed; `'3s'` by default. */
  grace?: Duration;
  /** Variables of its environment. Besides, it is given PATH, HOME, LANG, TMPDIR, NODE_OPTIONS and their like from this process, and no others: they may hold secrets. */
  env?: Readonly<Record<string, string>>;
  execute?: undefined;
}

/** A tool that runs in the process of its troupe. */
export interface InlineOptions {
  isolation?: 'inline';
  module?: undefined;
}

/** @throws ValidationError */
export function processSpec({ module, execute, ...options }: ProcessOptions, of: string): ProcessSpec {
  const { memory = '1GiB', output = '64KiB', grace = '3s', env = {} } = options;
  if (execute !== undefined)
    throw invalid(
      of,
      "is isolated and has an 'execute', which cannot leave this process; make it what a 'module' exports by default",
    );
  if (!(module instanceof URL) || module.protocol !== 'file:')
    throw invalid(of, "is isolated and needs a 'module': new URL('./file.ts', import.meta.url)");
  const unfit = Object.entries(env).find(([, value]) => typeof value !== 'string');
  if (unfit !== undefined) throw invalid(of, `has the variable ${unfit[0]} in its env, whose value is not a text`);
  const memoryBytes = bytes(memory, `memory of ${of}`);
  if (memoryBytes < LEAST_MEMORY)
    throw invalid(of, `has a memory of ${memoryBytes} bytes; a process of Node's needs '64MiB' and more`);
  return {
    module: module.href,
    memoryBytes,
    outputBytes: bytes(output, `output of ${of}`),
    graceMs: milliseconds(grace, `grace of ${of}`),
    env,
  };
}

/** @throws ValidationError unless it is a tool that this process can execute */
export function mustBeInline({ isolation = 'inline', module }: InlineOptions, execute: unknown, of: string): void {
  if (isolation !== 'inline') throw invalid(of, `has the isolation ${text(isolation)}; use 'inline' or 'process'`);
  if (module !== undefined) throw invalid(of, "has a 'module' and is not isolated; add isolation: 'process'");
  if (typeof execute !== 'function')
    throw invalid(of, "has no 'execute'; give it one, or a 'module' with isolation: 'process'");
}

const LEAST_MEMORY = 64 * 2 ** 20;

const invalid = (of: string, what: string): ValidationError => new ValidationError(`The ${of} ${what}.`, { of });
