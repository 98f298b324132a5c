import { nameOf } from './asked.ts';
import { optionsOf } from './asking.ts';
import { Auditor } from './audit.ts';
import type { Journal } from './backend.ts';
import { unseal, unsealPosts } from './chain.ts';
import type { AuditOptions } from './options.ts';
import { rowOf, type AuditRow } from './protocol/audit.ts';
import { isControl, type Control } from './protocol/control.ts';
import { isEnd, type Entry } from './protocol/entry.ts';
import { ClosedError, ValidationError } from './protocol/errors.ts';
import { checkedPrincipal, CONTROL, inboxOf, runId, tenantId, type RunId } from './protocol/ids.ts';
import { causeOf, postOf, type Message, type Post } from './protocol/inbox.ts';
import type { Width } from './protocol/receipt.ts';
import { text } from './protocol/shown.ts';

/** The audit of a store, as it is now: the rows of its runs, run by run, and between them what was asked of more than one. */

interface Wanted {
  run: RunId | undefined;
  tenant: string | undefined;
  by: string | undefined;
  since: number;
}

/** @throws ValidationError */
export function checkedAudit(options: AuditOptions): Wanted {
  const { run, tenant, by, since = 0 } = optionsOf('audit', options);
  if (!Number.isFinite(since))
    throw new ValidationError(`An audit begins at ${text(since)}; use ms since the epoch.`, { path: 'since', since });
  return {
    run: run === undefined ? undefined : runId(run),
    tenant: tenant === undefined ? undefined : tenantId(tenant),
    by: by === undefined ? undefined : checkedPrincipal(by),
    since,
  };
}

/** Runs in the order in which they were begun. Before a row comes all that was asked of more than one run by then. */
export async function* auditing(journal: Journal, wanted: Wanted): AsyncGenerator<AuditRow> {
  const { run } = wanted;
  const rows = merged(controlLog(journal, run), run === undefined ? allRuns(journal) : auditOf(journal, run));
  for await (const row of rows) if (isWanted(row, wanted)) yield row;
}

/** What cannot be read may be of anybody and any time, as far as nobody knows better. */
function isWanted({ action, at, tenant, by }: AuditRow, wanted: Wanted): boolean {
  const unreadable = action === 'unreadable';
  if (wanted.tenant !== undefined && tenant !== wanted.tenant && !(unreadable && tenant === null)) return false;
  return unreadable || (at >= wanted.since && (wanted.by ?? by) === by);
}

async function* merged(control: AsyncGenerator<AuditRow>, rows: AsyncGenerator<AuditRow>): AsyncGenerator<AuditRow> {
  try {
    let next = await control.next();
    for await (const row of rows) {
      for (; next.done !== true && next.value.at <= row.at; next = await control.next()) yield next.value;
      yield row;
    }
    for (; next.done !== true; next = await control.next()) yield next.value;
  } finally {
    await control.return(undefined);
  }
}

async function* allRuns(journal: Journal): AsyncGenerator<AuditRow> {
  const runs: Begun[] = [];
  let broken: AuditRow | undefined;
  try {
    for await (const run of journal.list()) runs.push(await begun(journal, run));
  } catch (error) {
    broken = unreadable(null, 0, null, 0, error);
  }
  runs.sort((a, b) => a.at - b.at || a.depth - b.depth || (a.run < b.run ? -1 : 1));
  if (broken !== undefined) yield broken;
  for (const { run } of runs) yield* auditOf(journal, run);
}

interface Begun {
  run: RunId;
  /** When; 0 where that cannot be read. */
  at: number;
  /** 1 for one that works for another: that one comes first. */
  depth: 0 | 1;
}

