import type { Clock } from '../../clock.ts';

const SLICE_MS = 5;

/** Takes these steps to their end. After some milliseconds the event loop has a turn before the next one. */
export function inSlices(clock: Clock, steps: Iterator<unknown>, done: () => void = () => {}): void {
  const end = clock.now() + SLICE_MS;
  do if (steps.next().done === true) return done();
  while (clock.now() < end);
  clock.immediate(() => inSlices(clock, steps, done));
}
