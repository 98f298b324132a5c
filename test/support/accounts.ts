import { expect } from 'vitest';
import { ledgerStore, type Account, type Entry } from '../../src/index.ts';

/** After each of them. */
export function accountsOf(entries: readonly Entry[]): Account[] {
  const store = ledgerStore();
  return entries.map((entry) => {
    store.trigger.entry({ entry });
    return store.getSnapshot().context;
  });
}
export const accountOf = (entries: readonly Entry[]): Account => accountsOf(entries).at(-1) as Account;

/** B1. */
export function mustStayWithin(entries: readonly Entry[]): void {
  for (const { limits, spent, reserved } of accountsOf(entries))
    for (const [resource, limit] of Object.entries(limits) as [keyof typeof spent, number][])
      // Shown in dollars, each is exact; their sum here is not.
      expect(spent[resource] + reserved[resource]).toBeLessThanOrEqual(limit + 1e-12);
}
