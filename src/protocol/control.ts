import type { Limits } from './entry.ts';
import type { Failure } from './exit.ts';
import type { RunId, TenantId } from './ids.ts';
import type { Message } from './inbox.ts';
import type { Width } from './receipt.ts';

/** What is asked of more than one run, or of one that nobody owns and that is not taken over for it, and who asks: a post in the control log, `CONTROL`'s inbox. Every field and type is named for life. */
export type Control = { by: string } & (
  | { type: 'kill'; width: Width; reason: string }
  | { type: 'lift'; width: Width }
  /** Asked of a run that nobody owns, and not done: `about` is what. */
  | { type: 'refuse'; run: RunId; tenant: TenantId | null; about: Message['type']; error: Failure }
  | { type: 'setBudget'; tenant: TenantId; periodMs: number; limits: Limits; perRun: Limits }
);

const TYPES: Record<Control['type'], true> = { kill: true, lift: true, refuse: true, setBudget: true };

/** Written by a troupe that knows no more types than this one. */
export const isControl = (message: { type: string }): message is Control => Object.hasOwn(TYPES, message.type);
