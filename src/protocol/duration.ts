import { ValidationError } from './errors.ts';
import { shown } from './shown.ts';

/** `'10s'`, `'1.5h'`, `'250ms'`, or a number of milliseconds. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** In milliseconds. @throws ValidationError, also when it is longer than `atMost` */
export function milliseconds(duration: Duration, what: string, atMost = Infinity): number {
  const [, count, unit] = typeof duration === 'string' ? (/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? []) : [];
  const ms = typeof duration === 'number' ? duration : Number(count) * (UNITS[unit ?? ''] ?? NaN);
  if (ms > atMost)
    throw new ValidationError(`The ${what} ${duration} is too long: ${atMost} ms at most.`, { what, duration, atMost });
  if (Number.isFinite(ms) && ms >= 0) return ms;
  throw new ValidationError(
    `The ${what} ${shown(duration)} is not a duration: use milliseconds or '250ms', '10s', '5m', '1h', '30d'.`,
    {
      what,
      duration,
    },
  );
}
