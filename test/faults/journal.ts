import { createHash } from 'node:crypto';
import type { Entry } from 'troupe';
import { expect } from 'vitest';
import { RUN } from './job.ts';

/** Two reads, and a mail for each contact. */
export const MAILS = 12;
const CALLS = 2 + MAILS;

/** `body/c/mail.send_email:2/attempt:3` is an attempt of the call `body/c/mail.send_email:2`. */
const callOf = (target: string): string => target.slice(0, target.lastIndexOf('/'));

/** The Message-ID of the mail of a call: its idempotency key, whatever the attempt. */
export const messageIdOf = (call: string): string =>
  `<${createHash('sha256').update(`${RUN}/${call}`).digest('base64url').slice(0, 32)}@troupe.example>`;

/** Irreversible intents, by attempt. */
const intents = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ type, target, event }) =>
    type === 'leaf.started' && event.effect === 'irreversible' ? [target] : [],
  );

const outcomes = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ type, target }) =>
    type === 'leaf.succeeded' || type === 'leaf.failed' || type === 'leaf.abandoned' ? [target] : [],
  );

/** The calls that may have sent their mail, as far as the journal knows. */
export const begun = (entries: readonly Entry[]): string[] => [...new Set(intents(entries).map(callOf))];

/** Begun, irreversible, and without an outcome. */
export function unknown(entries: readonly Entry[]): string[] {
  const known = new Set(outcomes(entries));
  return intents(entries)
    .filter((target) => !known.has(target))
    .map(callOf)
    .toSorted();
}

export const isEnded = (entries: readonly Entry[]): boolean => entries.at(-1)?.type === 'run.completed';

/** Where a kill has hit. */
export function phase(entries: readonly Entry[]): string {
  if (entries.length === 0) return 'nothing recorded';
  if (isEnded(entries)) return 'shutting down';
  if (intents(entries).length === 0) return 'before the first send';
  if (unknown(entries).length > 0) return 'sends under way';
  return outcomes(entries).length === CALLS ? 'before the end' : 'between sends';
}

/** What holds of the journal of a run that has ended, whatever befell it. `retried`: calls somebody has said to begin again. */
export function expectLawful(entries: readonly Entry[], retried: readonly string[]): void {
  expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1));
  const epochs = entries.map(({ epoch }) => epoch);
  expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
  expect(repeated(outcomes(entries)), 'two outcomes of one attempt').toEqual([]);
  expect(repeated(intents(entries)), 'an attempt begun twice').toEqual([]);
  expect(repeated(intents(entries).map(callOf)), 'a call begun twice').toEqual(retried.toSorted());
  const decided = entries.flatMap(({ type, target, event }) =>
    type === 'message.received' && 'output' in event.event ? [target] : [],
  );
  const settled = outcomes(entries).map(callOf).concat(decided);
  expect(repeated(settled), 'two outcomes of one call').toEqual([]);
  expect(settled).toHaveLength(CALLS);
}

/** One for each time too many. */
const repeated = (keys: readonly string[]): string[] =>
  keys.filter((key, index) => keys.indexOf(key) !== index).toSorted();
