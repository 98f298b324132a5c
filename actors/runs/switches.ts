import type { Registered, Registry, Unwatch } from '../../src/backend.ts';
import { encode } from '../../src/codec.ts';
import { OverloadedError } from '../../src/protocol/errors.ts';
import type { KillSwitch, Width } from '../../src/protocol/receipt.ts';

/**
 * Kills that reach more than one run: a record that every gate reads.
 *
 * W1. It is written first; then what it reaches is killed, run by run. What begins meanwhile has asked for the record after it was registered.
 * W2. It stays until it is lifted: nothing that it reaches begins. What was acknowledged survives a power cut, as every kill does.
 */

/** What a switch is asked about. */
export interface Reached {
  tenant: string;
  definition: string;
}

const KEY = 'kill.switches';
/** Of those that are narrower than everything: that fits in beside them, whatever its reason. */
const MAX_BYTES = 32 * 1024;

export const reaches = (width: Width, { tenant, definition }: Reached): boolean => {
  if ('tenant' in width) return width.tenant === tenant;
  return 'definition' in width ? width.definition === definition : true;
};

export function widthOf(width: Width): Width {
  if ('tenant' in width) return { tenant: width.tenant };
  return 'definition' in width ? { definition: width.definition } : { all: true };
}

const same = (a: Width, b: Width): boolean => {
  if ('tenant' in a) return 'tenant' in b && a.tenant === b.tenant;
  if ('definition' in a) return 'definition' in b && a.definition === b.definition;
  return 'all' in b;
};

export class Switches {
  readonly #registry: Registry;
  readonly #unwatch: Unwatch;
  readonly #changed: () => void;
  #thrown: readonly KillSwitch[] = [];
  #revision = 0;

  /** `changed`: what is off may not be what it was. Once for each change that this process learns of, however it does. */
  constructor(registry: Registry, changed: () => void, report: (error: unknown, where: string) => void) {
    this.#registry = registry;
    this.#changed = changed;
    this.#unwatch = registry.watch(
      KEY,
      (_, now) => void this.#learn(now),
      (error) => report(error, 'reading the kill switches'),
    );
  }

  /** As this process knows them. */
  get thrown(): readonly KillSwitch[] {
    return this.#thrown;
  }

  /** As this process knows it, at most 200 ms old. */
  off(about: Reached): KillSwitch | undefined {
    return this.#thrown.length === 0 ? undefined : this.#thrown.find((one) => reaches(one, about));
  }

  /** As it is now. */
  async offNow(about: Reached): Promise<KillSwitch | undefined> {
    return (await this.list()).find((one) => reaches(one, about));
  }

  async list(): Promise<readonly KillSwitch[]> {
    return this.#learn(await this.#registry.get(KEY));
  }

  /** One that is thrown already stays as it is. */
  async throw(thrown: KillSwitch): Promise<void> {
    await this.#change((before) => {
      if (before.some((one) => same(one, thrown))) return before;
      const after = [...before, thrown];
      const bytes = encode(after.filter((one) => !('all' in one))).byteLength;
      if (bytes > MAX_BYTES && !('all' in thrown))
        throw new OverloadedError(
          `${before.length} kill switches are thrown already, and with this one they and their reasons take ${bytes} bytes of at most ${MAX_BYTES}; lift one, give a shorter reason, or kill everything.`,
          { switches: before.length, bytes, limit: MAX_BYTES },
        );
      return after;
    });
  }

  /** The one that was thrown, if it was. */
  async lift(width: Width): Promise<KillSwitch | undefined> {
    let lifted: KillSwitch | undefined;
    await this.#change((before) => {
      lifted = before.find((one) => same(one, width));
      return lifted === undefined ? before : before.filter((one) => one !== lifted);
    });
    return lifted;
  }

  close(): void {
    this.#unwatch();
  }

  async #change(next: (before: readonly KillSwitch[]) => readonly KillSwitch[]): Promise<void> {
    for (;;) {
      const found = await this.#registry.get(KEY);
      const before = this.#learn(found);
      const after = next(before);
      if (after === before) return;
      const revision = await this.#registry.put(KEY, after, found?.revision ?? 0, { barrier: true });
      if (revision === undefined) continue;
      this.#learn({ key: KEY, value: after, revision });
      return;
    }
  }

  /** What was read late says nothing new. */
  #learn(found: Registered | undefined): readonly KillSwitch[] {
    const now = (found?.value as readonly KillSwitch[] | undefined) ?? [];
    if (found === undefined || found.revision <= this.#revision) return now;
    const before = this.#thrown;
    this.#revision = found.revision;
    this.#thrown = now;
    if (before.length + now.length > 0) this.#changed();
    return now;
  }
}
