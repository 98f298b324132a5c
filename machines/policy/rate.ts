import type { RateSpec } from '../../src/protocol/spec.ts';

/** When the last calls began, oldest first: as many as the limit counts. Times are in ms and come in with the events. */
export type Begins = readonly number[];

/** From when on another call may begin. */
export function nextAt(begins: Begins, rate: RateSpec | undefined): number {
  if (rate === undefined || begins.length < rate.limit) return -Infinity;
  return (begins[begins.length - rate.limit] ?? 0) + rate.perMs;
}

export const begun = (begins: Begins, rate: RateSpec | undefined, now: number): Begins =>
  rate === undefined ? begins : [...begins.slice(begins.length >= rate.limit ? 1 : 0), now];
