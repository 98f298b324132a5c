/** Each after its parent, with how deep it stands; one whose parent is not among them stands for itself. */
export function family<T extends { run: string; parent: { run: string } | null }>(
  runs: readonly T[],
): { info: T; depth: number }[] {
  const ids = new Set(runs.map(({ run }) => run));
  const children = new Map<string | undefined, T[]>();
  for (const info of runs) {
    const parent = info.parent !== null && ids.has(info.parent.run) ? info.parent.run : undefined;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [info]);
    else siblings.push(info);
  }
  const listed: { info: T; depth: number }[] = [];
  // Its own stack: how deep a family goes is not ours to bound.
  const open = (children.get(undefined) ?? []).map((info) => ({ info, depth: 0 })).reverse();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { info, depth } = next;
    listed.push(next);
    for (const child of (children.get(info.run) ?? []).toReversed()) open.push({ info: child, depth: depth + 1 });
  }
  return listed;
}

/** An id under that of its parent. */
export const indented = (run: string, depth: number): string =>
  depth === 0 ? run : `${'  '.repeat(Math.min(depth, 8) - 1)}└ ${run}`;
