/** A list in pieces: a changed copy shares all but one of them, so that a machine's context may be long and stay a value. */
export type Vector<T> = readonly (readonly T[])[];

const PIECE = 64;

export function vector<T>(items: readonly T[]): Vector<T> {
  const pieces: T[][] = [];
  for (let from = 0; from < items.length; from += PIECE) pieces.push(items.slice(from, from + PIECE));
  return pieces;
}

export const at = <T>(items: Vector<T>, index: number): T | undefined =>
  items[Math.floor(index / PIECE)]?.[index % PIECE];

/** With another item at `index`, which may be the end. */
export function put<T>(items: Vector<T>, index: number, item: T): Vector<T> {
  const piece = Math.floor(index / PIECE);
  const changed = items[piece]?.slice() ?? [];
  changed[index % PIECE] = item;
  const copy = items.slice();
  copy[piece] = changed;
  return copy;
}
