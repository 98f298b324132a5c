import type { Claim, Queue } from '../../../backend.ts';
import { checkItem, checkMs, checkPayload } from '../check.ts';
import { checkId } from '../../../protocol/ids.ts';
import type { Opened } from './open.ts';

interface Item {
  readonly no: number;
  readonly id: string;
  readonly payload: Uint8Array;
  deliveries: number;
  /** The delivery of the claim that has it: also after its lease, until another has taken it. */
  held: number | undefined;
  /** Until the lease or the delay is over. */
  timer: unknown;
}

export interface Items {
  readonly all: Map<string, Item>;
  /** Oldest first; those that came back stand apart, and are few. */
  readonly fresh: Set<Item>;
  readonly back: Item[];
  made: number;
}

export function memoryQueue({ store: { queues, waiting }, clock, ends, use }: Opened): Queue {
  const itemsOf = (queue: string): Items => {
    const items = queues.get(queue) ?? { all: new Map(), fresh: new Set(), back: [], made: 0 };
    queues.set(queue, items);
    return items;
  };

  const waitAgain = (queue: string, items: Items, item: Item): void => {
    items.back.push(item);
    items.back.sort((a, b) => a.no - b.no);
    waiting.tell(queue);
  };
  /** It neither waits nor will. */
  const stop = ({ back }: Items, item: Item): void => {
    clock.clearTimeout(item.timer);
    const at = back.indexOf(item);
    if (at >= 0) back.splice(at, 1);
  };
  const later = (queue: string, items: Items, item: Item, ms: number): void => {
    stop(items, item);
    item.timer = clock.setTimeout(() => waitAgain(queue, items, item), ms, false);
  };

  const next = (items: Items): Item | undefined => {
    const [fresh] = items.fresh;
    const [back] = items.back;
    if (back !== undefined && (fresh === undefined || back.no < fresh.no)) return items.back.shift();
    if (fresh !== undefined) items.fresh.delete(fresh);
    return fresh;
  };

  const claimOf = (queue: string, items: Items, item: Item, leaseMs: number): Claim => {
    const { id, payload, deliveries } = item;
    const isMine = (): boolean => {
      use();
      return items.all.get(id) === item && item.held === deliveries;
    };
    return {
      id,
      payload,
      delivery: deliveries,
      async heartbeat() {
        if (!isMine()) return false;
        later(queue, items, item, leaseMs);
        return true;
      },
      async ack() {
        if (!isMine()) return false;
        stop(items, item);
        items.all.delete(id);
        return true;
      },
      async release(delayMs = 0) {
        checkMs(delayMs, 'delayMs', 0);
        if (!isMine()) return false;
        item.held = undefined;
        if (delayMs > 0) later(queue, items, item, delayMs);
        else {
          stop(items, item);
          waitAgain(queue, items, item);
        }
        return true;
      },
    };
  };

  return {
    async enqueue(queue, id, payload) {
      use();
      checkItem(queue, id);
      const bytes = checkPayload(payload);
      const items = itemsOf(queue);
      if (items.all.has(id)) return false;
      const item = { no: (items.made += 1), id, payload: bytes, deliveries: 0, held: undefined, timer: undefined };
      items.all.set(id, item);
      items.fresh.add(item);
      waiting.tell(queue);
      return true;
    },
    async claim(queue, { leaseMs }) {
      use();
      checkId(queue, 'queue name');
      checkMs(leaseMs, 'leaseMs', 1);
      const items = queues.get(queue);
      const item = items && next(items);
      if (items === undefined || item === undefined) return undefined;
      item.deliveries += 1;
      item.held = item.deliveries;
      later(queue, items, item, leaseMs);
      return claimOf(queue, items, item, leaseMs);
    },
    watch(queue, changed) {
      use();
      checkId(queue, 'queue name');
      return ends.add(waiting.watch(queue, changed));
    },
  };
}
