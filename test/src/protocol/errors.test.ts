import { describe, expect, test } from 'vitest';
import * as errors from '../../../src/protocol/errors.ts';
import { TroupeError } from '../../../src/protocol/errors.ts';

type Made = new (message: string, context: object, cause?: unknown) => TroupeError;
const { TroupeError: _, ...named } = errors;

/** For life: users match on these. */
const CODES: Record<keyof typeof named, [code: errors.ErrorCode, retryable: boolean]> = {
  ValidationError: ['VALIDATION', false],
  NotFoundError: ['NOT_FOUND', false],
  ToolNotFoundError: ['TOOL_NOT_FOUND', false],
  NotAllowedError: ['NOT_ALLOWED', false],
  ToolTimeoutError: ['TOOL_TIMEOUT', true],
  RateLimitError: ['RATE_LIMIT', true],
  AuthError: ['AUTH', false],
  NetworkError: ['NETWORK', true],
  ProcessExitError: ['PROCESS_EXIT', false],
  MemoryLimitError: ['MEMORY_LIMIT', false],
  PlanError: ['PLAN', false],
  BudgetExceededError: ['BUDGET_EXCEEDED', false],
  KillSwitchTriggeredError: ['KILLED', false],
  InvalidStateTransitionError: ['INVALID_STATE_TRANSITION', false],
  StaleOwnerError: ['STALE_OWNER', false],
  ReplayDivergenceError: ['REPLAY_DIVERGENCE', false],
  JournalTooLongError: ['JOURNAL_TOO_LONG', false],
  CorruptJournalError: ['CORRUPT_JOURNAL', false],
  UnsupportedFormatError: ['UNSUPPORTED_FORMAT', false],
  StorageFullError: ['STORAGE_FULL', true],
  StorageError: ['STORAGE', true],
  DefinitionChangedError: ['DEFINITION_CHANGED', false],
  InDoubtError: ['IN_DOUBT', false],
  RunFailedError: ['RUN_FAILED', false],
  OverloadedError: ['OVERLOADED', true],
  UnreachableError: ['UNREACHABLE', true],
  ClosedError: ['CLOSED', false],
};

describe.each(Object.entries(named))('%s', (name, Class) => {
  test('says its name, code, message and values', () => {
    const context = { run: 'r', what: 1 };
    const error = new (Class as unknown as Made)('it broke', context);
    expect(error).toBeInstanceOf(TroupeError);
    expect(error).toBeInstanceOf(Error);
    const [code, retryable] = CODES[name as keyof typeof named];
    expect([error.name, error.code, error.retryable]).toEqual([name, code, retryable]);
    expect([error.message, error.context]).toEqual(['it broke', context]);
    expect(Object.hasOwn(error, 'cause')).toBe(false);
  });
});

test('two errors do not share a code', () => {
  const codes = Object.values(CODES).map(([code]) => code);
  expect(new Set(codes).size).toBe(codes.length);
});

test('a cause is kept where one is given', () => {
  const cause = new Error('below');
  const made = [
    new errors.ValidationError('m', {}, cause),
    new errors.NetworkError('m', {}, cause),
    new errors.StorageFullError('m', {}, cause),
    new errors.StorageError('m', {}, cause),
    new errors.RunFailedError('m', { run: 'r' }, cause),
  ];
  expect(made.map((error) => error.cause)).toEqual(made.map(() => cause));
});

test('values are an empty object where none are given', () => {
  const made = [new errors.AuthError('m'), new errors.ClosedError('m'), new errors.RateLimitError('m')];
  expect(made.map(({ context }) => context)).toEqual([{}, {}, {}]);
  const bare = [
    new errors.ValidationError('m'),
    new errors.NotFoundError('m'),
    new errors.NetworkError('m'),
    new errors.PlanError('m'),
  ];
  expect([...bare, new TroupeError('CLOSED', 'm')].map(({ context }) => context)).toEqual([{}, {}, {}, {}, {}]);
});
