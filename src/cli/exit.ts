import { TroupeError, type ErrorCode } from '../protocol/errors.ts';
import type { Summary } from '../summary.ts';

/** What every command ends with. */
export const EXIT = {
  completed: 0,
  failed: 1,
  /** Also a bad config, a bad plan, an unknown run. */
  usage: 2,
  killed: 3,
  budget: 4,
  /** Waiting for a person: an approval, a decision, a message, somebody who resumes it. */
  waiting: 5,
  /** Left at a signal, as shells have it. */
  left: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  VALIDATION: EXIT.usage,
  NOT_FOUND: EXIT.usage,
  TOOL_NOT_FOUND: EXIT.usage,
  NOT_ALLOWED: EXIT.usage,
  PLAN: EXIT.usage,
  INVALID_STATE_TRANSITION: EXIT.usage,
  DEFINITION_CHANGED: EXIT.usage,
  BUDGET_EXCEEDED: EXIT.budget,
  KILLED: EXIT.killed,
  APPROVAL_DENIED: EXIT.failed,
  IN_DOUBT: EXIT.waiting,
};

export const exitOfError = (error: unknown): ExitCode =>
  (error instanceof TroupeError ? BY_CODE[error.code] : undefined) ?? EXIT.failed;

/** A run that has not ended only waits: for whom is not this process to say. */
export function exitOfSummary({ status, error }: Summary): ExitCode {
  switch (status) {
    case 'completed':
      return EXIT.completed;
    case 'failed':
      return error?.code === 'BUDGET_EXCEEDED' ? EXIT.budget : EXIT.failed;
    case 'killed':
      return EXIT.killed;
    case 'created':
    case 'running':
    case 'paused':
    case 'wrappingUp':
      return EXIT.waiting;
  }
}

const GRAVEST: readonly ExitCode[] = [EXIT.left, EXIT.failed, EXIT.usage, EXIT.budget, EXIT.killed, EXIT.waiting];

/** Of several runs the gravest end counts. */
export const gravest = (codes: readonly ExitCode[]): ExitCode =>
  GRAVEST.find((code) => codes.includes(code)) ?? EXIT.completed;
