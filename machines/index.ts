export { eachMachine } from './each.ts';
export { moduleMachine } from './module.ts';
export { planMachine } from './plan.ts';
export { runMachine } from './run.ts';
export { toolMachine } from './tool.ts';
