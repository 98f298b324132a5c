import { ValidationError } from './errors.ts';

declare const brand: unique symbol;
export type Branded<Name extends string> = string & { readonly [brand]: Name };

export type RunId = Branded<'RunId'>;
export type OwnerId = Branded<'OwnerId'>;
/** Whose run it is. No subject of one tenant can be read as another's. */
export type TenantId = Branded<'TenantId'>;
/** `<run>/inbox`: what others have to say to a run. */
export type InboxId = Branded<'InboxId'>;
export type JournalId = RunId | InboxId;

const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** The one shape of an id: it becomes a subject token, a key, a file name and a property, so it can hold no `.`, `/`, `*` or space. */
export const isId = (value: unknown): value is string =>
  typeof value === 'string' && ID.test(value) && value !== '__proto__';

const show = (value: unknown): string => {
  if (typeof value !== 'string') return typeof value;
  // Of one that is very long no more is read.
  const text = JSON.stringify(value.slice(0, 80));
  return text.length > 80 ? `${text.slice(0, 80)}… (${value.length} characters)` : text;
};

/** @throws ValidationError unless `value` is 1 to 128 of A-Z a-z 0-9 _ - */
export function checkId(value: unknown, what: string): string {
  if (isId(value)) return value;
  throw new ValidationError(
    `The ${what} ${show(value)} is not an id: use 1 to 128 characters of A-Z, a-z, 0-9, _ and -.`,
    {
      what,
      value: show(value),
    },
  );
}

/** No run has this id: its inbox is the control log, of what is asked of more than one run. */
export const CONTROL = 'troupe' as RunId;

/** @throws ValidationError */
export function runId(value: unknown): RunId {
  const id = checkId(value, 'run id');
  if (id !== CONTROL) return id as RunId;
  throw new ValidationError(
    `The run id '${CONTROL}' is reserved for the log of what is asked of more than one run; choose another.`,
    { what: 'run id', value: id },
  );
}

export const ownerId = (value: unknown): OwnerId => checkId(value, 'owner id') as OwnerId;

/** @throws ValidationError */
export const tenantId = (value: unknown): TenantId => checkId(value, 'tenant id') as TenantId;

const MAX_PRINCIPAL = 256;

/** Who asks for something: any text, as the caller names people. @throws ValidationError */
export function checkedPrincipal(by: unknown): string {
  if (typeof by === 'string' && by.length > 0 && by.length <= MAX_PRINCIPAL && by.isWellFormed()) return by;
  throw new ValidationError(`${show(by)} does not name who asks; use a text of 1 to ${MAX_PRINCIPAL} characters.`, {
    by: show(by),
  });
}

const MAX_TEXT = 10_000;

/** What somebody says beside what they ask, such as a reason: any text. @throws ValidationError */
export function checkedText(text: unknown, what: string): string {
  if (typeof text === 'string' && text.length <= MAX_TEXT && text.isWellFormed()) return text;
  throw new ValidationError(
    `The ${what} ${show(text)} cannot be recorded; use a text of at most ${MAX_TEXT} characters.`,
    { what, limit: MAX_TEXT },
  );
}

export const DEFAULT_TENANT = tenantId('default');

export const inboxOf = (run: RunId): InboxId => `${run}/inbox` as InboxId;

/** The run whose journal or inbox it is. @throws ValidationError */
export const journalId = (value: unknown): JournalId => {
  const run = typeof value === 'string' && value.endsWith('/inbox') ? value.slice(0, -'/inbox'.length) : value;
  checkId(run, 'run id');
  return value as JournalId;
};
