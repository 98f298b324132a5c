import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Family } from '../../../actors/isolation/family.ts';

/** A host that has no file descriptor left to look for processes with; prints whether it takes them for gone then, and whether it does later. */

const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
const exited = new Promise((resolve) => child.on('exit', resolve));
const family = new Family(child.pid ?? 0, 'blind');
const held: number[] = [];
try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch {
  // That was the last.
}
const blind = family.kill();
for (const descriptor of held) closeSync(descriptor);
await exited;
const later = family.kill();
console.log(JSON.stringify({ blind, later }));
