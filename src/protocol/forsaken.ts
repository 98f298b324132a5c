/** A promise that nobody waits for ends the process when it rejects: where one is refused, nobody will. Never throws. */
export function forsake(value: unknown): void {
  try {
    if (value instanceof Promise) Promise.resolve(value).catch(() => {});
  } catch {
    // A proxy may throw when it is looked at: no promise is made so.
  }
}

/** And those within them, for what is refused whole. Never throws. */
export function forsakeAll(...values: unknown[]): void {
  const seen = new Set(values);
  // Grows while it is walked.
  for (const one of seen) {
    forsake(one);
    for (const held of heldBy(one)) seen.add(held);
  }
}

function heldBy(value: unknown): readonly unknown[] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  try {
    return [...Object.values(value), value instanceof Error && value.cause].filter((held) => typeof held === 'object');
  } catch {
    // A getter, or a proxy: it may throw what it likes.
    return [];
  }
}
