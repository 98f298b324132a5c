import { milliseconds, type Duration } from '../protocol/duration.ts';
import type { OnFailure, RetrySpec, StepSpec } from '../protocol/spec.ts';
import type { Refuse, Word } from './line.ts';
import { asCount, asList, asOneOf, asText, atDoor, fieldsOf } from './shapes.ts';
import type { Field, Value } from './yaml.ts';

export const STEP_FIELDS = [
  'tool',
  'plan',
  'needs',
  'optional',
  'anyOf',
  'when',
  'each',
  'input',
  'concurrency',
  'onFailure',
  'retry',
  'timeout',
] as const;
export type StepFields = Partial<Record<(typeof STEP_FIELDS)[number], Field>>;

const ON_FAILURE: readonly OnFailure[] = ['fail', 'skip', 'continue'];

/** The steps that a field names. */
export const waitsOf = (field: Field | undefined, refuse: Refuse): Word[] =>
  field === undefined
    ? []
    : asList(field.value, field.key, refuse).map((one) => {
        const { line, column } = one;
        return { text: asText(one, field.key, refuse), line, column };
      });

/** How a step's calls are made, and what becomes of one that fails. */
export function rulesOf(
  { each, concurrency, onFailure, retry, timeout, plan }: StepFields,
  refuse: Refuse,
): Partial<StepSpec> {
  const tries = retry ?? timeout;
  if (plan !== undefined && tries !== undefined)
    throw refuse(tries.at, `A plan has no ${tries.key}; give it to the steps of that plan.`);
  if (concurrency !== undefined && each === undefined)
    throw refuse(concurrency.at, 'A step has a concurrency where it has each.');
  return {
    ...(concurrency && { concurrency: asCount(concurrency.value, 'concurrency', refuse) }),
    ...(onFailure && { onFailure: asOneOf(onFailure.value, ON_FAILURE, 'onFailure', refuse) }),
    ...(retry && { retry: retryOf(retry.value, refuse) }),
    ...(timeout && { timeoutMs: durationOf(timeout, refuse) }),
  };
}

function retryOf(value: Value, refuse: Refuse): Partial<RetrySpec> {
  const { attempts, delay, maxDelay } = fieldsOf(value, ['attempts', 'delay', 'maxDelay'], 'retry', refuse);
  return {
    ...(attempts && { attempts: asCount(attempts.value, 'attempts', refuse) }),
    ...(delay && { delayMs: durationOf(delay, refuse) }),
    ...(maxDelay && { maxDelayMs: durationOf(maxDelay, refuse) }),
  };
}

function durationOf({ key, value }: Field, refuse: Refuse): number {
  const duration = value.kind === 'scalar' ? value.value : null;
  return atDoor(value, refuse, () => milliseconds(duration as Duration, key));
}
