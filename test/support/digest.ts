import { Actor, type AnyActorRef } from 'xstate';
import { addressOf } from '../../actors/self.ts';
import type { DurableSystem } from '../../actors/system.ts';

/** What a machine shows of itself; other actors have no value, no children and no history. */
interface Shown {
  status: string;
  value?: unknown;
  context?: unknown;
  output?: unknown;
  error?: unknown;
  children?: Record<string, AnyActorRef | undefined>;
  historyValue?: Record<string, readonly { id: string }[]>;
}

/** One actor: everything that a fold must give back, actor references as keys, all other values as they are. */
export function digestOf(actor: AnyActorRef): Record<string, unknown> {
  const { status, value, context, output, error, children, historyValue } = actor.getSnapshot() as Shown;
  return {
    key: addressOf(actor)?.key,
    id: actor.id,
    sessionId: actor.sessionId,
    systemId: (actor as AnyActorRef & { systemId?: string }).systemId,
    status,
    value,
    context: refsAsKeys(context),
    output: refsAsKeys(output),
    error: refsAsKeys(error),
    children: children && Object.entries(children).map(([id, child]) => [id, child && addressOf(child)?.key]),
    history: historyValue && Object.entries(historyValue).map(([id, nodes]) => [id, nodes.map((node) => node.id)]),
  };
}

/** The root, then every live actor in the order of creation. For `deepStrictEqual`. */
export function digest(system: DurableSystem): Record<string, unknown>[] {
  const others = [...system.nodes.actors()].flatMap(([, actor]) => (actor === system.root ? [] : [digestOf(actor)]));
  return [digestOf(system.root), ...others];
}

/** A copy of the plain part of a value; whatever has a prototype of its own (Date, Uint8Array, Map) stays itself. */
function refsAsKeys(value: unknown): unknown {
  if (value instanceof Actor) return { actor: addressOf(value as AnyActorRef)?.key };
  if (Array.isArray(value)) return value.map(refsAsKeys);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, refsAsKeys(item)]));
}
