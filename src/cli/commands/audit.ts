import { systemClock } from '../../clock.ts';
import type { AuditOptions as Wanted } from '../../options.ts';
import type { AuditRow } from '../../protocol/audit.ts';
import { milliseconds, type Duration } from '../../protocol/duration.ts';
import type { Limits } from '../../protocol/entry.ts';
import { ValidationError } from '../../protocol/errors.ts';
import type { Troupe } from '../../troupe.ts';
import { driving } from '../driving.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { shortened, toJson } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { count, duration } from '../render.ts';
import { line, nobodyReads } from '../stdout.ts';
import { flat } from '../terminal.ts';

export interface AuditOptions extends CommonOptions {
  tenant?: string;
  by?: string;
  since?: string;
  tree?: boolean;
}

export function audit(run: string | undefined, options: AuditOptions): Promise<ExitCode> {
  const { tenant, by, since } = options;
  return open(options, async ({ troupe, terminal }) => {
    const wanted = {
      ...(tenant !== undefined && { tenant }),
      ...(by !== undefined && { by }),
      ...(since !== undefined && { since: timeOf(since) }),
    };
    let over = false;
    const print = async (): Promise<ExitCode> => {
      let unreadable = 0;
      for await (const row of rowsOf(troupe, run, wanted, options)) {
        if (over) break;
        if (row.action === 'unreadable') unreadable += 1;
        await line(terminal.json ? toJson(row) : rowLine(row));
      }
      if (unreadable === 0) return EXIT.completed;
      terminal.note(`the audit is not whole: ${count(unreadable, 'journal')} cannot be read; look with: troupe doctor`);
      return EXIT.failed;
    };
    try {
      return await Promise.race([print(), driving.left().then(() => EXIT.left), nobodyReads()]);
    } finally {
      over = true;
    }
  });
}

async function* rowsOf(
  troupe: Troupe,
  run: string | undefined,
  wanted: Omit<Wanted, 'run'>,
  { tree = false }: AuditOptions,
): AsyncGenerator<AuditRow> {
  if (run === undefined) {
    if (tree) throw new ValidationError('Say whose tree: troupe audit <run> --tree.');
    return yield* troupe.audit(wanted);
  }
  yield* troupe.audit({ ...wanted, run });
  if (tree) for (const below of await begunBy(troupe, run)) yield* troupe.audit({ ...wanted, run: below });
}

/** All that a run has begun, and what that has begun, oldest first. */
async function begunBy(troupe: Troupe, root: string): Promise<string[]> {
  const all = new Set([root]);
  const runs = await troupe.runs();
  for (let before = 0; before < all.size;) {
    before = all.size;
    for (const { run, parent } of runs) if (parent !== null && all.has(parent.run)) all.add(run);
  }
  return runs.flatMap(({ run }) => (run !== root && all.has(run) ? [run] : []));
}

/** @throws ValidationError */
function timeOf(since: string): number {
  const time = Date.parse(since);
  if (/^\d{4}-\d\d-\d\d/.test(since) && !Number.isNaN(time)) return time;
  if (/^\d+(\.\d+)?[a-z]+$/.test(since))
    return systemClock().now() - milliseconds(since as Duration, 'time since which to look');
  throw new ValidationError(
    `--since ${shortened(since)} is not a time: use a date such as 2026-03-01 or 2026-03-01T09:30Z, or how long ago, such as 1h.`,
    { since: shortened(since) },
  );
}

const ACTION_WIDTH = 'unreadable'.length;
const BY_WIDTH = 10;
const RUN_WIDTH = 16;

/** One that stands for itself: time, action, who, run, and what there is to say. */
function rowLine(row: AuditRow): string {
  const { at, action, by, run, about, source, attempt, outcome, error, limits, cost, durationMs, reason } = row;
  const called = source === null ? null : `(${source}${attempt === null || attempt === 1 ? '' : ` #${attempt}`})`;
  return [
    new Date(at).toISOString(),
    action.padEnd(ACTION_WIDTH),
    flat(by ?? '-').padEnd(BY_WIDTH),
    (run ?? '-').padEnd(RUN_WIDTH),
    ...[about, called, outcome, error].flatMap((word) => (word === null ? [] : [flat(word)])),
    ...(limits === null ? [] : [`limits: ${amounts(limits)}`]),
    ...(cost === null ? [] : [`cost: ${amounts(cost)}`]),
    ...(durationMs === null ? [] : [`(${duration(durationMs)})`]),
    ...(reason === null ? [] : [flat(reason)]),
  ].join('  ');
}

const UNITS: Record<keyof Limits, (value: number) => string> = {
  tokens: (value) => count(value, 'token'),
  usd: (value) => `$${value}`,
  steps: (value) => count(value, 'step'),
  toolCalls: (value) => count(value, 'tool call'),
  wallClockMs: duration,
};

const amounts = (of: Limits): string =>
  Object.entries(of)
    .map(([resource, value]) => UNITS[resource as keyof Limits](value))
    .join(', ') || 'nothing';
