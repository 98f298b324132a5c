import { systemClock } from '../clock.ts';

const waiting = new Set<() => void>();

/** As the promise; rejects once nothing is left that could settle it. */
export function orNever<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const never = (): void => reject(new Error('it awaits something that never comes'));
    waiting.add(never);
    promise.then(resolve, reject).finally(() => waiting.delete(never));
  });
}

/** As the promise; resolves to 'idle' once nothing is left that could settle it. */
export function orIdle<T>(promise: Promise<T>): Promise<T | 'idle'> {
  return new Promise((resolve, reject) => {
    const idle = (): void => resolve('idle');
    waiting.add(idle);
    promise.then(resolve, reject).finally(() => waiting.delete(idle));
  });
}

/** Nothing is left to wait for; false where nobody was waiting for it either. */
export function tellIdle(): boolean {
  for (const tell of waiting) tell();
  const told = waiting.size > 0;
  waiting.clear();
  // Whoever was told may wait for something again: if that comes to nothing either, it is to be heard of once more.
  if (told) systemClock().setTimeout(() => {}, 0);
  return told;
}
