import type { Tool } from '../protocol/spec.ts';
import type { DurableDefinition } from './durable.ts';
import type { Plan } from './plan.ts';

/** Whatever a run can be of. Inputs and outputs differ, so only `any` stands for all. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyDefinition = DurableDefinition | Plan<any, any, any> | Tool<any, any>;
