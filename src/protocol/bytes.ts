import { ValidationError } from './errors.ts';
import { shown } from './shown.ts';

/** `'512MB'`, `'1.5GiB'`, `'64KiB'`, or a number of bytes. A MB is a million of them, a MiB 2²⁰. */
export type Bytes = number | `${number}${'B' | 'KB' | 'MB' | 'GB' | 'KiB' | 'MiB' | 'GiB'}`;

const UNITS: Record<string, number> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** As a whole number. @throws ValidationError */
export function bytes(size: Bytes, what: string): number {
  const [, count, unit] = typeof size === 'string' ? (/^(\d+(?:\.\d+)?)([KMG]i?B|B)$/.exec(size) ?? []) : [];
  const many = typeof size === 'number' ? size : Math.floor(Number(count) * (UNITS[unit ?? ''] ?? NaN));
  if (Number.isSafeInteger(many) && many >= 0) return many;
  throw new ValidationError(
    `The ${what} ${shown(size)} is not a size: use a whole number of bytes or '64KiB', '512MB', '1.5GiB'.`,
    { what, size },
  );
}
