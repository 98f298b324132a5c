import type { Bus, Listener } from '../../../backend.ts';
import { UnreachableError } from '../../../protocol/errors.ts';
import { matches, type Pattern, type Subject } from '../../../protocol/subject.ts';
import type { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import type { Operations } from './operations.ts';

interface Subscription {
  readonly process: Process;
  readonly pattern: Pattern;
  readonly listener: Listener;
}

/**
 * Signals. Each subscriber hears those of one publisher in their order, later or never; twice too, where the seed says so.
 * Whoever was deaf, or stood still, is told that it may have missed something.
 */
export class SimulatedBus {
  readonly #timeline: Timeline;
  readonly #operations: Operations;
  readonly #subscriptions = new Set<Subscription>();
  /** When the last of a publisher reaches a subscriber. */
  readonly #reached = new Map<string, number>();
  readonly deaf = new Map<Process, number>();
  duplicates = new Map<string, number>();

  constructor(timeline: Timeline, operations: Operations) {
    this.#timeline = timeline;
    this.#operations = operations;
  }

  of(process: Process): Bus {
    return {
      publish: (subject, payload) =>
        this.#operations.ask(process, 'publish', false, () => this.#publish(process, subject, payload, undefined)),
      subscribe: (pattern, listener) => {
        const subscription = { process, pattern, listener };
        this.#subscriptions.add(subscription);
        process.watches += 1;
        return () => {
          if (this.#subscriptions.delete(subscription)) process.watches -= 1;
        };
      },
      request: (subject, payload, { timeoutMs }) =>
        new Promise((resolve, reject) => {
          const unreachable = new UnreachableError(`Nobody answers for ${subject}.`, { subject });
          this.#timeline.after(timeoutMs, process, () => reject(unreachable));
          const reply = (answer: Uint8Array): void =>
            void this.#timeline.after(process.random.between(0.1, 3), process, () => resolve(answer));
          const ask = (): void => this.#publish(process, subject, payload, reply);
          this.#operations.ask(process, 'request', false, ask).catch(reject);
        }),
    };
  }

  /** It may have missed something. */
  missed(process: Process): void {
    for (const { process: hearer, listener } of this.#subscriptions)
      if (hearer === process) this.#timeline.after(0.1, process, () => listener.missed?.());
  }

  #publish(by: Process, subject: Subject, payload: Uint8Array, reply: ((payload: Uint8Array) => void) | undefined) {
    for (const subscription of this.#subscriptions) {
      const { process, pattern } = subscription;
      if (!matches(pattern, subject) || process.gone || this.deaf.has(process)) continue;
      this.#tell(by, subscription, subject, payload, reply);
      for (const rate of this.duplicates.values())
        if (by.random.chance(rate)) this.#tell(by, subscription, subject, payload, reply);
    }
  }

  #tell(by: Process, to: Subscription, subject: Subject, payload: Uint8Array, reply?: (payload: Uint8Array) => void) {
    const pair = `${by.name} ${to.process.name}`;
    const at = Math.max(this.#reached.get(pair) ?? 0, this.#timeline.now + by.random.between(0.1, 3));
    this.#reached.set(pair, at);
    this.#timeline.after(at - this.#timeline.now, to.process, () => {
      if (this.#subscriptions.has(to) && !this.deaf.has(to.process)) to.listener.message(payload, subject, reply);
    });
  }
}
