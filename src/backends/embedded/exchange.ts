import type { Listener, Unwatch } from '../../backend.ts';
import type { Clock } from '../../clock.ts';
import { OverloadedError } from '../../protocol/errors.ts';
import { matches, type Pattern, type Subject } from '../../protocol/subject.ts';
import { inSlices } from './slices.ts';
import { quietly } from './watchers.ts';

/**
 * The bus within a process.
 *
 * X1. Messages are told in the order they were published, in a later turn of the loop than that of their publisher.
 * X2. Who subscribes after a message was published does not hear it; who has ended its subscription hears nothing more.
 * X3. What waits is bounded: more is refused.
 */
export interface Message {
  readonly subject: Subject;
  readonly payload: Uint8Array;
  readonly reply: ((payload: Uint8Array) => void) | undefined;
  /** Its place in its source; who subscribed at that place or later does not hear it. */
  readonly place: number;
}

interface Subscription {
  readonly listener: Listener;
  /** By source: where it began. */
  readonly here: number;
  readonly elsewhere: number;
}

const MAX_WAITING = 1 << 16;
const MAX_WAITING_BYTES = 1 << 26;

const isPattern = (pattern: string): boolean => /(?:^|\.)(?:\*|>$)/.test(pattern);

export class Exchange {
  readonly #clock: Clock;
  readonly #exact = new Map<string, Set<Subscription>>();
  readonly #patterns = new Map<Pattern, Set<Subscription>>();
  #waiting: Message[] = [];
  /** Of those too that are just being told. */
  #count = 0;
  #bytes = 0;
  #telling = false;
  #published = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `elsewhere`: how far it is with what others publish, which it does not hear. What it returns is called once. */
  subscribe(pattern: Pattern, listener: Listener, elsewhere = 0): Unwatch {
    const by: Map<string, Set<Subscription>> = isPattern(pattern) ? this.#patterns : this.#exact;
    const subscriptions = by.get(pattern) ?? new Set();
    by.set(pattern, subscriptions);
    const subscription = { listener, here: this.#published, elsewhere };
    subscriptions.add(subscription);
    return () => {
      subscriptions.delete(subscription);
      if (subscriptions.size === 0) by.delete(pattern);
    };
  }

  listens(subject: Subject): boolean {
    if (this.#exact.has(subject)) return true;
    for (const pattern of this.#patterns.keys()) if (matches(pattern, subject)) return true;
    return false;
  }

  /** `payload` is kept as it is. @throws OverloadedError */
  publish(subject: Subject, payload: Uint8Array, reply: Message['reply']): void {
    if (!this.listens(subject)) return;
    if (this.#count >= MAX_WAITING || this.#bytes + payload.byteLength > MAX_WAITING_BYTES)
      throw new OverloadedError(
        `${subject} was not published: ${this.#count} messages wait for their listeners already. Publish more slowly.`,
        { subject, waiting: this.#count, bytes: this.#bytes },
      );
    this.#published += 1;
    this.#waiting.push({ subject, payload, reply, place: this.#published });
    this.#count += 1;
    this.#bytes += payload.byteLength;
    this.#schedule();
  }

  /** At once: what another process has published. */
  tellFrom(elsewhere: Message): void {
    this.#tell(elsewhere, (subscription) => subscription.elsewhere < elsewhere.place);
  }

  missed(): void {
    const all = [...this.#exact.values(), ...this.#patterns.values()];
    for (const { listener } of all.flatMap((subscriptions) => [...subscriptions])) quietly(() => listener.missed?.());
  }

  #schedule(): void {
    if (this.#telling || this.#waiting.length === 0) return;
    this.#telling = true;
    this.#clock.immediate(() => {
      const messages = this.#waiting;
      this.#waiting = [];
      inSlices(this.#clock, this.#told(messages), () => {
        this.#telling = false;
        this.#schedule();
      });
    });
  }

  *#told(messages: readonly Message[]): Generator<void> {
    for (const message of messages) {
      this.#tell(message, (subscription) => subscription.here < message.place);
      this.#count -= 1;
      this.#bytes -= message.payload.byteLength;
      yield;
    }
  }

  // Sets and maps are walked while listeners end subscriptions and begin others: those that ended are passed over, new ones do not hear (X2).
  #tell({ subject, payload, reply }: Message, hears: (subscription: Subscription) => boolean): void {
    const tell = (subscriptions: Set<Subscription>): void => {
      for (const subscription of subscriptions)
        if (hears(subscription)) quietly(() => subscription.listener.message(payload, subject, reply));
    };
    const exact = this.#exact.get(subject);
    if (exact !== undefined) tell(exact);
    for (const [pattern, subscriptions] of this.#patterns) if (matches(pattern, subject)) tell(subscriptions);
  }
}
