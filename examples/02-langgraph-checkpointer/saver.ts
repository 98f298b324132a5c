import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { RunnableConfig } from '@langchain/core/runnables';
import {
  BaseCheckpointSaver,
  compareWritesSortKeys,
  getCheckpointId,
  maxChannelVersion,
  TASKS,
  WRITES_IDX_MAP,
  writesSortKey,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  type PendingWrite,
} from '@langchain/langgraph-checkpoint';
import { systemClock, ValidationError, type Backend, type BackendFactory, type OwnerId } from 'troupe';
import type { Kept, Typed, Write } from './entry.ts';
import type { Fold } from './fold.ts';
import { Threads } from './thread.ts';

/** Keeps LangGraph's checkpoints in Troupe's journals, one for each thread. */
export class TroupeSaver extends BaseCheckpointSaver {
  readonly #backend: Backend;
  readonly #threads: Threads;

  private constructor(backend: Backend) {
    super();
    this.#backend = backend;
    this.#threads = new Threads(backend.journal);
  }

  /** Of `embedded({ dir })`, say. */
  static async open(factory: BackendFactory): Promise<TroupeSaver> {
    // border: a UUID is an id
    return new TroupeSaver(await factory.open({ owner: randomUUID() as OwnerId, clock: systemClock() }));
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { thread, ns, id: parent } = placeOf(config);
    const { channel_values: all, ...rest } = checkpoint;
    const { id } = checkpoint;
    const changed = Object.entries(newVersions).filter(([channel]) => Object.hasOwn(all, channel));
    // Dumped before the first await: what the caller changes later is not of this checkpoint.
    const [whole, about, values] = await Promise.all([
      this.#dump(rest),
      this.#dump(metadata),
      Promise.all(
        changed.map(async ([channel, version]) => ({ channel, version, value: await this.#dump(all[channel]) })),
      ),
    ]);
    const kept = { thread, ns, id, parent, checkpoint: whole, metadata: about };
    await this.#threads.append(thread, { type: 'checkpoint.put', kept, values });
    return configOf(thread, ns, id);
  }

  async putWrites(config: RunnableConfig, writes: PendingWrite[], task: string, path = ''): Promise<void> {
    const { thread, ns, id } = placeOf(config);
    if (id === undefined)
      throw new ValidationError('Writes belong to a checkpoint: config.configurable.checkpoint_id is missing.', {
        path: 'config.configurable.checkpoint_id',
      });
    const kept = writes.map(async ([channel, value], at): Promise<Write> => {
      return { task, path, index: WRITES_IDX_MAP[channel] ?? at, channel, value: await this.#dump(value) };
    });
    await this.#threads.append(thread, { type: 'writes.put', ns, id, writes: await Promise.all(kept) });
  }

  async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    if (config.configurable?.['thread_id'] === undefined) return undefined;
    const { thread, ns, id } = placeOf(config);
    const fold = await this.#threads.read(thread);
    const kept = id === undefined ? fold.checkpoints(ns)[0] : fold.checkpoint(ns, id);
    return kept && this.#tuple(fold, kept, await this.#load<CheckpointMetadata>(kept.metadata));
  }

  /** Newest first within a thread; threads in no order. */
  async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { thread_id: thread, checkpoint_ns: ns, checkpoint_id: id } = config.configurable ?? {};
    const { filter = {}, before, limit = Infinity } = options;
    const end = before && getCheckpointId(before);
    let left = limit;
    for await (const fold of thread === undefined ? this.#threads.all() : [this.#threads.read(placeOf(config).thread)])
      for (const kept of fold.checkpoints(ns)) {
        if (left <= 0) return;
        if ((id && kept.id !== id) || (end && kept.id >= end)) continue;
        const metadata = await this.#load<CheckpointMetadata & Record<string, unknown>>(kept.metadata);
        if (!Object.entries(filter).every(([key, value]) => isDeepStrictEqual(metadata[key], value))) continue;
        left -= 1;
        yield await this.#tuple(fold, kept, metadata);
      }
  }

  /** Nothing of it is read again. Its bytes stay in the store: a journal only grows. */
  async deleteThread(thread_id: string): Promise<void> {
    await this.#threads.append(placeOf({ configurable: { thread_id } }).thread, { type: 'thread.deleted' });
  }

  /** Values are found by version. The fraction keeps two branches of a thread apart, which would count to the same whole number. */
  override getNextVersion(current: number | undefined): number {
    return Math.floor(current ?? 0) + 1 + Math.random();
  }

  async #tuple(fold: Fold, kept: Kept, metadata: CheckpointMetadata): Promise<CheckpointTuple> {
    const { thread, ns, id, parent } = kept;
    const writes = fold.writes(ns, id);
    const checkpoint = await this.#load<Checkpoint>(kept.checkpoint);
    const values = Object.entries(checkpoint.channel_versions).flatMap(([channel, version]) => {
      const value = fold.value(ns, channel, version);
      return value === undefined ? [] : [this.#load(value).then((loaded): [string, unknown] => [channel, loaded])];
    });
    checkpoint.channel_values = Object.fromEntries(await Promise.all(values));
    if (checkpoint.v < 4 && parent !== undefined) await this.#moveSends(checkpoint, fold.writes(ns, parent));
    return {
      config: configOf(thread, ns, id),
      checkpoint,
      metadata,
      pendingWrites: await this.#pending(writes),
      ...(parent === undefined ? {} : { parentConfig: configOf(thread, ns, parent) }),
    };
  }

  /** Before version 4 what a step sent stood in the writes of the checkpoint before it. */
  async #moveSends(checkpoint: Checkpoint, writes: Write[]): Promise<void> {
    const sends = await this.#pending(writes.filter(({ channel }) => channel === TASKS));
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_values[TASKS] = sends.map(([, , value]) => value);
    checkpoint.channel_versions[TASKS] = versions.length === 0 ? 1 : maxChannelVersion(...versions);
  }

  #pending(writes: Write[]): Promise<CheckpointPendingWrite[]> {
    const keyOf = ({ path, task, index }: Write) => writesSortKey(path, task, index);
    const sorted = writes.toSorted((a, b) => compareWritesSortKeys(keyOf(a), keyOf(b)));
    return Promise.all(
      sorted.map(async ({ task, channel, value }): Promise<CheckpointPendingWrite> => {
        return [task, channel, await this.#load(value)];
      }),
    );
  }

  #dump(value: unknown): Promise<Typed> {
    return this.serde.dumpsTyped(value);
  }

  // border: what was dumped as a T is loaded as one
  async #load<T = unknown>([type, bytes]: Typed): Promise<T> {
    return (await this.serde.loadsTyped(type, bytes)) as T;
  }
}

const configOf = (thread_id: string, checkpoint_ns: string, checkpoint_id: string): RunnableConfig => ({
  configurable: { thread_id, checkpoint_ns, checkpoint_id },
});

/** @throws ValidationError */
function placeOf(config: RunnableConfig): { thread: string; ns: string; id: string | undefined } {
  const { thread_id: thread, checkpoint_ns: ns = '' } = config.configurable ?? {};
  const id = getCheckpointId(config) || undefined;
  for (const [name, value] of Object.entries({ thread_id: thread, checkpoint_ns: ns, checkpoint_id: id ?? '' }))
    if (typeof value !== 'string' || (value === '' && name === 'thread_id'))
      throw new ValidationError(`config.configurable.${name} must be a string, not ${typeof value}.`, {
        path: `config.configurable.${name}`,
      });
  return { thread, ns, id };
}
