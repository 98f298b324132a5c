const waiting = new Set<() => void>();

/** As the promise; rejects once nothing is left that could settle it. */
export function orNever<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const never = (): void => reject(new Error('it awaits something that never comes'));
    waiting.add(never);
    promise.then(resolve, reject).finally(() => waiting.delete(never));
  });
}

/** Nothing is left to wait for; false where nobody was waiting for it either. */
export function tellIdle(): boolean {
  for (const never of waiting) never();
  const told = waiting.size > 0;
  waiting.clear();
  return told;
}
