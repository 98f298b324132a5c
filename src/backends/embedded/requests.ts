import type { Clock } from '../../clock.ts';
import { OverloadedError, UnreachableError } from '../../protocol/errors.ts';
import type { Subject } from '../../protocol/subject.ts';

const MAX_WAITING = 1 << 14;

export const unreachable = (subject: Subject, what: string): UnreachableError =>
  new UnreachableError(`Nobody answers for ${subject}: ${what}.`, { subject });

interface Waiting {
  answer(payload: Uint8Array): void;
  fail(error: unknown): void;
}

/** What was asked and not answered yet. */
export class Requests {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #made = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The first answer. @throws OverloadedError, UnreachableError after `timeoutMs` */
  async ask(subject: Subject, timeoutMs: number, send: (id: number) => Promise<void>): Promise<Uint8Array> {
    if (this.#waiting.size >= MAX_WAITING)
      throw new OverloadedError(
        `${subject} was not asked: ${this.#waiting.size} requests wait for an answer already.`,
        {
          subject,
          waiting: this.#waiting.size,
        },
      );
    const id = (this.#made += 1);
    let timer: unknown;
    const answered = new Promise<Uint8Array>((resolve, reject) => {
      this.#waiting.set(id, { answer: resolve, fail: reject });
      timer = this.#clock.setTimeout(() => reject(unreachable(subject, `none came in ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      // Both may fail; what is nobody's any more must not end the process.
      const [payload] = await Promise.all([answered, send(id)]);
      return payload;
    } finally {
      this.#waiting.delete(id);
      this.#clock.clearTimeout(timer);
    }
  }

  answer(id: number, payload: Uint8Array): void {
    this.#waiting.get(id)?.answer(payload);
  }

  close(error: unknown): void {
    for (const waiting of this.#waiting.values()) waiting.fail(error);
  }
}
