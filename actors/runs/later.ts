import { TroupeError } from '../../src/protocol/errors.ts';

/** What has failed once, and may work another time. */

export const AGAIN_MS = 1_000;

export const mayWorkLater = (error: unknown): boolean => !(error instanceof TroupeError) || error.retryable;
