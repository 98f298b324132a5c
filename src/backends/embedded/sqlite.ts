import type { Backend, BackendFactory } from '../../backend.ts';
import { ClosedError } from '../../protocol/errors.ts';
import { checkId, ownerId } from '../../protocol/ids.ts';
import { explain } from './failure.ts';
import { openFile, watch } from './file.ts';
import { Group } from './group.ts';
import { sqliteJournal, type Store } from './journal.ts';
import { hold, isAlive } from './owner.ts';
import { sqliteRegistry } from './registry.ts';

type Ports = Parameters<BackendFactory['open']>[0];

/** One SQLite file in `dir`, shared by as many processes as like to. @throws StorageError, StorageFullError, UnsupportedFormatError */
export function openSqlite({ dir, level }: { dir: string; level: 'process' | 'disk' }, ports: Ports): Backend {
  const owner = ownerId(ports.owner);
  try {
    // The file first: in a directory that is not ours nothing is left behind.
    const { db, file } = openFile(dir, level, owner);
    try {
      let closing: Promise<void> | undefined;
      const use = (): void => {
        if (closing !== undefined)
          throw new ClosedError(`The backend of ${dir} is closed: open another.`, { dir, owner });
      };
      const store: Store = { db, file, group: new Group(db, level, ports.immediate, watch(file)), use };
      const journal = sqliteJournal(store);
      const registry = sqliteRegistry(store);
      const letGo = hold(dir, owner);
      const close = async (): Promise<void> => {
        try {
          await store.group.drain();
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
        journal,
        registry,
        alive: async (other) => {
          use();
          checkId(other, 'owner id');
          try {
            return other === owner || isAlive(dir, other);
          } catch (error) {
            throw explain(error, `see whether owner ${other} is alive`, file);
          }
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
