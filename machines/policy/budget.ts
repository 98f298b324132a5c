import type { Budget } from '../../src/protocol/entry.ts';

/** What is over its limit if one more step is granted, or undefined. */
export function overspent(
  budget: Budget | null,
  spent: { steps: number },
): { resource: string; spent: number; limit: number } | undefined {
  const limit = budget?.steps;
  return limit !== undefined && spent.steps >= limit ? { resource: 'steps', spent: spent.steps, limit } : undefined;
}
