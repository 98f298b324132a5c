import type { BudgetOptions } from './define/budget.ts';
import { checkedOptions } from './define/options.ts';
import type { Asking, KillOptions } from './handle.ts';

/** What may be said with each thing that is asked of a run. */
interface Options {
  send: Asking & { cause?: string };
  pause: Asking;
  resume: Asking & { budget?: BudgetOptions };
  checkpoint: Asking;
  approve: Asking & { hash?: string };
  deny: Asking & { hash?: string; reason?: string };
  resolve: Asking;
  kill: KillOptions;
}

const OPTIONS: { [Method in keyof Options]: Readonly<Record<keyof Options[Method], true>> } = {
  send: { by: true, cause: true },
  pause: { by: true },
  resume: { by: true, budget: true },
  checkpoint: { by: true },
  approve: { by: true, hash: true },
  deny: { by: true, hash: true, reason: true },
  resolve: { by: true },
  kill: { by: true, grace: true },
};

/** A hash or a budget misspelt would be none. @throws ValidationError */
export const optionsOf = <Method extends keyof Options>(method: Method, options: Options[Method]): Options[Method] =>
  checkedOptions<Options[Method]>(options, OPTIONS[method], `${method}()`);
