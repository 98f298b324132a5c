import { RESOURCES } from '../protocol/amount.ts';
import type { Limits, Resource, Spent } from '../protocol/entry.ts';
import { duration } from './render.ts';

const NAMES: Record<Resource, string> = {
  tokens: 'tokens',
  usd: 'usd',
  steps: 'steps',
  toolCalls: 'toolCalls',
  wallClockMs: 'wallClock',
};

const shown = (resource: Resource, amount: number): string =>
  resource === 'wallClockMs' ? duration(amount) : String(Number(amount.toFixed(9)));

/** The command by which a paused run goes on; with its budget as it is, it would be paused at once again. */
export const resuming = (run: string, exhausted: Resource | undefined): string =>
  `troupe resume ${run}${exhausted === undefined ? '' : ` --budget ${NAMES[exhausted]}=<more>`}`;

/** `steps 3 of 10, usd 0.12 of 0.5`: what is limited, and what costs money, by the names that `--budget` takes. Empty where there is neither. */
export const spentText = (limits: Limits, spent: Spent): string =>
  RESOURCES.flatMap((resource) => {
    const limit = limits[resource];
    if (limit !== undefined)
      return [`${NAMES[resource]} ${shown(resource, spent[resource])} of ${shown(resource, limit)}`];
    const costs = resource === 'tokens' || resource === 'usd';
    return costs && spent[resource] > 0 ? [`${NAMES[resource]} ${shown(resource, spent[resource])}`] : [];
  }).join(', ');
