import { amount, isWithin, larger, NOTHING, type Amount } from './protocol/amount.ts';
import type { Limits } from './protocol/entry.ts';
import type { RunId } from './protocol/ids.ts';

/** `notPerformed`: it is certain that it did nothing. */
export type HowEnded = 'ended' | 'notPerformed' | 'abandoned';

/** What its end says of a call that had not begun, though its begin is on record. Of one that had begun it says more, or nothing: see `held`. */
export const NOT_BEGUN: Limits = Object.freeze({});
export const isNotBegun = (cost: Limits | undefined): boolean => cost !== undefined && Object.keys(cost).length === 0;

/** A call that has begun, or was granted: what it holds back, and what it will have cost. */
export class OpenCall {
  /** Of the tool calls in it the first is the call itself, unless it begins a run. */
  readonly reserved: Readonly<Amount>;
  /** What it has said that it costs; not on record before its end. */
  charged: Amount | undefined = undefined;
  underWay = false;
  /** Its begin is on record. */
  begun = false;
  /** It was in doubt, and is let begin again. */
  before: OpenCall | undefined;
  /** The run that it has begun; the time that was spent then, and how long that run has taken. */
  child: { run: RunId; since: number; tookMs: number } | undefined = undefined;

  constructor(reserved: Readonly<Amount>, before: OpenCall | undefined) {
    this.reserved = reserved;
    this.before = before;
  }

  /** The larger of what it has reserved and what it has charged: the very amount that it has reserved, if that is no less. */
  get held(): Readonly<Amount> {
    const { charged, reserved } = this;
    return charged === undefined || isWithin(charged, reserved) ? reserved : larger(reserved, charged);
  }

  /** It has cost so much more. What it has charged beyond what it had reserved. */
  charge(more: Readonly<Amount>): { tokens: boolean; usd: boolean } {
    const charged = (this.charged ??= amount());
    charged.tokens += more.tokens;
    charged.nanoUsd += more.nanoUsd;
    return {
      tokens: more.tokens > 0 && charged.tokens > this.reserved.tokens,
      usd: more.nanoUsd > 0 && charged.nanoUsd > this.reserved.nanoUsd,
    };
  }

  /** What it costs if it ends now. `notPerformed`: only what it has charged. */
  costOf(how: HowEnded): Readonly<Amount> {
    const { charged, reserved, child } = this;
    if (how === 'abandoned') return this.held;
    if (charged === undefined && how === 'ended') return reserved;
    if (child !== undefined) return charged === undefined ? NOTHING : { ...charged, wallClockMs: child.tookMs };
    const own = Math.min(1, reserved.toolCalls);
    if (charged === undefined) return own === 0 ? NOTHING : { ...NOTHING, toolCalls: own };
    return own === 0 ? charged : { ...charged, toolCalls: charged.toolCalls + own };
  }
}
