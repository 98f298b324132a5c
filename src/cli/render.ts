import type { Approval } from '../protocol/spec.ts';
import type { CallInDoubt } from '../handle.ts';
import type { Summary } from '../summary.ts';
import type { TraceEvent } from '../trace.ts';
import { toJson } from './json.ts';
import { flat, harmless, type Style, type Terminal } from './terminal.ts';

/** Columns as wide as their widest cell; the last is not filled up. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const;

/** Two units at most: `12ms`, `3.4s`, `2m 5s`, `3d 4h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  const parts = [];
  let rest = ms;
  for (const [unit, size] of [...UNITS, ['s', 1_000] as const]) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

/** As JSON, cut where it is long. */
export const short = (value: unknown, limit = 100): string => {
  const text = harmless(toJson(value));
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
};

const data = (value: unknown, limit: number): string => (value === null ? '-' : short(value, limit));

/** Who asked for it stands first: what follows may be cut. */
function saidBy(event: unknown): unknown {
  if (typeof event !== 'object' || event === null || !('by' in event)) return event;
  const { by, ...rest } = event;
  return { by, ...rest };
}

const took = ({ durationMs }: TraceEvent): string => (durationMs === undefined ? '' : duration(durationMs));

/** seq, time, type, target, data, duration, cause */
export const eventRow = (event: TraceEvent): string[] => [
  String(event.seq),
  new Date(event.at).toISOString().slice(11, 23),
  event.type,
  flat(event.target),
  data(saidBy(event.data), 72),
  took(event),
  event.cause === null ? '' : `← ${flat(String(event.cause))}`,
];

const SEQ_WIDTH = 5;
const TYPE_WIDTH = 'message.received'.length;

/** One that stands for itself, whatever came before it. */
export function eventLine(event: TraceEvent): string {
  const { seq, at, type, target } = event;
  const lasted = took(event);
  return [
    String(seq).padStart(SEQ_WIDTH),
    new Date(at).toISOString(),
    type.padEnd(TYPE_WIDTH),
    flat(target),
    data(saidBy(event.data), 100),
    ...(lasted === '' ? [] : [`(${lasted})`]),
  ].join('  ');
}

const DEEPEST = 16;

/** From what was first to what it led to, each further in than the one before. */
export function causeLines([first, ...rest]: readonly TraceEvent[]): string[] {
  if (first === undefined) return [];
  const { by } = Object(first.data) as { by?: unknown };
  const who = typeof by === 'string' ? flat(by) : undefined;
  const beyond =
    typeof first.cause === 'string'
      ? `a message from outside: ${flat(first.cause)}${who === undefined ? '' : `, by ${who}`}`
      : undefined;
  const unknown = first.seq === 1 ? undefined : (who ?? 'somebody outside, or nobody knows');
  const origin = beyond ?? unknown;
  const lines = [...(origin === undefined ? [] : [origin]), ...[first, ...rest].map(eventLine)];
  return lines.map(
    (line, depth) => `${'  '.repeat(Math.min(depth, DEEPEST))}${depth === 0 ? '' : '└ '}${line.trimStart()}`,
  );
}

/** What a tool's call, or a leaf of a machine, is called for people; `#2`: its second try. */
export function label(key: string, definition: string): string {
  const [, path = '', ordinal] = /^(.*?)(?:(?:^|\/)attempt(?::(\d+))?)?$/.exec(key.replace(/^body(?:\/|$)/, '')) ?? [];
  const name = path.replaceAll(/%(25|2f|3a|40)/g, (escaped) => decodeURIComponent(escaped));
  return harmless(`${name === '' ? definition : name}${ordinal === undefined ? '' : ` #${ordinal}`}`);
}

const STYLES: Record<Summary['status'], Style> = {
  created: 'dim',
  running: 'cyan',
  paused: 'yellow',
  wrappingUp: 'yellow',
  completed: 'green',
  failed: 'red',
  killed: 'yellow',
};

/** `leaf.started 4, leaf.succeeded 4 (1.2s)` */
export const totalsLine = ({ byType }: Summary): string =>
  Object.entries(byType)
    .filter(([, total]) => total.count > 0)
    .map(([type, total]) => `${type} ${total.count}${total.totalMs === 0 ? '' : ` (${duration(total.totalMs)})`}`)
    .join(', ');

/** A reason, unless none was given: then it is the word for what was done. */
export const because = (reason: string, done: string): string => (reason === done ? '' : `: ${reason}`);

export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** How a run stands, in a few lines. */
export function summaryLines(summary: Summary, terminal: Terminal): string[] {
  const { status, steps, failures, entries, durationMs, reason, error, output } = summary;
  const failed = failures === 0 ? '' : `, ${count(failures, 'failure')}`;
  const time = durationMs === undefined ? '' : ` in ${duration(durationMs)}`;
  const lines = [
    `${terminal.paint(STYLES[status], status)}${time}: ${count(steps, 'step')}${failed}, ${entries} entries`,
  ];
  if (reason !== undefined && reason !== status)
    lines.push(harmless(`${reason}${error?.code === undefined ? '' : ` (${error.code})`}`));
  if (status === 'completed' && output !== undefined) lines.push(`output: ${short(output, 2_000)}`);
  return lines;
}

/** For a shell. */
export const quoted = (word: string): string =>
  /^[\w./:@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** Which calls are in doubt, and what to do. */
export function doubtLines(run: string, calls: readonly CallInDoubt[], terminal: Terminal): string[] {
  const [first] = calls;
  if (first === undefined) return [];
  const resolve = `  troupe resolve ${first.run} ${quoted(first.call)}`;
  return [
    terminal.paint('yellow', `${count(calls.length, 'call')} in doubt: begun, and nobody knows whether it happened`),
    ...calls.map(
      ({ run: of, call, input }) => `  ${quoted(harmless(call))}${of === run ? '' : ` of run ${of}`}  ${short(input)}`,
    ),
    'find out, then say it:',
    `${resolve} --output '<JSON>'    it happened, and this is its output`,
    `${resolve} --error '<message>'  it did not work`,
    `${resolve} --retry              begin it again`,
  ];
}

/** Of what has ended, the calls whose outcome is not on record. */
export const unknownLines = (calls: readonly string[], terminal: Terminal): string[] =>
  calls.length === 0
    ? []
    : [
        terminal.paint('yellow', 'begun, and nobody knows whether they happened:'),
        ...calls.map((call) => `  ${flat(call)}`),
      ];

/** Which calls wait for somebody's approval, and how it is given. */
export function approvalLines(run: string, approvals: readonly Approval[], terminal: Terminal): string[] {
  if (approvals.length === 0) return [];
  const many = `${count(approvals.length, 'call')} ${approvals.length === 1 ? 'waits' : 'wait'} for approval`;
  return [
    terminal.paint('yellow', many),
    ...approvals.flatMap((approval) => [
      `  ${approvalText(approval)}  ${short(approval.input)}`,
      `    ${approveCommand(run, approval)}`,
    ]),
  ];
}

const approvalText = ({ call, tool, approvers }: Approval): string =>
  flat(`${call} (${tool})${approvers === null ? '' : ` by ${approvers.join(' or ')}`}`);

/** For a shell. The hash holds it to what is shown. */
const approveCommand = (run: string, { call, hash }: Approval): string =>
  `troupe approve ${run} ${quoted(harmless(call))} --hash ${hash}`;
