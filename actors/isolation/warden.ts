import { createInterface } from 'node:readline';
import { systemClock } from '../../src/clock.ts';
import { everybody, Family } from './family.ts';
import type { Exceeded, Guarded } from './guard.ts';

/**
 * The main module of a process that watches the isolated calls of one host: it ends those that hold too much memory, and all of them when
 * the host is gone.
 *
 * It stands outside of the calls' groups and of the host's: a tool that blocks, stops or exhausts its own process cannot keep it from its
 * work, and the host need not search for processes. It hears by a pipe what is under way; the pipe ends with the host, however that ends.
 */

const clock = systemClock();
const LOOK_MS = 100;
const AGAIN_MS = 5;
const PATIENCE_MS = 2_000;

const under = new Map<number, { family: Family; memoryBytes: number }>();
let looks = false;

// It ends when its host does, not when somebody signals all there is.
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => {});
process.stdout.on('error', () => {});

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const guarded = JSON.parse(line) as Guarded;
    if (!('mark' in guarded)) return void under.delete(guarded.pid);
    const { pid, mark, memoryBytes } = guarded;
    under.set(pid, { family: new Family(pid, mark), memoryBytes });
    if (!looks) lookLater();
  })
  .on('close', () => endAll(clock.now() + PATIENCE_MS));

function lookLater(): void {
  looks = under.size > 0;
  if (looks) clock.setTimeout(look, LOOK_MS);
}

function look(): void {
  try {
    endGreedy();
  } catch {
    // There is no file descriptor to look with now.
  }
  lookLater();
}

function endGreedy(): void {
  const all = everybody();
  for (const [pid, { family, memoryBytes }] of under) {
    const residentBytes = family.resident(all);
    if (residentBytes <= memoryBytes) continue;
    // The host is told first: it is to know why the call has ended.
    process.stdout.write(`${JSON.stringify({ pid, residentBytes } satisfies Exceeded)}\n`);
    family.kill();
  }
}

function endAll(deadline: number): void {
  let over = true;
  for (const { family } of under.values()) over = family.kill() && over;
  if (over || clock.now() > deadline) process.exit();
  clock.setTimeout(() => endAll(deadline), AGAIN_MS);
}
