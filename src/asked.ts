import { RESOURCES } from './protocol/amount.ts';
import type { AuditRow } from './protocol/audit.ts';
import type { Budget, Entry, EntryOf } from './protocol/entry.ts';

/** What one entry says by itself, for the audit: what somebody asked for, or decided. */

export type Said = Partial<Omit<AuditRow, 'cost'>> & Pick<AuditRow, 'action'>;

export function asked(entry: Entry): Said[] {
  switch (entry.type) {
    case 'run.paused':
      return [{ action: 'pause', by: entry.event.by, reason: entry.event.reason }];
    case 'run.resumed':
      return [{ action: 'resume', by: entry.event.by, limits: limitsIn(entry.event.budget) }];
    case 'checkpoint':
      return [{ action: 'checkpoint', by: entry.event.by, about: entry.event.label }];
    case 'message.received':
      return received(entry);
    case 'message.refused': {
      const { type: about, by, error } = entry.event;
      return [{ action: 'refuse', by, about, reason: error.message, error: nameOf(error) }];
    }
    case 'budget.exceeded': {
      const { resource, limit, onExhausted } = entry.event;
      return [{ action: 'budget', about: resource, outcome: onExhausted, limits: { [resource]: limit } }];
    }
    default:
      return [];
  }
}

/** Messages that machines of the runtime are told are decisions; others are of the user's machine. What a run says to itself nobody has asked for. */
function received({ target, event: { event, by } }: EntryOf<'message.received'>): Said[] {
  if (by === undefined) return [];
  const { type, hash, reason, ...rest } = event as { type: string; hash?: string; reason?: string };
  switch (type) {
    case 'troupe.approve':
      return [{ action: 'approve', by, about: target, hash: hash ?? null }];
    case 'troupe.deny':
      return [{ action: 'deny', by, about: target, hash: hash ?? null, reason: reason ?? null }];
    case 'troupe.resolve': {
      const decided = 'error' in rest ? 'failed' : 'succeeded';
      return [{ action: 'resolve', by, about: target, outcome: 'retry' in rest ? 'retry' : decided }];
    }
    default:
      return [{ action: 'send', by, about: type }];
  }
}

const MAX_NAME = 128;

/** What kind of error it was, without what it says. */
export function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const known = [code, name].find((word) => typeof word === 'string' && word !== '');
  return (known as string | undefined)?.slice(0, MAX_NAME) ?? 'Error';
}

export const limitsIn = (budget: Budget | null): AuditRow['limits'] =>
  budget && Object.fromEntries(RESOURCES.flatMap((one) => (budget[one] === undefined ? [] : [[one, budget[one]]])));