async function begun(journal: Journal, run: RunId): Promise<Begun> {
  try {
    let depth: Begun['depth'] = 0;
    let copied = 0;
    for await (const { entry } of unseal(run, journal.read(run))) {
      if (entry.type === 'run.created') {
        depth = entry.event.parent === null ? 0 : 1;
        copied = entry.event.origins.at(-1)?.at ?? 0;
      }
      // What a fork has copied happened in another run.
      if (entry.seq > copied) return { run, at: entry.at, depth };
    }
  } catch (error) {
    mustBeOpen(error);
  }
  return { run, at: 0, depth: 0 };
}

async function* auditOf(journal: Journal, run: RunId): AsyncGenerator<AuditRow> {
  const auditor = new Auditor();
  let last: Entry | undefined;
  // Of its inbox, the last that it has taken.
  let taken = 0;
  try {
    for await (const { entry } of unseal(run, journal.read(run))) {
      last = entry;
      taken = Math.max(taken, postOf(entry.cause));
      yield* auditor.rows(entry);
    }
    if (last !== undefined && isEnd(last.type)) yield* notTaken(journal, last, taken, auditor.tenant);
  } catch (error) {
    yield unreadable(run, (last?.seq ?? 0) + 1, auditor.tenant, last?.at ?? 0, error);
  }
}

/** What was asked of a run, and acknowledged, and was still in its inbox when the run ended. */
async function* notTaken(
  journal: Journal,
  { run, seq, at }: Entry,
  taken: number,
  tenant: string | null,
): AsyncGenerator<AuditRow> {
  for await (const { post } of unsealPosts<Message>(run, journal.read(inboxOf(run)))) {
    const { type: about, by } = post.message;
    // That a run which it has begun has ended, nobody has asked for.
    if (post.seq <= taken || about === 'childEnded') continue;
    const said = { reason: 'not taken: the run had ended', error: 'INVALID_STATE_TRANSITION', cause: causeOf(post) };
    yield rowOf({ at: Math.max(at, post.at), run, seq, tenant, by, action: 'refuse', about, ...said });
  }
}

/** `of`: only what was asked of that run while nobody owned it. */
async function* controlLog(journal: Journal, of: RunId | undefined): AsyncGenerator<AuditRow> {
  let [seq, at] = [0, 0];
  try {
    for await (const { post } of unsealPosts<Control>(CONTROL, journal.read(inboxOf(CONTROL)))) {
      ({ seq, at } = post);
      if (of === undefined || (post.message.type === 'refuse' && post.message.run === of)) yield rowOfControl(post);
    }
  } catch (error) {
    yield unreadable(null, seq + 1, null, at, error);
  }
}

function rowOfControl({ seq, at, message }: Post<Control>): AuditRow {
  if (!isControl(message))
    return rowOf({ at, seq, action: 'unreadable', error: 'UNSUPPORTED_FORMAT', reason: 'written by a newer troupe' });
  const { type: action, by } = message;
  if (message.type === 'setBudget') {
    const { tenant, limits, periodMs } = message;
    return rowOf({ at, seq, action, by, tenant, limits, about: `period/${periodMs}` });
  }
  if (message.type === 'refuse') {
    const { tenant, about, error } = message;
    return rowOf({ at, seq, action, by, tenant, about, reason: error.message, error: nameOf(error) });
  }
  const { width } = message;
  const tenant = 'tenant' in width ? width.tenant : null;
  const reason = message.type === 'kill' ? message.reason : null;
  return rowOf({ at, seq, action, by, tenant, about: nameOfWidth(width), reason });
}

function nameOfWidth(width: Width): string {
  if ('tenant' in width) return `tenant/${width.tenant}`;
  return 'definition' in width ? `definition/${width.definition}` : 'all';
}

function unreadable(run: RunId | null, seq: number, tenant: string | null, at: number, error: unknown): AuditRow {
  mustBeOpen(error);
  const reason = error instanceof Error ? error.message : String(error);
  return rowOf({ at, run, seq, tenant, action: 'unreadable', reason, error: nameOf(error) });
}

/** That nobody can read any more says nothing of the runs. */
function mustBeOpen(error: unknown): void {
  if (error instanceof ClosedError) throw error;
}
