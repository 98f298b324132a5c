import { BudgetExceededError, KillSwitchTriggeredError, RunFailedError, type TroupeError } from './protocol/errors.ts';
import type { Failure } from './protocol/exit.ts';
import type { Summary } from './summary.ts';

/** `data` is the output; the fields of an object output can be read directly, too. */
export type Result<Output> =
  | ({ success: true; data: Output; error?: never; metadata: Summary } & (Output extends readonly unknown[] | Uint8Array
      ? unknown
      : Output extends object
        ? Readonly<Output>
        : unknown))
  | { success: false; error: Failure; data?: never; metadata: Summary };

/** Of a run that has ended. */
export const resultOf = (metadata: Summary): Result<unknown> =>
  metadata.status === 'completed' ? completed(metadata) : failed(metadata);

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

function completed(metadata: Summary): Result<unknown> {
  const { output } = metadata;
  return { ...(isPlain(output) ? output : {}), success: true, data: output, metadata } as Result<unknown>;
}

const failed = (metadata: Summary): Result<never> => ({
  success: false,
  error: metadata.error ?? { name: 'KillSwitchTriggeredError', code: 'KILLED', message: metadata.reason ?? 'killed' },
  metadata,
});

/** What `execute` throws for a run that did not complete. */
export function errorOf({ error, metadata }: Extract<Result<unknown>, { success: false }>): TroupeError {
  const { run, status } = metadata;
  if (status === 'killed')
    return new KillSwitchTriggeredError(`Run ${run} was killed: ${metadata.reason ?? 'no reason given'}.`, {
      run,
      reason: metadata.reason ?? '',
    });
  if (error.code === 'BUDGET_EXCEEDED')
    return new BudgetExceededError(
      `Run ${run}: ${error.message}`,
      error.data as { resource: string; spent: number; limit: number },
    );
  return new RunFailedError(`Run ${run} failed: ${error.message}`, { run, error }, error);
}
