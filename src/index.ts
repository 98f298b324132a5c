/// <reference lib="esnext.disposable" preserve="true" />
export { addressOf, charge, recorded } from '../actors/self.ts';
export type { AnyDefinition } from './define/definition.ts';
export { idempotencyKey, toolActor } from '../actors/tool.ts';
export type { TenantBudget } from '../actors/allotments.ts';
export type { Backend, BackendFactory, Journal, Level, Registry, Stored } from './backend.ts';
export { embedded, type EmbeddedOptions } from './backends/embedded/index.ts';
export { systemClock, type Clock } from './clock.ts';
export { durable, type Definition, type DurableDefinition, type DurableOptions } from './define/durable.ts';
export { module, type ModuleOptions } from './define/module.ts';
export { plan, type ParseOptions, type Plan, type PlanOptions } from './define/plan.ts';
export { tool, type IsolatedToolOptions, type ToolOptions } from './define/tool.ts';
export type { Bytes } from './protocol/bytes.ts';
export type { Duration } from './protocol/duration.ts';
export type { Budget, Cost, Effect, Entry, EntryType, Limits, Spent } from './protocol/entry.ts';
export * from './protocol/errors.ts';
export type { RunStatus } from './protocol/lifecycle.ts';
export type { Exit, Failure } from './protocol/exit.ts';
export { ownerId, runId, type OwnerId, type RunId } from './protocol/ids.ts';
export type { Module, PlanSpec, Tool, ToolContext } from './protocol/spec.ts';
export type { KilledRun, KillSwitch, Receipt, StoppedActor, Width } from './protocol/receipt.ts';
export type { Asking, CallInDoubt, Decision, KillOptions, Pending, RunReceipt } from './handle.ts';
export type { Result } from './result.ts';
export type { RunHandle } from './run.ts';
export { childRun } from '../actors/child.ts';
export type { BudgetOptions, LimitOptions, WrapUp } from './define/budget.ts';
export type { Approval } from './protocol/spec.ts';
export { audited, auditStore } from './audit.ts';
export type { AuditAction, AuditRow } from './protocol/audit.ts';
export { ledgerStore, type Account } from './account.ts';
export { summaryStore, type Summary } from './summary.ts';
export { traced, why, type TraceEvent } from './trace.ts';
export type {
  AuditOptions,
  ForkOptions,
  Recovery,
  RunInfo,
  StartOptions,
  TenantBudgetOptions,
  TroupeConfig,
  TroupeOptions,
} from './options.ts';
export type { ActorState, Difference, Moment, Replay, Step } from './replay.ts';
export { createTroupe, type Troupe } from './troupe.ts';
