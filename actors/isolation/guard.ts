import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { systemClock } from '../../src/clock.ts';
import { beside } from './launch.ts';

/** What the warden is told: a call is under way, or is over. `pid`: of its first process. */
export type Guarded = { pid: number; mark: string; memoryBytes: number } | { pid: number };
/** What it tells: this call held too much, and is being ended. */
export interface Exceeded {
  pid: number;
  residentBytes: number;
}

type Warden = ChildProcessByStdio<Writable, Readable, null>;

const clock = systemClock();
/** Another call may come soon. */
const LINGER_MS = 10_000;
const AGAIN_MS = 100;

/** One warden for a process: what it guards goes by process ids, of which a machine has one set. */
const under = new Map<number, { guarded: Guarded; exceeds: (residentBytes: number) => void }>();
let warden: Warden | undefined;
let leaving: unknown;

/**
 * Until the release is called, a call's processes are ended when they hold too much, or when this process is gone.
 *
 * @throws an Error where no warden could be started: then nobody guards the call
 */
export function guard(guarded: Guarded, exceeds: (residentBytes: number) => void): () => void {
  const { pid } = guarded;
  under.set(pid, { guarded, exceeds });
  clock.clearTimeout(leaving);
  try {
    if (warden === undefined) appoint();
    else tell(warden, guarded);
  } catch (error) {
    under.delete(pid);
    throw error;
  }
  return () => {
    under.delete(pid);
    if (warden !== undefined) tell(warden, { pid });
    if (under.size === 0) leaving = clock.setTimeout(dismiss, LINGER_MS, false);
  };
}

function appoint(): void {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const appointed: Warden = spawn(process.execPath, [beside('warden')], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH, NODE_COMPILE_CACHE },
  });
  if (appointed.pid === undefined) {
    // Why comes later, as an event; that it has no pipes is known now.
    appointed.on('error', () => {});
    throw new Error('its warden could not be started; there may be no file descriptors or processes left');
  }
  warden = appointed;
  const gone = (bySomebody: boolean): void => {
    if (warden !== appointed) return;
    warden = undefined;
    // One that ended by itself would do so again; the next call tries.
    if (bySomebody) reappoint();
  };
  appointed.on('exit', (_, by) => gone(by !== null)).on('error', () => gone(false));
  appointed.stdin.on('error', () => {});
  createInterface({ input: appointed.stdout }).on('line', (line) => {
    const { pid, residentBytes } = JSON.parse(line) as Exceeded;
    under.get(pid)?.exceeds(residentBytes);
  });
  // It waits for the end of this process, and not the other way round.
  for (const one of [appointed, appointed.stdin, appointed.stdout]) (one as { unref?: () => void }).unref?.();
  for (const { guarded } of under.values()) tell(appointed, guarded);
}

/** Calls are under way: a moment without file descriptors must not leave them unguarded for good. */
function reappoint(): void {
  if (under.size === 0 || warden !== undefined) return;
  try {
    appoint();
  } catch {
    clock.setTimeout(reappoint, AGAIN_MS, false);
  }
}

function tell({ stdin }: Warden, guarded: Guarded): void {
  stdin.write(`${JSON.stringify(guarded)}\n`);
}

/** The end of its pipe is the end of its work. */
function dismiss(): void {
  warden?.stdin.end();
  warden = undefined;
}
