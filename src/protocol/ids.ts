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
  const text = typeof value === 'string' ? JSON.stringify(value) : String(typeof value);
  return text.length > 80 ? `${text.slice(0, 80)}… (${text.length} characters)` : text;
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

/** @throws ValidationError */
export const runId = (value: unknown): RunId => checkId(value, 'run id') as RunId;

export const ownerId = (value: unknown): OwnerId => checkId(value, 'owner id') as OwnerId;

/** @throws ValidationError */
export const tenantId = (value: unknown): TenantId => checkId(value, 'tenant id') as TenantId;

export const DEFAULT_TENANT = tenantId('default');

export const inboxOf = (run: RunId): InboxId => `${run}/inbox` as InboxId;

/** The run whose journal or inbox it is. @throws ValidationError */
export const journalId = (value: unknown): JournalId => {
  const run = typeof value === 'string' && value.endsWith('/inbox') ? value.slice(0, -'/inbox'.length) : value;
  checkId(run, 'run id');
  return value as JournalId;
};
