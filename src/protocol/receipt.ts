import { ValidationError } from './errors.ts';
import { checkId, tenantId, type OwnerId, type RunId, type TenantId } from './ids.ts';
import type { RunStatus } from './lifecycle.ts';

/** What a kill reaches besides one run: what it is thrown for stays off until it is lifted. */
export type Width = { tenant: string } | { definition: string } | { all: true };

type Checked = { tenant: TenantId } | { definition: string } | { all: true };

/** A width as it is kept. */
export type KillSwitch = Checked & {
  reason: string;
  by: string;
  /** In ms since the epoch. */
  at: number;
};

export interface StoppedActor {
  /** Its key within its run. */
  actor: string;
  /** The state it was in. */
  state: unknown;
  /** Until it had stopped, and what it was doing had ended; null: that had not ended when the grace period was over. */
  ms: number | null;
}

export interface KilledRun {
  run: RunId;
  definition: string;
  /** `killed`, or how it had ended before. */
  status: RunStatus;
  /** Of its kill, as it is on record; where it had ended otherwise, as it was asked for now. */
  reason: string;
  by: string;
  /** Its last entry. */
  seq: number;
  /** The process it lived in; null: in none. */
  owner: OwnerId | null;
  /** False: the process it lived in did not say in time that it has stopped. It can record nothing more all the same. */
  answered: boolean;
  stopped: readonly StoppedActor[];
  /** Irreversible calls that were under way, by the names that `inDoubt()` has for them: their outcome is not known. */
  inDoubt: readonly string[];
  /** Until all of that. */
  ms: number;
  /** Its journal cannot be read: what it had begun is not known. */
  error?: unknown;
}

/** What a kill came to. */
export interface Receipt {
  reason: string;
  by: string;
  /** Every run that it reached, parents before children. */
  runs: readonly KilledRun[];
  /** What could not be killed, and why: try again. */
  left: readonly { run: RunId; error: unknown }[];
  /** Runs and actors of which nobody knows whether they have stopped. */
  unanswered: readonly { run: RunId; actor: string | null }[];
  /** Until everything had stopped, or the grace period was over. */
  ms: number;
}

/** @throws ValidationError */
export function checkedWidth(width: Width): Width & Checked {
  const named = readOnce(width);
  const { tenant, definition, all } = named;
  if (Object.keys(named).length === 1) {
    if (tenant !== undefined) return { tenant: tenantId(tenant) };
    if (definition !== undefined) return { definition: checkId(definition, 'definition name') };
    if (all === true) return { all };
  }
  throw new ValidationError('A kill is of a run (its id), { tenant }, { definition } or { all: true }.', { width });
}

function readOnce(given: unknown): { tenant?: unknown; definition?: unknown; all?: unknown } {
  try {
    return typeof given === 'object' ? { ...given } : {};
  } catch {
    // A getter, or a proxy: it may throw what it likes.
    return {};
  }
}
