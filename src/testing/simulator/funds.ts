import type { TenantBudgetOptions } from '../../options.ts';
import type { Random } from './random.ts';

/** What a tenant may spend in a simulation. */
export type FundPlan = TenantBudgetOptions;

export function fundOf(tenant: string, random: Random): FundPlan {
  const perRun = { tokens: 300, usd: 1, steps: random.whole(4, 12) };
  const limits = [
    { steps: random.whole(12, 60) },
    { tokens: random.whole(300, 1_500), steps: random.whole(12, 60) },
    { usd: random.whole(10, 50) / 10 },
  ];
  return { tenant, period: random.pick(['5s', '10s', '24h']), perRun, ...random.pick(limits) };
}

/** For all the runs of a tenant, each with all that it wants. */
export const plentyFor = ({ tenant, perRun, steps, tokens, usd }: FundPlan): FundPlan => ({
  tenant,
  period: '24h',
  ...(perRun && { perRun }),
  ...(steps !== undefined && { steps: 1e12 }),
  ...(tokens !== undefined && { tokens: 1e14 }),
  ...(usd !== undefined && { usd: 8e6 }),
});
