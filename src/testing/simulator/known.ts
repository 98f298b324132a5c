import type { RunPlan } from './plan.ts';

/** What one run's people have asked for, and what they were told: the reference that the journal is held against. */
export interface Known {
  readonly plan: RunPlan;
  /** The run that it was forked from. */
  readonly origin: string | undefined;
  /** Acknowledged, at virtual time. */
  started: number | undefined;
  killed: { at: number; inDoubt: readonly string[]; status: string } | undefined;
  /** Messages by number: true once they were acknowledged. */
  readonly sent: Map<number, boolean>;
  result: { success: boolean; data: unknown } | undefined;
  /** A power cut took back something of it that was acknowledged for less. */
  excused: boolean;
}

export const knownOf = (plan: RunPlan, origin?: string): Known => ({
  plan,
  origin,
  started: undefined,
  killed: undefined,
  sent: new Map(),
  result: undefined,
  excused: false,
});
