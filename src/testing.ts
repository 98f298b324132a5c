// troupe/testing: what a user's own tests need. Exports only.
export { planOf, type Plan as SimulationPlan } from './testing/simulator/plan.ts';
export { namesIn, only, shrink } from './testing/simulator/shrink.ts';
export { simulate, type Outcome } from './testing/simulator/simulate.ts';
export type { Violation } from './testing/simulator/checks/audit.ts';
export type { Kind, Workload } from './testing/simulator/workload.ts';
export { perform, type Caller, type Effected } from './testing/simulator/world.ts';
export { LifecycleError, proveLifecycle, type Finding, type Proof, type ProveOptions } from './testing/prove.ts';
export { hang, script, type Answer, type Script } from './testing/script.ts';
export { exportRun, importRun, type ImportedRun, type RunFixture } from './testing/fixture.ts';
export { troupeMatchers, type TroupeMatchers } from './testing/matchers.ts';
