/** `node --conditions=troupe-source bench/profile.ts step/memory`: where the µs of a step go, by room. From a CPU profile of the window alone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.ts';
import type { Variant } from './table.ts';

interface Node {
  id: number;
  callFrame: { functionName: string; url: string };
  children?: number[];
}

interface Profile {
  nodes: Node[];
  /** In µs, on the monotonic clock. */
  startTime: number;
  samples: number[];
  /** Each since the one before. */
  timeDeltas: number[];
}

const ROOT = new URL('..', import.meta.url).href;
const TOP = 15;

/** Undefined: native code without a file, which belongs to whoever has called it. */
function roomOf({ functionName, url }: Node['callFrame']): string | undefined {
  if (functionName === '(garbage collector)') return 'gc';
  if (/^\((?:idle|program|root)\)$/.test(functionName)) return functionName;
  const [, packaged] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/.exec(url) ?? [];
  if (packaged !== undefined) return packaged;
  if (url.startsWith('node:internal/crypto') || url === 'node:crypto') return 'crypto';
  if (url.startsWith('node:')) return 'node';
  if (url.startsWith(ROOT)) {
    const path = url.slice(ROOT.length);
    // Native code has no frames of its own where the compiler calls it directly.
    if (path.startsWith('src/backends/embedded/sqlite/')) return 'src/backends/embedded/sqlite and SQLite itself';
    if (path.startsWith('src/backends/embedded/memory/')) return 'src/backends/embedded/memory';
    return path;
  }
  return undefined;
}

function roomsOf(nodes: readonly Node[]): Map<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const rooms = new Map<number, string>();
  const walk = (node: Node, caller: string): void => {
    const room = roomOf(node.callFrame) ?? caller;
    rooms.set(node.id, room);
    for (const child of node.children ?? []) {
      const next = byId.get(child);
      if (next !== undefined) walk(next, room);
    }
  };
  const [root] = nodes;
  if (root !== undefined) walk(root, '(root)');
  return rooms;
}

function add(sums: Map<string, number>, key: string, us: number): void {
  sums.set(key, (sums.get(key) ?? 0) + us);
}

function print(what: string, sums: Iterable<[string, number]>, steps: number, total: number): void {
  console.log(`\n${what.padEnd(60)}${'µs per step'.padStart(12)}${'share'.padStart(9)}`);
  for (const [key, us] of sums) {
    const share = `${((us / total) * 100).toFixed(1)} %`;
    console.log(`${key.padEnd(60)}${(us / steps).toFixed(2).padStart(12)}${share.padStart(9)}`);
  }
}

const variant = process.argv[2] as Variant | undefined;
if (variant === undefined) throw new Error('Which one? For example step/memory');
const dir = mkdtempSync(join(tmpdir(), 'troupe-profile-'));
try {
  const figures = run(variant, ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval=200']);
  const { us, steps, from, to } = figures;
  if (us === undefined || steps === undefined || from === undefined || to === undefined)
    throw new Error(`${variant} does not say when its window was: profile a variant of step, plans or rivals.`);
  const [file = ''] = readdirSync(dir);
  const profile = JSON.parse(readFileSync(join(dir, file), 'utf8')) as Profile;
  const rooms = roomsOf(profile.nodes);
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const [byRoom, byFunction] = [new Map<string, number>(), new Map<string, number>()];
  let at = profile.startTime;
  for (const [index, sample] of profile.samples.entries()) {
    const delta = profile.timeDeltas[index] ?? 0;
    at += delta;
    if (at < from || at > to) continue;
    const room = rooms.get(sample) ?? '?';
    add(byRoom, room, delta);
    add(byFunction, `${nodes.get(sample)?.callFrame.functionName || '(anonymous)'}  ${room}`, delta);
  }
  const sampled = [...byRoom.values()].reduce((sum, delta) => sum + delta, 0);
  console.log(`${variant}: ${us.toFixed(1)} µs per step with the profiler on, ${steps} steps, Node ${process.version}`);
  console.log(`sampled: ${((sampled / (to - from)) * 100).toFixed(0)} % of the window`);
  const sorted = (sums: Map<string, number>): [string, number][] => [...sums].sort(([, a], [, b]) => b - a);
  print('room', sorted(byRoom), steps, sampled);
  print(`function, the first ${TOP}`, sorted(byFunction).slice(0, TOP), steps, sampled);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
