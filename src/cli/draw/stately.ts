import type { AnyStateMachine } from 'xstate';
import type { PlanSpec } from '../../protocol/spec.ts';
import { guardText } from './guard.ts';
import { toJson } from '../json.ts';
import { sourceName } from './edges.ts';
import { calledBy } from './mermaid.ts';

/** Machines as Stately's editor and inspector take them: the config as data, its functions by name. */

type Data = Record<string, unknown>;

export const machineData = ({ config }: AnyStateMachine): Data => stateData(config as Data);

function stateData(state: Data): Data {
  const data: Data = {};
  for (const [key, value] of Object.entries(state)) {
    const kept = fieldData(key, value);
    if (kept !== undefined) data[key] = kept;
  }
  return data;
}

function fieldData(key: string, value: unknown): unknown {
  switch (key) {
    case 'states':
      return mapped(value as Data, (state) => stateData(state as Data));
    case 'on':
    case 'after':
      return mapped(value as Data, transitionData);
    case 'always':
    case 'onDone':
    case 'onError':
    case 'onSnapshot':
      return transitionData(value);
    case 'entry':
    case 'exit':
      return several(value, actionData);
    case 'invoke':
      return several(value, invokeData);
    case 'initial':
      return typeof value === 'object' ? transitionData(value) : value;
    case 'id':
    case 'version':
    case 'type':
    case 'history':
    case 'target':
    case 'description':
    case 'tags':
    case 'meta':
    case 'context':
      return plain(value);
    default:
      return undefined;
  }
}

/** A transition that is there and undefined forbids its event. */
const transitionData = (transition: unknown): unknown =>
  transition === undefined ? {} : several(transition, oneTransition);

function oneTransition(transition: unknown): unknown {
  if (typeof transition !== 'object' || transition === null) return transition;
  const { target, guard, actions, reenter, description, meta } = transition as Data;
  return withoutNothing({
    target,
    guard: typeof guard === 'function' ? { type: guardText(guard) } : plain(guard),
    actions: actions === undefined ? undefined : several(actions, actionData),
    reenter,
    description,
    meta: plain(meta),
  });
}

function invokeData(invoke: unknown): unknown {
  const { id, src, onDone, onError, onSnapshot } = invoke as Data;
  const on = { onDone, onError, onSnapshot };
  return withoutNothing({
    id,
    src: sourceName(src),
    ...mapped(withoutNothing(on), transitionData),
  });
}

/** XState's own (`assign`, `raise` …) are functions with a type. */
const actionData = (action: unknown): unknown => {
  if (typeof action !== 'function') return plain(action);
  const { type, name } = action as { type?: unknown; name: string };
  return { type: typeof type === 'string' ? type : name || 'action' };
};

const several = (value: unknown, one: (item: unknown) => unknown): unknown =>
  Array.isArray(value) ? value.map(one) : one(value);

const mapped = (of: Data, one: (value: unknown) => unknown): Data =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [key, one(value)]));

const withoutNothing = (of: Data): Data =>
  Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined));

/** What JSON can say of it; nothing of what is a function, or goes round in a circle. */
function plain(value: unknown): unknown {
  if (value === undefined || typeof value === 'function') return undefined;
  try {
    return JSON.parse(toJson(value)) as unknown;
  } catch {
    return undefined;
  }
}

/** A plan as what it means: a region for each step. */
export const planData = ({ name, steps }: PlanSpec): Data => ({
  id: name,
  type: 'parallel',
  states: Object.fromEntries(
    steps.map(({ name: step, call, needs, optional = [], anyOf = [], when }) => {
      const awaited = [...needs, ...optional, ...(anyOf.length > 0 ? [anyOf.join(' or ')] : [])];
      const running = {
        target: 'running',
        ...(awaited.length > 0 && { guard: { type: `done: ${awaited.join(', ')}` } }),
      };
      return [
        step,
        {
          initial: 'waiting',
          states: {
            waiting: {
              always: when === undefined ? running : [{ target: 'skipped', guard: { type: 'not wanted' } }, running],
            },
            running: { invoke: { id: step, src: calledBy(call), onDone: 'done', onError: 'failed' } },
            done: { type: 'final' },
            failed: {},
            ...(when !== undefined && { skipped: { type: 'final' } }),
          },
        },
      ];
    }),
  ),
});
