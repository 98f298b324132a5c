import type { DatabaseSync } from 'node:sqlite';
import type { Backend, BackendPorts } from '../../../backend.ts';
import type { Clock } from '../../../clock.ts';
import { ClosedError } from '../../../protocol/errors.ts';
import { checkId, ownerId, type OwnerId } from '../../../protocol/ids.ts';
import { Ends } from '../watchers.ts';
import { sqliteBus } from './bus.ts';
import { explain } from './failure.ts';
import { openFile, watch } from './file.ts';
import { Group } from './group.ts';
import { sqliteJournal } from './journal.ts';
import { hold, isAlive, isAlone, sweep } from './owner.ts';
import { Poll } from './poll.ts';
import { sqliteQueue } from './queue.ts';
import { sqliteRegistry } from './registry.ts';

/** What the parts stand on. */
export interface Store {
  readonly db: DatabaseSync;
  readonly file: string;
  readonly owner: OwnerId;
  readonly clock: Clock;
  readonly group: Group;
  readonly poll: Poll;
  readonly ends: Ends;
  /** @throws ClosedError once the backend is closed */
  readonly use: () => void;
  /** @throws what SQLite threw, as the error a caller can act on; `doing` completes "Cannot …" */
  readonly attempt: <T>(doing: string, work: () => T) => T;
  /** True only if nobody else can have subscribed to anything by now. */
  readonly isAlone: () => boolean;
}

/** One SQLite file in `dir`, shared by as many processes as like to. @throws StorageError, StorageFullError, UnsupportedFormatError */
export function openSqlite(
  { dir, level }: { dir: string; level: 'process' | 'disk' },
  { owner, clock }: BackendPorts,
): Backend {
  ownerId(owner);
  try {
    // The file first: in a directory that is not ours nothing is left behind.
    const { db, file } = openFile(dir, owner, level);
    try {
      let closed: ClosedError | undefined;
      let closing: Promise<void> | undefined;
      const use = (): void => {
        if (closed !== undefined) throw closed;
      };
      const attempt = <T>(doing: string, work: () => T): T => {
        try {
          return work();
        } catch (error) {
          throw explain(error, doing, file);
        }
      };
      const group = new Group(db, level, clock, watch(file));
      const ends = new Ends();
      const poll = new Poll(db, clock);
      const store: Store = {
        db,
        file,
        owner,
        clock,
        group,
        poll,
        ends,
        use,
        attempt,
        isAlone: () => isAlone(dir, owner),
      };
      const { bus, closeBus } = sqliteBus(store);
      const [journal, queue, registry] = [sqliteJournal(store), sqliteQueue(store), sqliteRegistry(store)];
      const letGo = hold(dir, owner);
      sweep(dir, owner);
      const close = async (): Promise<void> => {
        closed = new ClosedError(`The backend of ${dir} is closed: open another.`, { dir, owner });
        try {
          ends.close();
          closeBus(closed);
          await group.drain();
          db.close();
        } catch (error) {
          throw explain(error, 'close the store', file);
        } finally {
          letGo();
        }
      };
      return {
        name: 'embedded',
        level,
        owner,
        bus,
        journal,
        queue,
        registry,
        alive: async (other) => {
          use();
          checkId(other, 'owner id');
          return attempt(`see whether owner ${other} is alive`, () => other === owner || isAlive(dir, other));
        },
        close: () => (closing ??= close()),
      };
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    throw explain(error, 'open the store', dir);
  }
}
