/** Errors are thrown at the doors only; inside, a failure is data (`Failure`). The message says what happened, with which values, and what to do. */

export type ErrorCode =
  | 'VALIDATION'
  | 'NOT_FOUND'
  | 'TOOL_NOT_FOUND'
  | 'NOT_ALLOWED'
  | 'TOOL_TIMEOUT'
  | 'RATE_LIMIT'
  | 'AUTH'
  | 'NETWORK'
  | 'PROCESS_EXIT'
  | 'MEMORY_LIMIT'
  | 'PLAN'
  | 'APPROVAL_DENIED'
  | 'BUDGET_EXCEEDED'
  | 'KILLED'
  | 'INVALID_STATE_TRANSITION'
  | 'STALE_OWNER'
  | 'REPLAY_DIVERGENCE'
  | 'JOURNAL_TOO_LONG'
  | 'CORRUPT_JOURNAL'
  | 'UNSUPPORTED_FORMAT'
  | 'STORAGE_FULL'
  | 'STORAGE'
  | 'DEFINITION_CHANGED'
  | 'IN_DOUBT'
  | 'RUN_FAILED'
  | 'OVERLOADED'
  | 'UNREACHABLE'
  | 'CLOSED';

export type Context = Readonly<Record<string, unknown>>;

/** The base of every error that leaves troupe. `context` holds the values the message speaks of. */
export class TroupeError extends Error {
  readonly code: ErrorCode;
  readonly context: Context;
  /** True where the same call may succeed later without a change on the caller's side. */
  readonly retryable: boolean;

