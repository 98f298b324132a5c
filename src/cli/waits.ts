import type { Approval } from '../protocol/spec.ts';
import type { Pending } from '../handle.ts';
import type { Facts, Pause } from './facts.ts';
import { because, duration, label, quoted } from './render.ts';
import { resuming } from './spent.ts';
import { flat, harmless } from './terminal.ts';

/** What an unfinished run waits for. Times in ms since the epoch. */
export type Wait =
  /** Somebody who resumes it; `by` null: it is paused because its budget is spent. */
  | ({ for: 'resume' } & Pause)
  | { for: 'approval'; run: string; call: string; tool: string; approvers: readonly string[] | null }
  /** Somebody who says what became of a call in doubt. */
  | { for: 'decision'; call: string }
  /** A process that goes on with it. */
  | { for: 'process' }
  | { for: 'run'; run: string; definition: string; call: string }
  | { for: 'call'; call: string }
  | { for: 'timer'; due: number }
  | { for: 'message' };

/** What stands in its way first. `pending`: undefined where its definition is not known here; then only its entries tell. Null: they do not. */
export function waitsOf(facts: Facts, owned: boolean, pending: Pending | undefined): Wait[] | null {
  const waits: Wait[] = [];
  const { inDoubt = [], approvals = [], due = null } = pending ?? {};
  if (facts.paused !== undefined) waits.push({ for: 'resume', ...facts.paused });
  for (const approval of approvals) waits.push(approvalWait(approval));
  for (const { call } of inDoubt) waits.push({ for: 'decision', call });
  if (!owned && waits.length === 0) return [{ for: 'process' }];
  for (const [call, child] of facts.open) {
    if (inDoubt.some((doubt) => `${call}/`.startsWith(`${doubt.call}/`))) continue;
    waits.push(child === undefined ? { for: 'call', call } : { for: 'run', ...child, call });
  }
  // Of a call it is its timeout, of an approval when that counts as denied.
  const others = waits.some((wait) => wait.for !== 'resume' && wait.for !== 'run');
  if (due !== null && !others) waits.push({ for: 'timer', due });
  if (waits.length > 0) return waits;
  return pending === undefined ? null : [{ for: 'message' }];
}

const approvalWait = ({ run, call, tool, approvers }: Approval): Wait => ({
  for: 'approval',
  run,
  call,
  tool,
  approvers,
});

/** Its first, and how many more. */
export function waitsText(waits: readonly Wait[] | null, definition: string, now: number): string {
  const [first, ...rest] = waits ?? [];
  if (first === undefined) return '-';
  const more = rest.length === 0 ? '' : ` and ${rest.length} more`;
  return flat(`${waitText(first, definition, now)}${more}`);
}

function waitText(wait: Wait, definition: string, now: number): string {
  switch (wait.for) {
    case 'resume':
      return wait.by === null
        ? `a larger budget: ${wait.reason}`
        : `somebody to resume it${because(wait.reason, 'paused')}`;
    case 'approval':
      return `approval of ${wait.call} (${wait.tool}) by ${wait.approvers?.join(' or ') ?? 'anybody'}`;
    case 'decision':
      return `a decision about ${wait.call} in doubt`;
    case 'process':
      return 'a process to go on with it';
    case 'run':
      return `run ${wait.run} (${wait.definition})`;
    case 'call':
      return `call ${label(wait.call, definition)}`;
    case 'timer':
      return `a timer, in ${duration(wait.due - now)}`;
    case 'message':
      return 'a message';
  }
}

/** The command that moves a run on which somebody has to decide about; undefined: that is not what stands in its way. */
export function whatToDo(run: string, waits: readonly Wait[] | null): string | undefined {
  const [first] = waits ?? [];
  switch (first?.for) {
    case 'resume':
      return resuming(run, first.exhausted);
    case 'approval':
      return `troupe approve ${first.run} ${quoted(harmless(first.call))}`;
    case 'decision':
      return `troupe resolve ${run} ${quoted(harmless(first.call))}`;
    default:
      return undefined;
  }
}
