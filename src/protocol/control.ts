import type { Limits } from './entry.ts';
import type { TenantId } from './ids.ts';
import type { Width } from './receipt.ts';

/** What is asked of more than one run, and who asks: a post in the control log, `CONTROL`'s inbox. Every field and type is named for life. */
export type Control = { by: string } & (
  | { type: 'kill'; width: Width; reason: string }
  | { type: 'lift'; width: Width }
  | { type: 'setBudget'; tenant: TenantId; periodMs: number; limits: Limits; perRun: Limits }
);

const TYPES: Record<Control['type'], true> = { kill: true, lift: true, setBudget: true };

/** Written by a troupe that knows no more types than this one. */
export const isControl = (message: { type: string }): message is Control => Object.hasOwn(TYPES, message.type);