  constructor(
    code: ErrorCode,
    message: string,
    options: { context?: Context; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.context = options.context ?? {};
    this.retryable = options.retryable ?? false;
  }
}

/** Something that came in is not what it must be. `context.path` names the place inside it. */
export class ValidationError extends TroupeError {
  constructor(message: string, context: Context = {}, cause?: unknown) {
    super('VALIDATION', message, { context, cause });
  }
}
export class NotFoundError extends TroupeError {
  constructor(message: string, context: Context = {}) {
    super('NOT_FOUND', message, { context });
  }
}
/** `closest`: the registered names nearest to the one asked for. */
export class ToolNotFoundError extends TroupeError {
  constructor(message: string, context: { tool: string; closest: readonly string[] } & Context) {
    super('TOOL_NOT_FOUND', message, { context });
  }
}
export class NotAllowedError extends TroupeError {
  constructor(message: string, context: { tool: string } & Context) {
    super('NOT_ALLOWED', message, { context });
  }
}
export class ToolTimeoutError extends TroupeError {
  constructor(message: string, context: { tool: string; timeoutMs: number }) {
    super('TOOL_TIMEOUT', message, { context, retryable: true });
  }
}
/** Thrown by a tool to say: not now. `retryAfterMs` is honoured; it proves that the call was not performed. */
export class RateLimitError extends TroupeError {
  constructor(message: string, context: { retryAfterMs?: number } & Context = {}) {
    super('RATE_LIMIT', message, { context, retryable: true });
  }
}
export class AuthError extends TroupeError {
  constructor(message: string, context: Context = {}) {
    super('AUTH', message, { context });
  }
}
export class NetworkError extends TroupeError {
  constructor(message: string, context: Context = {}, cause?: unknown) {
    super('NETWORK', message, { context, retryable: true, cause });
  }
}
/** The process of an isolated tool ended without an answer. `stdout`, `stderr`: the end of what it printed; `discardedBytes`: what it had printed before. */
export class ProcessExitError extends TroupeError {
  constructor(message: string, context: { tool: string; exitCode: number | null; signal: string | null } & Context) {
    super('PROCESS_EXIT', message, { context });
  }
}
/** An isolated tool's processes held more memory than it may, and were ended. `residentBytes` is not there where its heap was full. */
export class MemoryLimitError extends TroupeError {
  constructor(message: string, context: { tool: string; memoryBytes: number } & Context) {
    super('MEMORY_LIMIT', message, { context });
  }
}
/** A plan that cannot be loaded. Lines and columns count from 1. */
export class PlanError extends TroupeError {
  constructor(message: string, context: { file?: string; line?: number; column?: number } & Context = {}) {
    super('PLAN', message, { context });
  }
}
/** Too little is left of a limit for what was to begin. `reserved`: held back by calls that are under way; absent: nothing. */
export class BudgetExceededError extends TroupeError {
  constructor(message: string, context: { resource: string; spent: number; reserved?: number; limit: number }) {
    super('BUDGET_EXCEEDED', message, { context });
  }
}
export class KillSwitchTriggeredError extends TroupeError {
  constructor(message: string, context: { run: string; reason: string; by?: string }) {
    super('KILLED', message, { context });
  }
}
/** A command the run's lifecycle does not take in the state it is in. The state is unchanged. */
export class InvalidStateTransitionError extends TroupeError {
  constructor(message: string, context: { run: string; state: string; event: string; allowed: readonly string[] }) {
    super('INVALID_STATE_TRANSITION', message, { context });
  }
}
/** Somebody else owns the run now; this process has stopped it here. */
export class StaleOwnerError extends TroupeError {
  constructor(message: string, context: { run: string } & Context) {
    super('STALE_OWNER', message, { context });
  }
}
/** The journal and the machine disagree at `seq`; nothing was executed. */
export class ReplayDivergenceError extends TroupeError {
  constructor(message: string, context: { run: string; seq: number; expected: unknown; got: unknown }) {
    super('REPLAY_DIVERGENCE', message, { context });
  }
}
export class JournalTooLongError extends TroupeError {
  constructor(message: string, context: { run: string; entries: number; limit: number }) {
    super('JOURNAL_TOO_LONG', message, { context });
  }
}
export class CorruptJournalError extends TroupeError {
  constructor(message: string, context: { run: string; seq: number } & Context) {
    super('CORRUPT_JOURNAL', message, { context });
  }
}
/** Written by another product or a newer version of this one; left as it was. */
export class UnsupportedFormatError extends TroupeError {
  constructor(message: string, context: Context) {
    super('UNSUPPORTED_FORMAT', message, { context });
  }
}
export class StorageFullError extends TroupeError {
  constructor(message: string, context: Context, cause?: unknown) {
    super('STORAGE_FULL', message, { context, retryable: true, cause });
  }
}
/** The store failed. `retryable` is false where trying again cannot help. */
export class StorageError extends TroupeError {
  constructor(message: string, context: Context, cause?: unknown, retryable = true) {
    super('STORAGE', message, { context, cause, retryable });
  }
}
export class DefinitionChangedError extends TroupeError {
  constructor(message: string, context: { run: string } & Context) {
    super('DEFINITION_CHANGED', message, { context });
  }
}
/** A call whose outcome nobody knows stands in the way; a person decides with `resolve`. */
export class InDoubtError extends TroupeError {
  constructor(message: string, context: { run: string; calls: readonly string[] }) {
    super('IN_DOUBT', message, { context });
  }
}
/** What `execute` rejects with when the run failed; `cause` is the run's own error. */
export class RunFailedError extends TroupeError {
  constructor(message: string, context: { run: string } & Context, cause?: unknown) {
    super('RUN_FAILED', message, { context, cause });
  }
}
/** Refused because too much waits already; nothing was done. */
export class OverloadedError extends TroupeError {
  constructor(message: string, context: Context = {}) {
    super('OVERLOADED', message, { context, retryable: true });
  }
}
/** Nobody is there to answer, or nobody answered in time. */
export class UnreachableError extends TroupeError {
  constructor(message: string, context: Context = {}) {
    super('UNREACHABLE', message, { context, retryable: true });
  }
}
export class ClosedError extends TroupeError {
  constructor(message: string, context: Context = {}) {
    super('CLOSED', message, { context });
  }
}
