import { spawn, type ChildProcess } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ProcessSpec } from '../../src/protocol/spec.ts';
import { CHANNEL } from './channel.ts';
import { MARK } from './family.ts';

/** A file beside this one, as it stands: in TypeScript in a clone, in JavaScript where the package is installed. */
export const beside = (name: string): string =>
  fileURLToPath(new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));

/** Of the host's environment; nothing in these is a secret. */
const PASSED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|SystemRoot|SSL_CERT_(FILE|DIR)|NODE_(ENV|OPTIONS|PATH|EXTRA_CA_CERTS|ICU_DATA|NO_WARNINGS|COMPILE_CACHE))$/;

function environment({ env }: ProcessSpec, mark: string): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) => PASSED.test(name));
  return { ...Object.fromEntries(passed), ...env, [MARK]: mark };
}

/** Options of node's that are about one process: what it evaluates, the secrets it is given, its debugger, its profiles, its heap. */
const OWN =
  /^(-e|-p|-pe|-i|-c|--(eval|print|check|interactive|input-type|env-file|inspect|debug-port|test|watch|title|prof|cpu-prof|heap-prof|heapsnapshot|max-old-space-size|max-heap-size)\b.*)$/;

/** How modules are found and loaded stays as it is in the host. */
export function inherited(execArgv: readonly string[]): string[] {
  const kept: string[] = [];
  let drops = false;
  for (const option of execArgv) {
    // The value of an option is an item of its own where there is no '='.
    if (option.startsWith('-')) drops = OWN.test(option);
    if (!drops) kept.push(option);
  }
  return kept;
}

/** One that could be begun. */
export type Launched = ChildProcess & { readonly pid: number; readonly stdout: Readable; readonly stderr: Readable };

const MIB = 2 ** 20;

// A border: node's types do not know that it is a pipe.
export const channelOf = (child: Launched): Duplex => child.stdio[CHANNEL] as Duplex;

/** A process for one attempt: the leader of its own session and group, told by a channel, its output piped. */
export function launch(tool: string, spec: ProcessSpec, mark: string): ChildProcess {
  const heap = Math.max(1, Math.ceil(spec.memoryBytes / MIB));
  const options = [...inherited(process.execArgv), `--max-old-space-size=${heap}`];
  return spawn(process.execPath, [...options, beside('runner'), tool], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: environment(spec, mark),
  });
}
