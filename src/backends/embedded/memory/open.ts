import type { Backend, BackendPorts, Bus, Stored } from '../../../backend.ts';
import type { Clock } from '../../../clock.ts';
import { ClosedError } from '../../../protocol/errors.ts';
import { checkId, type JournalId, type OwnerId } from '../../../protocol/ids.ts';
import { checkMs, checkPattern, checkPayload, checkSubject } from '../check.ts';
import { Exchange } from '../exchange.ts';
import { Requests, unreachable } from '../requests.ts';
import { Ends, Watchers } from '../watchers.ts';
import { memoryJournal } from './journal.ts';
import { memoryQueue, type Items } from './queue.ts';
import { memoryRegistry, type Facts } from './registry.ts';

/** All that is kept, for tests and for what may be lost. Whoever is opened on the same one shares it. */
export class MemoryStore {
  readonly owners = new Set<OwnerId>();
  readonly journals = new Map<JournalId, Stored[]>();
  readonly facts: Facts = { values: new Map(), revision: 0, watches: new Set() };
  readonly queues = new Map<string, Items>();
  readonly grown: Watchers<JournalId>;
  readonly waiting: Watchers<string>;
  readonly exchange: Exchange;

  constructor(clock: Clock) {
    this.grown = new Watchers(clock);
    this.waiting = new Watchers(clock);
    this.exchange = new Exchange(clock);
  }
}

/** What the parts stand on. `use` throws once this backend is closed. */
export interface Opened {
  readonly store: MemoryStore;
  readonly clock: Clock;
  readonly ends: Ends;
  readonly use: () => void;
}

/** A barrier has nothing to reach. */
export function openMemory({ owner, clock }: BackendPorts, store = new MemoryStore(clock)): Backend {
  let closed: ClosedError | undefined;
  const use = (): void => {
    if (closed !== undefined) throw closed;
  };
  const opened: Opened = { store, clock, ends: new Ends(), use };
  const requests = new Requests(clock);
  store.owners.add(owner);
  return {
    name: 'embedded',
    level: 'memory',
    owner,
    bus: memoryBus(opened, requests),
    journal: memoryJournal(opened),
    queue: memoryQueue(opened),
    registry: memoryRegistry(opened),
    // Nobody else can reach this memory, so every other owner is gone.
    alive: async (other) => {
      use();
      checkId(other, 'owner id');
      return store.owners.has(other);
    },
    close: async () => {
      closed ??= new ClosedError('This backend is closed: open another.', { owner });
      opened.ends.close();
      requests.close(closed);
      store.owners.delete(owner);
    },
  };
}

function memoryBus({ store: { exchange }, ends, use }: Opened, requests: Requests): Bus {
  return {
    async publish(subject, payload) {
      use();
      checkSubject(subject);
      exchange.publish(subject, checkPayload(payload), undefined);
    },
    subscribe(pattern, listener) {
      use();
      checkPattern(pattern);
      return ends.add(exchange.subscribe(pattern, listener));
    },
    async request(subject, payload, { timeoutMs }) {
      use();
      checkSubject(subject);
      checkMs(timeoutMs, 'timeoutMs', 1);
      const asked = checkPayload(payload);
      if (!exchange.listens(subject)) throw unreachable(subject, 'nobody listens');
      return requests.ask(subject, timeoutMs, async (id) =>
        exchange.publish(subject, asked, (answer) => requests.answer(id, checkPayload(answer))),
      );
    },
  };
}
