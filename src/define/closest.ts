const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    row = next;
  }
  return row[b.length] ?? 0;
};

/** The name without its module; somebody may have left that out. */
const local = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** At most three of `names` that somebody who wrote `name` may have meant, nearest first. */
export function closest(name: string, names: readonly string[]): string[] {
  const written = name.toLowerCase();
  const limit = Math.max(2, Math.floor(name.length / 2));
  const away = (candidate: string): number =>
    Math.min(
      distance(written, candidate),
      written.includes('.') ? Infinity : distance(written, local(candidate)) + 0.5,
    );
  return names
    .map((candidate) => ({ candidate, away: away(candidate.toLowerCase()) }))
    .filter((near) => near.away <= limit)
    .sort((a, b) => a.away - b.away)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** For the end of a sentence. */
export const near = (name: string, names: readonly string[]): string => {
  // The distance to every name is worth it for something as short as one.
  const found = closest(name.slice(0, 100), names);
  return found.length === 0 ? '' : `; closest: ${found.join(', ')}`;
};
