import { TroupeError } from '../../protocol/errors.ts';
import { errorData } from '../json.ts';

/** One thing that `doctor` has looked at. */
export interface Check {
  check: string;
  status: 'ok' | 'warn' | 'fail';
  /** What was found, and what that means. */
  says: string;
  /** What to do about it. */
  todo?: string;
}

export const ok = (check: string, says: string): Check => ({ check, status: 'ok', says });
export const warn = (check: string, says: string, todo: string): Check => ({ check, status: 'warn', says, todo });
export const fail = (check: string, says: string, todo: string): Check => ({ check, status: 'fail', says, todo });

/** What was thrown; an error of ours says itself what to do. */
export function failed(check: string, error: unknown, todo: string): Check {
  const { code, message } = errorData(error);
  const says = `${code}: ${message}`;
  return error instanceof TroupeError ? { check, status: 'fail', says } : fail(check, says, todo);
}

const NAMED = 5;

/** The first few, and how many there are besides. */
export const some = (names: readonly string[]): string =>
  names.length <= NAMED ? names.join(', ') : `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} more`;
