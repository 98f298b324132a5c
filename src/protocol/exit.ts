import { text } from './shown.ts';

/** An error as data: what a journal keeps of it. `instanceof` is not kept. */
export interface Failure {
  name: string;
  message: string;
  code?: string | number;
  data?: unknown;
  cause?: unknown;
  /** The thrower's word that the call did not happen, so that even an irreversible one may be tried again. */
  notPerformed?: true;
}

/** How a tool call or a plan ended. */
export type Exit<Output = unknown> =
  | { status: 'succeeded'; output: Output }
  | { status: 'failed'; error: Failure }
  | { status: 'killed' };

/** How a leaf ended, as far as whoever gave it room must know. `abandoned`: its state was left. */
export type CallEnd = { status: 'succeeded' } | { status: 'failed'; error: unknown } | { status: 'abandoned' };

export const failure = (name: string, code: string, message: string, data?: unknown): Failure =>
  data === undefined ? { name, code, message } : { name, code, message, data };

/** What was thrown, as a `Failure`, whatever it is. */
export function toFailure(error: unknown): Failure {
  if (typeof error !== 'object' || error === null || !('message' in error))
    return failure('Error', 'UNKNOWN', `Thrown: ${text(error)}`, error);
  const { name, message, code, data, cause, notPerformed } = error as Partial<Failure>;
  return {
    name: text(name ?? 'Error'),
    message: text(message),
    ...(code === undefined ? {} : { code }),
    ...(data === undefined ? {} : { data }),
    ...(cause === undefined ? {} : { cause }),
    ...(notPerformed === true ? { notPerformed } : {}),
  };
}

/** It is certain that the call did nothing. */
export const isNotPerformed = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'notPerformed' in error;
