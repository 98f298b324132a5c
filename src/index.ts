export { addressOf, recorded } from '../actors/system.ts';
export type { AnyDefinition } from '../actors/body.ts';
export { idempotencyKey, toolActor } from '../actors/tool.ts';
export type { Backend, BackendFactory, Level } from './backend.ts';
export { embedded, type EmbeddedOptions } from './backends/embedded/index.ts';
export type { Clock } from './clock.ts';
export { durable, type Definition, type DurableDefinition, type DurableOptions } from './define/durable.ts';
export { module, type ModuleOptions } from './define/module.ts';
export { plan, type ParseOptions, type Plan, type PlanOptions } from './define/plan.ts';
export { tool, type ToolOptions } from './define/tool.ts';
export type { Duration } from './protocol/duration.ts';
export type { Budget, Effect, Entry, EntryType } from './protocol/entry.ts';
export * from './protocol/errors.ts';
export type { Exit, Failure } from './protocol/exit.ts';
export type { OwnerId, RunId } from './protocol/ids.ts';
export type { Module, PlanSpec, Tool, ToolContext } from './protocol/spec.ts';
export type { CallInDoubt, Decision, Receipt, Result, RunHandle } from './run.ts';
export type { RunStatus, Summary } from './summary.ts';
export {
  createTroupe,
  type Recovery,
  type Replay,
  type RunInfo,
  type StartOptions,
  type Troupe,
  type TroupeConfig,
  type TroupeOptions,
} from './troupe.ts';
