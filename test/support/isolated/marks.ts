import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';

/** What isolated tools tell of their processes; all of them are ended with the test, whatever became of it. */
export class Marks {
  readonly folder = mkdtempSync(join(tmpdir(), 'troupe-isolated-'));
  readonly file = join(this.folder, 'marks');

  pids(): number[] {
    if (!existsSync(this.file)) return [];
    return readFileSync(this.file, 'utf8').split('\n').slice(0, -1).map(Number);
  }

  alive(): number[] {
    return this.pids().filter(isAlive);
  }

  close(): void {
    for (const pid of this.alive()) process.kill(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One that is dead and only not yet buried is not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Polls for a fact of other processes. @throws when it does not come about in time */
export async function comesTrue(fact: () => boolean, what: string, withinMs = 20_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !fact(); await pass(5))
    if (performance.now() > deadline) throw new Error(`Waited ${withinMs} ms in vain: ${what}.`);
}
