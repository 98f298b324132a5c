import { checkId, isId, type Branded, type RunId, type TenantId } from './ids.ts';

/**
 * Names of what is said on the bus: `troupe.<tenant>.<kind>.<run>`, made and read here alone.
 *
 * N1. Tokens from outside are ids, so they can add no token and no wildcard.
 * N2. `parseSubject` gives back exactly what a subject was made of.
 */

/** `inbox`: this run's inbox has grown. `kill`: this run was killed. */
type SubjectKind = 'inbox' | 'kill';

/** What is published to. */
export type Subject = Branded<'Subject'>;
/** What is subscribed to: `*` stands for one token, a last `>` for one or more. */
export type Pattern = Branded<'Pattern'> | Subject;

export interface SubjectParts {
  tenant: TenantId;
  kind: SubjectKind;
  run: RunId;
}

const ROOT = 'troupe';

/** @throws ValidationError */
export const inboxSubject = (tenant: TenantId, run: RunId): Subject => subject(tenant, 'inbox', run);

/** @throws ValidationError */
export const killSubject = (tenant: TenantId, run: RunId): Subject => subject(tenant, 'kill', run);

const subject = (tenant: TenantId, kind: SubjectKind, run: RunId): Subject =>
  `${ROOT}.${checkId(tenant, 'tenant id')}.${kind}.${checkId(run, 'run id')}` as Subject;

/** Every subject with these parts; a part left out may be anything. @throws ValidationError */
export function subjectPattern({ tenant, kind, run }: Partial<SubjectParts>): Pattern {
  const owner = tenant === undefined ? '*' : checkId(tenant, 'tenant id');
  return `${ROOT}.${owner}.${kind ?? '*'}.${run === undefined ? '*' : checkId(run, 'run id')}` as Pattern;
}

export const ALL_INBOXES = subjectPattern({ kind: 'inbox' });
export const ALL_KILLS = subjectPattern({ kind: 'kill' });

/** What it was made of; undefined for any other text. */
export function parseSubject(text: string): SubjectParts | undefined {
  const [root, tenant, kind, run, more] = text.split('.', 5);
  if (root !== ROOT || more !== undefined || (kind !== 'inbox' && kind !== 'kill')) return undefined;
  return isId(tenant) && isId(run) ? { tenant: tenant as TenantId, kind, run: run as RunId } : undefined;
}

const DOT = 46;
const ONE = 42;
const REST = 62;

/** As NATS does it. A bus asks it of every subscription for every message, so it allocates nothing. */
export function matches(pattern: Pattern, subject: Subject): boolean {
  if (pattern === subject) return true;
  let at = 0;
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern.charCodeAt(i);
    const alone = (char === ONE || char === REST) && isToken(pattern, i);
    if (alone && char === REST && i === pattern.length - 1) return at < subject.length;
    if (alone && char === ONE) {
      const start = at;
      while (at < subject.length && subject.charCodeAt(at) !== DOT) at++;
      if (at === start) return false;
    } else if (char !== subject.charCodeAt(at++)) return false;
  }
  return at === subject.length;
}

/** `*` and `>` are letters like any other unless they stand alone between dots. */
const isToken = (pattern: string, i: number): boolean =>
  (i === 0 || pattern.charCodeAt(i - 1) === DOT) && (i === pattern.length - 1 || pattern.charCodeAt(i + 1) === DOT);
