import { ClosedError, StorageError, StorageFullError } from '../../../protocol/errors.ts';
import type { StoreError } from '../plan.ts';
import type { Process } from '../process.ts';
import type { Timeline } from '../timeline.ts';

/** What is wrong with the store for now, or with the way to it. */
export interface Weather {
  errors: Map<string, { error: StoreError; rate: number }>;
  slow: Map<string, number>;
}

/**
 * The way of everything that a process asks of the store: asked, done, answered, each at a time of its own.
 *
 * W1. What was asked may be done after its process is gone, or may not; a power cut ends it.
 * W2. It is answered only where its process is still there, and when that does not stand still.
 */
export class Operations {
  readonly #timeline: Timeline;
  readonly #weather: Weather;
  #power = 0;

  constructor(timeline: Timeline, weather: Weather) {
    this.#timeline = timeline;
    this.#weather = weather;
  }

  cutPower(): void {
    this.#power += 1;
  }

  /** `writes`: with the errors that only a write has. */
  ask<T>(process: Process, what: string, writes: boolean, doIt: () => T, answered?: (value: T) => void): Promise<T> {
    if (process.closed) return Promise.reject(new ClosedError('This backend is closed.', { owner: process.owner }));
    const { random } = process;
    const fault = this.#fault(process, writes);
    const outlives = random.chance(0.5);
    const [there, back] = [this.#latency(process), this.#latency(process)];
    const power = this.#power;
    return new Promise<T>((resolve, reject) => {
      const refuse = (error: Error): void => void this.#timeline.after(back, process, () => reject(error));
      this.#timeline.after(there, undefined, () => {
        if (power !== this.#power || (process.gone && !outlives)) return;
        if (fault === 'full') return refuse(new StorageFullError(`${what}: no space left`, { what }));
        if (fault === 'io') return refuse(new StorageError(`${what}: input/output error`, { what }));
        let value: T;
        try {
          value = doIt();
        } catch (error) {
          return refuse(error as Error);
        }
        if (fault === 'ambiguous') return refuse(new StorageError(`${what}: timed out, perhaps done`, { what }));
        this.#timeline.after(back, process, () => {
          answered?.(value);
          resolve(value);
        });
      });
    });
  }

  #fault({ random }: Process, writes: boolean): StoreError | undefined {
    for (const { error, rate } of this.#weather.errors.values())
      if ((writes || error === 'io') && random.chance(writes ? rate : rate / 4)) return error;
    return undefined;
  }

  #latency({ random }: Process): number {
    for (const upToMs of this.#weather.slow.values()) return random.between(0, upToMs);
    return random.chance(0.95) ? random.between(0.05, 1.5) : random.between(1, 60);
  }
}
