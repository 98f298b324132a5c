import { z } from 'zod';
import { ValidationError } from './errors.ts';
import { isId, type RunId, type TenantId } from './ids.ts';
import { parseSubject, type Subject } from './subject.ts';

const idOf = <Id extends string>(): z.ZodType<Id> =>
  z.custom<Id>(isId, 'is no id: 1 to 128 characters of A-Z, a-z, 0-9, _ and -');
const words = (pattern: RegExp, max: number): z.ZodString =>
  z.string().min(1).max(max).regex(pattern, 'has characters that do not belong there');
const PRINTED = /^[\x21-\x7e]*$/;
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Made when it is first asked for: that takes milliseconds. */
const makeSchema = () =>
  z
    .strictObject({
      v: z.literal(1),
      /** Unique with its source: who hears both twice has heard one thing twice. */
      id: idOf<string>(),
      /** Who says it. */
      source: words(PRINTED, 256),
      type: words(/^[A-Za-z0-9_.-]*$/, 128),
      /** RFC 3339, in UTC. */
      time: z.iso.datetime().max(40),
      /** What it is about. */
      subject: words(PRINTED, 256).optional(),
      data: z.unknown().optional(),
      tenant: idOf<TenantId>(),
      /** The class of service it is queued in. */
      tier: idOf<string>().optional(),
      /** The run it belongs to. */
      task: idOf<RunId>().optional(),
      /** Shared by all that is said in one conversation. */
      correlation: idOf<string>().optional(),
      /** Id of what it was said because of. */
      cause: idOf<string>().optional(),
      /** The inbox that waits for an answer. */
      replyTo: z
        .custom<Subject>((it) => typeof it === 'string' && parseSubject(it)?.kind === 'inbox', 'is no inbox')
        .optional(),
      /** W3C Trace Context. */
      traceparent: words(TRACEPARENT, 55).optional(),
    })
    // or one tenant could make another's runs hear things
    .refine(({ tenant, replyTo }) => replyTo === undefined || parseSubject(replyTo)?.tenant === tenant, {
      path: ['replyTo'],
      message: 'is the inbox of another tenant',
    });

let schema: ReturnType<typeof makeSchema> | undefined;

/** What one actor says to another (a DomainAction), in the words of CloudEvents. */
export type Envelope = z.infer<ReturnType<typeof makeSchema>>;

/** @throws ValidationError naming the field */
export function checkEnvelope(value: unknown): Envelope {
  schema ??= makeSchema();
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const path = ['envelope', ...(issue?.path ?? [])].join('.');
  const what =
    issue?.code === 'unrecognized_keys' ? 'has fields that no envelope has' : (issue?.message ?? 'is no envelope');
  throw new ValidationError(`${path}: ${what}`, { path, what });
}
