import type { Backend } from '../../src/backend.ts';
import type { EntryEvents } from '../../src/protocol/entry.ts';
import type { OwnerId, RunId, TenantId } from '../../src/protocol/ids.ts';
import { NOBODY } from '../owner.ts';
import type { Run } from '../run.ts';

/** O1. The registry names the owner of every unfinished run. It is a hint: what binds is the epoch in the journal. */

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
  /** Its last beginning, if that is not its first entry and nothing before it is needed. */
  from?: number;
  /** It rests: the last of its journal and of its inbox at that time, and when its next timer is due (null: it has none). */
  parked?: { seq: number; inbox: number; due: number | null };
}

/** `elsewhere`: another process is alive and has it. */
export type Found = { open: OpenRun; elsewhere: boolean } | { open: undefined; elsewhere: false };

/** A run that is begun. */
export const openOf = (
  run: RunId,
  { owner, tenant, definition, chart, parent }: Omit<EntryEvents['run.created'], 'owner'> & { owner: OwnerId },
): OpenRun => ({ run, owner, tenant, definition, chart, ...(parent !== null && { parent }) });

/** A run as it is now: it may have begun again since, and then only what it is still to kill is found by what came before. */
export function openNow({ id, beginning: { seq, event }, orphans }: Run, owner: OwnerId): OpenRun {
  const open = openOf(id, { ...event, owner });
  return seq === 1 || orphans.any ? open : { ...open, from: seq };
}

const PREFIX = 'open.';

/** Unfinished runs, by whom they are owned. */
export class Register {
  readonly #backend: Pick<Backend, 'registry' | 'owner' | 'alive'>;

  constructor(backend: Pick<Backend, 'registry' | 'owner' | 'alive'>) {
    this.#backend = backend;
  }

  /** False: it is registered already. */
  async add(open: OpenRun): Promise<boolean> {
    return (await this.#backend.registry.put(PREFIX + open.run, open, 0)) !== undefined;
  }

  async put(open: OpenRun): Promise<void> {
    await this.#backend.registry.put(PREFIX + open.run, open);
  }

  /** False: somebody else was faster. `revision` as it was seen, 0: it was not there. */
  async claim(open: OpenRun, revision: number): Promise<boolean> {
    return (await this.#backend.registry.put(PREFIX + open.run, open, revision)) !== undefined;
  }

  async get(run: RunId): Promise<{ open: OpenRun | undefined; revision: number }> {
    const found = await this.#backend.registry.get(PREFIX + run);
    return { open: found?.value as OpenRun | undefined, revision: found?.revision ?? 0 };
  }

  /** Every unfinished run, by whom it is owned. */
  async open(): Promise<OpenRun[]> {
    return (await this.all()).map(({ open }) => open);
  }

  async all(): Promise<{ open: OpenRun; revision: number }[]> {
    const all: { open: OpenRun; revision: number }[] = [];
    for await (const one of this.#list()) all.push(one);
    return all;
  }

  async find(run: RunId): Promise<Found> {
    const { open } = await this.get(run);
    if (open === undefined) return { open, elsewhere: false };
    return { open, elsewhere: await this.isElsewhere(open.owner) };
  }

  /** Another process, and it is alive. */
  async isElsewhere(owner: OwnerId): Promise<boolean> {
    return owner !== this.#backend.owner && this.#backend.alive(owner);
  }

  /** Somebody who is alive has it. */
  async isOwned(run: RunId): Promise<boolean> {
    const { open } = await this.get(run);
    return open !== undefined && this.#backend.alive(open.owner);
  }

  /** What this process has and cannot go on with, another one may. */
  async giveUp(run: RunId): Promise<void> {
    const { open, revision } = await this.get(run);
    if (open?.owner !== this.#backend.owner) return;
    const { parked: _, ...rest } = open;
    await this.claim({ ...rest, owner: NOBODY }, revision);
  }

  delete(run: RunId): Promise<void> {
    return this.#backend.registry.delete(PREFIX + run);
  }

  async *#list(): AsyncGenerator<{ open: OpenRun; revision: number }> {
    for await (const { value, revision } of this.#backend.registry.list(PREFIX))
      yield { open: value as OpenRun, revision };
  }
}
