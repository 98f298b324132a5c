import type { Effect, Limits } from './entry.ts';

/** Version of the rows. Every field and action below is named for life. */
const AUDIT_VERSION = 1;

/** What somebody has asked for or decided, and what came of it. */
export type AuditAction =
  // Asked of a run.
  | 'start'
  | 'fork'
  | 'send'
  | 'pause'
  | 'resume'
  | 'checkpoint'
  | 'approve'
  | 'deny'
  | 'resolve'
  | 'kill'
  /** Something asked of a run that it does not do; where `run` is null, of one that nobody owned. */
  | 'refuse'
  // Asked of more than one run; `kill`, too.
  | 'lift'
  | 'setBudget'
  // What came of it.
  /** An attempt of a call has ended. */
  | 'call'
  /** A limit of the run's budget is reached. */
  | 'budget'
  | 'end'
  /** What follows cannot be read. */
  | 'unreadable';

/** One line of the audit. What does not apply is null. There are no inputs, outputs or events of users in it. */
export interface AuditRow {
  v: typeof AUDIT_VERSION;
  /** In ms since the epoch. */
  at: number;
  /** Null: asked of more than one run. */
  run: string | null;
  /** The run's entry; where `run` is null, the place in the control log. */
  seq: number;
  tenant: string | null;
  /** Who asked for it or decided it; of a call, who has begun its run: a principal, or the id of a run. Null: nobody, it came of itself. */
  by: string | null;
  action: AuditAction;
  /**
   * `start`: `<definition>@<version>`; `fork`: `<run>/<seq>`; `send`: the event's type; `checkpoint`: its label; `approve`, `deny`, `resolve`, `call`:
   * the call's key; `refuse`: what was asked; `budget`: the resource; `kill`, `lift` of more than one run: `tenant/<id>`, `definition/<name>` or `all`;
   * `setBudget`: `period/<ms>`.
   */
  about: string | null;
  /** The tool that was called, otherwise the name of the machine's source. */
  source: string | null;
  /** Of a call. */
  effect: Effect | null;
  attempt: number | null;
  /** Of the call as it was shown to whoever approved or denied it. */
  hash: string | null;
  /**
   * `call`: `succeeded`, `failed`, `abandoned` (its state was left), `refused` (it has not begun), `unknown` (nothing is on record of its end);
   * `resolve`: `succeeded`, `failed` or `retry`; `end`: `completed`, `failed` or `killed`; `budget`: `fail`, `pause` or `handBack`.
   */
  outcome: string | null;
  /** In the words of whoever asked, or of the runtime. */
  reason: string | null;
  /** Code or name of what went wrong. */
  error: string | null;
  /** `start`, `fork`, `resume`, `setBudget`: what may be spent from then on; `budget`: what was reached. */
  limits: Limits | null;
  /** Of `end`: of the whole run. Those of all rows before it are together as much, but for its time. Of `fork`: of the calls before the cut. */
  cost: Limits | null;
  /** Of what has ended. */
  durationMs: number | null;
  /** A seq of the run, `inbox/<seq>`, `<run>/<call>` for the run of a call, or the id of a message from outside. */
  cause: number | string | null;
}

const NOTHING = {
  about: null,
  source: null,
  effect: null,
  attempt: null,
  hash: null,
  outcome: null,
  reason: null,
  error: null,
  limits: null,
  cost: null,
  durationMs: null,
  cause: null,
};

/** What is not said does not apply. */
export const rowOf = ({
  at,
  run = null,
  seq,
  tenant = null,
  by = null,
  action,
  ...said
}: Partial<AuditRow> & Pick<AuditRow, 'at' | 'seq' | 'action'>): AuditRow => ({
  v: AUDIT_VERSION,
  at,
  run,
  seq,
  tenant,
  by,
  action,
  ...NOTHING,
  ...said,
});
