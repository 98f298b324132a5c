import type { Claim, Queue } from '../../../backend.ts';
import { checkId } from '../../../protocol/ids.ts';
import { checkItem, checkMs, checkPayload } from '../check.ts';
import { Watchers } from '../watchers.ts';
import { digest, sameBytes } from './digest.ts';
import { damaged, explain } from './failure.ts';
import type { Flush } from './group.ts';
import type { Store } from './open.ts';

/**
 * An item is ready at 0 when it waits; otherwise when its lease or its delay is over.
 *
 * Q1. Of a claim only that one knows the name, and the next one changes it: what a late claimer asks for finds nothing.
 */
export function sqliteQueue({ db, file, owner, clock, group, poll, ends, use, attempt }: Store): Queue {
  const add = db.prepare(
    'INSERT OR IGNORE INTO queue (queue, id, ready, deliveries, hash, payload) VALUES (?, ?, 0, 0, ?, ?)',
  );
  const waits = db.prepare('SELECT no, deliveries FROM queue WHERE queue = ? AND ready = 0 ORDER BY no LIMIT 1');
  const due = db.prepare(
    'SELECT no, deliveries FROM queue WHERE queue = ? AND ready BETWEEN 1 AND ? ORDER BY ready LIMIT 1',
  );
  const take = db.prepare(
    'UPDATE queue SET ready = ?, deliveries = deliveries + 1, claim = ? WHERE no = ? RETURNING id, deliveries, hash, payload',
  );
  const extend = db.prepare('UPDATE queue SET ready = ? WHERE no = ? AND claim = ?');
  const giveBack = db.prepare('UPDATE queue SET ready = ?, claim = NULL WHERE no = ? AND claim = ?');
  const remove = db.prepare('DELETE FROM queue WHERE no = ? AND claim = ?');

  let claims = 0;

  /** The oldest that may be claimed. */
  const head = (queue: string): { no: number; deliveries: number } | undefined => {
    const [one, other] = [waits.get(queue), due.get(queue, clock.now())] as (
      | { no: number; deliveries: number }
      | undefined
    )[];
    if (one === undefined || other === undefined) return one ?? other;
    return one.no < other.no ? one : other;
  };

  const watchers = new Watchers<string>(clock, (queue) => {
    try {
      const found = head(queue);
      return found && `${found.no}.${found.deliveries}`;
    } catch {
      // Whoever claims gets the error.
      return 'unreadable';
    }
  });
  // Leases end whether somebody has written or not.
  const look = (): Iterator<unknown> => watchers.look();

  const submit = async <T>(doing: string, work: () => T, flush: Flush): Promise<T> => {
    try {
      return (await group.submit(work, flush)).value;
    } catch (error) {
      throw explain(error, doing, file);
    }
  };

  const claimOf = (queue: string, no: number, claim: string, leaseMs: number, row: Record<string, unknown>): Claim => {
    const { id, deliveries, hash, payload } = row;
    // It is claimed all the same, so that it does not keep the others from their turn.
    if (
      typeof id !== 'string' ||
      typeof deliveries !== 'number' ||
      !(payload instanceof Uint8Array) ||
      !sameBytes(hash, digest(`${queue} ${id} `, payload))
    )
      throw damaged(`claim item ${String(id)} of ${queue}`, file, 'its hash does not match');
    const mine = async (what: string, change: () => number | bigint): Promise<boolean> => {
      use();
      return (await submit(`${what} item ${id} of ${queue}`, change, 'hint')) === 1;
    };
    return {
      id,
      payload,
      delivery: deliveries,
      heartbeat: () => mine('keep', () => extend.run(clock.now() + leaseMs, no, claim).changes),
      ack: () => mine('acknowledge', () => remove.run(no, claim).changes),
      async release(delayMs = 0) {
        checkMs(delayMs, 'delayMs', 0);
        const ready = delayMs === 0 ? 0 : clock.now() + delayMs;
        const released = await mine('release', () => giveBack.run(ready, no, claim).changes);
        if (released && delayMs === 0) watchers.tell(queue);
        return released;
      },
    };
  };

  return {
    async enqueue(queue, id, payload) {
      use();
      checkItem(queue, id);
      const bytes = checkPayload(payload);
      const hash = digest(`${queue} ${id} `, bytes);
      const doing = `enqueue item ${id} of ${queue}`;
      const added = (await submit(doing, () => add.run(queue, id, hash, bytes).changes, 'level')) === 1;
      if (added) watchers.tell(queue);
      return added;
    },

    async claim(queue, { leaseMs }) {
      use();
      checkId(queue, 'queue name');
      checkMs(leaseMs, 'leaseMs', 1);
      const doing = `claim from ${queue}`;
      // Nothing is written to find nothing.
      if (attempt(doing, () => head(queue)) === undefined) return undefined;
      const claim = `${owner}.${(claims += 1)}`;
      const taken = await submit(
        doing,
        () => {
          const no = head(queue)?.no;
          const row = no === undefined ? undefined : take.get(clock.now() + leaseMs, claim, no);
          return no === undefined || row === undefined ? undefined : { no, row };
        },
        'hint',
      );
      return taken && claimOf(queue, taken.no, claim, leaseMs, taken.row);
    },

    watch(queue, changed) {
      use();
      checkId(queue, 'queue name');
      return ends.add(watchers.watch(queue, changed), poll.during(look));
    },
  };
}
