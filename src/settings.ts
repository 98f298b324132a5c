import { userInfo } from 'node:os';
import { BACKEND, BOOLEAN, CLOCK, DEFINITION, FUNCTION, listOf, TOOL } from './define/expected.ts';
import { checkedOptions, type Known } from './define/options.ts';
import type { TroupeOptions } from './options.ts';
import { milliseconds } from './protocol/duration.ts';
import { forsake } from './protocol/forsaken.ts';
import { checkedPrincipal } from './protocol/ids.ts';

/** What a troupe makes of its options. */
export interface Settings {
  readonly principal: string;
  /** Undefined: never. */
  readonly parkAfterMs: number | undefined;
  /** Never throws. */
  readonly report: (error: unknown, where: string) => void;
}

const PARK_AFTER_MS = 60_000;

const OPTIONS: Known<TroupeOptions> = {
  backend: BACKEND,
  definitions: listOf(DEFINITION),
  tools: listOf(TOOL),
  recover: BOOLEAN,
  parkAfter: true,
  inspect: FUNCTION,
  report: FUNCTION,
  clock: CLOCK,
  principal: true,
  random: FUNCTION,
};

/** @throws ValidationError */
export function mustBeKnown(options: TroupeOptions): void {
  checkedOptions(options, OPTIONS, 'createTroupe()');
}

/** @throws ValidationError */
export const settingsOf = ({ principal, parkAfter, report }: TroupeOptions): Settings => ({
  principal: checkedPrincipal(principal ?? userName()),
  parkAfterMs: parkAfterMs(parkAfter),
  report: silenced(report ?? ((error, where) => console.warn(`troupe: ${where}:`, error))),
});

const silenced =
  (report: Settings['report']): Settings['report'] =>
  (error, where) => {
    try {
      // One that is asynchronous may reject as well.
      forsake(report(error, where));
    } catch {
      // Told to nobody, it disturbs nobody.
    }
  };

export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a number that has no name.
    return 'unknown';
  }
}

function parkAfterMs(after: TroupeOptions['parkAfter']): number | undefined {
  if (after === false) return undefined;
  return after === undefined ? PARK_AFTER_MS : milliseconds(after, 'option parkAfter of createTroupe');
}
