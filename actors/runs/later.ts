import type { Clock } from '../../src/clock.ts';
import { TroupeError } from '../../src/protocol/errors.ts';

/** What has failed once, and may work another time. */

export const AGAIN_MS = 1_000;

export const mayWorkLater = (error: unknown): boolean => !(error instanceof TroupeError) || error.retryable;

export const isRetryable = (error: unknown): boolean => error instanceof TroupeError && error.retryable;

export interface InsistPorts {
  readonly clock: Clock;
  readonly report: (error: unknown, where: string) => void;
  closed(): boolean;
}

/** However often the store fails. */
export async function insist<T>(what: string, ports: InsistPorts, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isRetryable(error) || ports.closed()) throw error;
      ports.report(error, `${what} is tried again in ${AGAIN_MS} ms`);
    }
    await new Promise<void>((resolve) => void ports.clock.setTimeout(resolve, AGAIN_MS));
  }
}
