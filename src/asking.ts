import type { BudgetOptions } from './define/budget.ts';
import { BOOLEAN, DEFINITION, oneOf, PLACE, PLAIN_OBJECT, SIGNAL, TEXT } from './define/expected.ts';
import { checkedOptions, type Known } from './define/options.ts';
import type { Asking, KillOptions } from './handle.ts';
import type { Filter } from './listing.ts';
import type { AuditOptions, ForkOptions, StartOptions, TenantBudgetOptions } from './options.ts';
import { RUN_STATUSES } from './protocol/lifecycle.ts';

/** What may be said with each thing that is asked of a troupe or a run: every door looks it up here. */
interface Options {
  start: StartOptions;
  fork: ForkOptions;
  setBudget: TenantBudgetOptions;
  lift: Asking;
  runs: Filter;
  audit: AuditOptions;
  send: Asking & { cause?: string };
  pause: Asking;
  resume: Asking & { budget?: BudgetOptions };
  checkpoint: Asking;
  approve: Asking & { hash?: string };
  deny: Asking & { hash?: string; reason?: string };
  resolve: Asking;
  kill: KillOptions;
}

const OPTIONS: { [Method in keyof Options]: Known<Options[Method]> } = {
  start: { by: true, id: true, budget: true, tenant: true, signal: SIGNAL },
  fork: { by: true, at: PLACE, id: true, budget: true, definition: DEFINITION, replace: PLAIN_OBJECT },
  setBudget: {
    by: true,
    tenant: true,
    period: true,
    perRun: true,
    tokens: true,
    usd: true,
    steps: true,
    toolCalls: true,
  },
  lift: { by: true },
  runs: { status: oneOf([...RUN_STATUSES, 'unreadable']), tenant: TEXT, unfinished: BOOLEAN },
  audit: { run: true, tenant: true, by: true, since: true },
  send: { by: true, cause: true },
  pause: { by: true },
  resume: { by: true, budget: true },
  checkpoint: { by: true },
  approve: { by: true, hash: true },
  deny: { by: true, hash: true, reason: true },
  resolve: { by: true },
  kill: { by: true, grace: true },
};

/** A hash, a budget or a tenant misspelt would be none. @throws ValidationError */
export const optionsOf = <Method extends keyof Options>(method: Method, options: Options[Method]): Options[Method] =>
  checkedOptions<Options[Method]>(options, OPTIONS[method], `${method}()`);
