import type { Registry } from '../src/backend.ts';
import { ownerId, type OwnerId, type RunId, type TenantId } from '../src/protocol/ids.ts';

/** What the registry keeps of a run until it has ended, so that it is found when its owner is gone. */
export interface OpenRun {
  run: RunId;
  owner: OwnerId;
  definition: string;
  tenant: TenantId;
  /** The call of another run that it works for. */
  parent?: { run: RunId; call: string };
  /** Of that definition, when the run was begun. */
  chart: string;
  /** Its last beginning, if that is not its first entry. */
  from?: number;
  /** It rests: the last of its journal and of its inbox at that time, and when its next timer is due (null: it has none). */
  parked?: { seq: number; inbox: number; due: number | null };
}

/** Owns what its process cannot go on with: nobody of that name is ever alive. */
export const NOBODY = ownerId('nobody');

const PREFIX = 'open.';

/** Unfinished runs, by whom they are owned. */
export class Register {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** False: it is registered already. */
  async add(open: OpenRun): Promise<boolean> {
    return (await this.#registry.put(PREFIX + open.run, open, 0)) !== undefined;
  }

  async put(open: OpenRun): Promise<void> {
    await this.#registry.put(PREFIX + open.run, open);
  }

  /** False: somebody else was faster. `revision` as it was seen, 0: it was not there. */
  async claim(open: OpenRun, revision: number): Promise<boolean> {
    return (await this.#registry.put(PREFIX + open.run, open, revision)) !== undefined;
  }

  async get(run: RunId): Promise<{ open: OpenRun | undefined; revision: number }> {
    const found = await this.#registry.get(PREFIX + run);
    return { open: found?.value as OpenRun | undefined, revision: found?.revision ?? 0 };
  }

  async *list(): AsyncGenerator<{ open: OpenRun; revision: number }> {
    for await (const { value, revision } of this.#registry.list(PREFIX)) yield { open: value as OpenRun, revision };
  }

  delete(run: RunId): Promise<void> {
    return this.#registry.delete(PREFIX + run);
  }
}
